"""What staff offer to many at once: a scenario, a budget for each, a few words."""

from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.ids import new_id
from invitations.quota import JSONWholeNumber, in_words, validate_quota
from invitations.tokens import default_expiry
from scenarios.models import Scenario


class Offer(models.Model):
    """The base of what makes many invitations; each gets these fields of its own."""

    id = models.CharField(primary_key=True, max_length=32, default=new_id, editable=False)
    scenario = models.ForeignKey(
        Scenario,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="Leave empty to let the learner choose.",
    )
    personal_note = models.TextField(
        blank=True, max_length=2000, help_text="A few words of yours, shown to everybody invited."
    )
    quota = models.JSONField(validators=[validate_quota])
    expires_at = models.DateTimeField(default=default_expiry)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.RESTRICT, related_name="%(class)s_created"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        abstract = True
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=JSONWholeNumber("quota", key="tokens", least=1),
                name="%(class)s_whole_tokens",
                violation_error_message="A quota needs a whole, positive number of tokens.",
            ),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        validate_quota(self.quota)
        super().save(*args, **kwargs)

    @property
    def offered_scenario(self) -> Scenario | None:
        """What a conversation on each starts with; None lets the learner choose.

        So does one that staff have withdrawn since. A private one is offered to nobody.
        """
        return self.scenario if self.scenario and self.scenario.is_offered else None

    @property
    def limit(self) -> int:
        """The budget of each, in tokens."""
        return int(self.quota["tokens"])

    @property
    def length_in_words(self) -> str:
        """How long a conversation each budget is good for, as learners read it."""
        return in_words(self.quota)

    @property
    def for_each(self) -> dict[str, Any]:
        """The fields that an invitation takes over."""
        return {
            "scenario": self.scenario,
            "personal_note": self.personal_note,
            "quota": self.quota,
            "created_by": self.created_by,
        }
