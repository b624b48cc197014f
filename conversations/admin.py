"""Conversations in the admin: who rehearsed what, and the transcript for those who may read it."""

from typing import Any

from django.contrib import admin
from django.db.models import F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from config.admin import READS_TRANSCRIPTS, badge, is_administrator, number, when
from conversations import admin_people  # noqa: F401 - takes the place of two others
from conversations.admin_messages import transcript_url
from conversations.admin_reading import ReadingAdmin, learner_name
from conversations.models import (
    ConversationSession,
    SessionStatus,
)
from scenarios.admin import ScenarioFilter
from usage import costs
from usage.models import StreamType, UsageLog


@admin.register(ConversationSession)
class ConversationAdmin(ReadingAdmin):
    list_display = [
        "scenario_name",
        "learner",
        "state",
        "total_messages",
        "tokens",
        "started",
        "transcript",
    ]
    list_filter = ["status", ("scenario", ScenarioFilter), "started_at"]
    # Never what was said: whoever may list conversations may not yet read them.
    search_fields = [
        "scenario_name",
        "user__email",
        "user__name",
        "invitation__recipient_email",
        "invitation__recipient_name",
        "=id",
    ]
    search_help_text = "Scenario or learner; or the number of a conversation."
    list_select_related = ["user", "invitation"]
    carried = ("conversations.Message",)
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "scenario",
                    "learner",
                    "invitation",
                    "state",
                    "transcript",
                    "total_messages",
                    ("started_at", "ended_at", "duration"),
                    "usage",
                ]
            },
        ),
        (
            "What it started with",
            {
                "fields": [
                    "scenario_name",
                    "scenario_description",
                    "partner_persona",
                    "partner_opens",
                    "partner_model",
                    "partner_system_prompt",
                    "coach_model",
                    "coach_system_prompt",
                ],
                "classes": ["collapse"],
            },
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ConversationSession]:
        spent = (
            UsageLog.objects.filter(session=OuterRef("pk"))
            .order_by()
            .values("session")
            .annotate(tokens=Sum(F("input_tokens") + F("output_tokens")))
            .values("tokens")
        )
        found = super().get_queryset(request).annotate(spent=Coalesce(Subquery(spent), 0))
        return found if is_administrator(request) else found.filter(scenario__owner=None)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        readable = request.user.has_perm(READS_TRANSCRIPTS)
        return [name for name in self.list_display if readable or name != "transcript"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        readable = request.user.has_perm(READS_TRANSCRIPTS)
        return [
            (
                title,
                {
                    **options,
                    "fields": [f for f in options["fields"] if readable or f != "transcript"],
                },
            )
            for title, options in self.fieldsets
        ]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not while a reply is being written: its hold could not be settled any more."""
        allowed = request.user.has_perm("conversations.delete_conversationsession")
        return allowed and (obj is None or not obj.messages.streaming().exists())

    # --- What is shown -----------------------------------------------------------------------

    @admin.display(description="Learner")
    def learner(self, conversation: ConversationSession) -> str:
        return learner_name(conversation)

    @admin.display(description="State", ordering="status")
    def state(self, conversation: ConversationSession) -> SafeString:
        tone = "busy" if conversation.is_active else "good"
        return badge(SessionStatus(conversation.status).label, tone)

    @admin.display(description="Tokens", ordering="spent")
    def tokens(self, conversation: Any) -> str:
        return number(conversation.spent)

    @admin.display(description="Started", ordering="started_at")
    def started(self, conversation: ConversationSession) -> str:
        return when(conversation.started_at)

    @admin.display(description="Length")
    def duration(self, conversation: ConversationSession) -> str:
        seconds = conversation.duration_seconds
        return "–" if seconds is None else f"{seconds // 60} min {seconds % 60} s"

    @admin.display(description="Transcript")
    def transcript(self, conversation: ConversationSession) -> SafeString:
        url = transcript_url(conversation.pk)
        read = format_html('<a class="cell-link" href="{}">Read</a>', url)
        if not conversation.is_active:
            return read
        url = reverse("admin:conversations_conversationsession_watch", args=[conversation.pk])
        return format_html('{} <a class="cell-link" href="{}">Watch live</a>', read, url)

    @admin.display(description="Usage")
    def usage(self, conversation: ConversationSession) -> str:
        logs = UsageLog.objects.filter(session=conversation)
        groups = costs.by_model(logs, "stream_type")
        if not groups:
            return "None yet."
        lines = format_html_join(
            "",
            "<li>{}: {} calls of {}, {} tokens in ({} from cache), {} out, {}</li>",
            (
                (
                    StreamType(group["stream_type"]).label,
                    number(group["calls"]),
                    group["model"],
                    number(group["input_tokens"]),
                    number(group["cache_read_tokens"]),
                    number(group["output_tokens"]),
                    costs.dollars(group["cost"]),
                )
                for group in groups
            ),
        )
        total = costs.total(groups)
        spent = number(total["input_tokens"] + total["output_tokens"])
        return format_html(
            '<ul class="plain">{}<li><strong>Together {} tokens, {}</strong></li></ul>',
            lines,
            spent,
            costs.dollars(total["cost"]),
        )
