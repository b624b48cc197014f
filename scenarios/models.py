"""What is rehearsed: a person to talk to, and a coach who knows the situation."""

from django.conf import settings
from django.db import models
from django.utils import timezone


def default_partner_model() -> str:
    return settings.PARTNER_MODEL


def default_coach_model() -> str:
    return settings.COACH_MODEL


class ScenarioQuerySet(models.QuerySet["Scenario"]):
    def active(self) -> "ScenarioQuerySet":
        """Those that a conversation may be started on."""
        return self.filter(is_active=True)


class Scenario(models.Model):
    id = models.AutoField(primary_key=True)
    name = models.CharField(max_length=200)
    description = models.TextField(
        help_text="What the learner reads first: who they are, what happened, what they want."
    )
    slug = models.SlugField(max_length=100, unique=True)
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
