"""What is rehearsed: a person to talk to, and a coach who knows the situation."""

from typing import TYPE_CHECKING, Final, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.text import slugify

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from accounts.models import User

# Addresses below /scenarios/ that are pages of their own.
RESERVED: Final = ("mine",)
# Characters that nobody takes for one another.
UNMISTAKABLE: Final = "23456789abcdefghjkmnpqrstuvwxyz"


def refuse_reserved(slug: str) -> None:
    """Raise `ValidationError` for a slug that is the address of a page of its own."""
    if slug in RESERVED:
        raise ValidationError("This address is taken by a page. Choose another.")


def private_slug(name: str) -> str:
    """An address for a private scenario that nobody guesses, and no other one has."""
    words = slugify(name)[:60].strip("-") or "scenario"
    return f"{words}-{get_random_string(10, UNMISTAKABLE)}"


def default_partner_model() -> str:
    return settings.PARTNER_MODEL


def default_coach_model() -> str:
    return settings.COACH_MODEL


class ScenarioQuerySet(models.QuerySet["Scenario"]):
    def shared(self) -> Self:
        """Those that belong to nobody: the library's and the staff's."""
        return self.filter(owner=None)

    def active(self) -> Self:
        """Those that are offered to everybody."""
        return self.shared().filter(is_active=True)

    def open_to(self, user: "User | AnonymousUser") -> Self:
        """Those that `user` may find and start: what everybody may, and their own.

        Who may no longer write scenarios keeps theirs to read, but starts none.
        """
        found = self.filter(is_active=True)
        if user.is_authenticated and user.writes_scenarios:
            return found.filter(Q(owner=None) | Q(owner=user))
        return found.shared()


class Scenario(models.Model):
    id = models.AutoField(primary_key=True)
    name = models.CharField(max_length=200)
    description = models.TextField(
        help_text="What the learner reads first: who they are, what happened, what they want."
    )
    slug = models.SlugField(max_length=100, unique=True, validators=[refuse_reserved])
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        # Never SET_NULL, which would show to everybody what one person wrote for themselves.
        models.CASCADE,
        null=True,
        blank=True,
        editable=False,
        related_name="scenarios",
        help_text="Who wrote it for themselves; empty for one that staff offer.",
    )
    partner_persona = models.CharField(
        "partner's name",
        max_length=200,
        help_text="How the other person is named on the page, for example “Uncle Ray”.",
    )
    partner_system_prompt = models.TextField(
        help_text="Who the other person is: history, stake, what hardens and what softens them."
    )
    coach_system_prompt = models.TextField(
        help_text="What the coach should look for and suggest in this situation."
    )
    partner_model = models.CharField(max_length=100, default=default_partner_model)
    coach_model = models.CharField(max_length=100, default=default_coach_model)
    partner_opens = models.BooleanField(
        "the partner speaks first", default=False, help_text="Otherwise the learner does."
    )
    is_active = models.BooleanField(
        "active", default=True, help_text="Turn this off to offer it to nobody new."
    )
    library_digest = models.CharField(max_length=64, null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ScenarioQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_private(self) -> bool:
        return self.owner_id is not None

    @property
    def is_offered(self) -> bool:
        """Whether everybody may start it: staff have not withdrawn it, and it is nobody's own."""
        return self.is_active and not self.is_private
