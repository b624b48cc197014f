"""Messages in the admin: where a reply went wrong, row by row, without what was said."""

from collections.abc import Collection, Iterable
from typing import Any, Final

from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import smart_split, unescape_string_literal

from config.admin import READS_TRANSCRIPTS, badge, is_administrator, number, when
from config.large import CappedPaginator, LargeRecordAdmin
from conversations import failures
from conversations.models import ConversationSession, Message, MessageStatus
from conversations.viewings import Viewing

ON_LIST: Final = "conversations_message_changelist"
# Rows of a search, all of whose conversations are recorded.
MOST_FOUND: Final = 500
TONES = {
    MessageStatus.STREAMING: "busy",
    MessageStatus.COMPLETE: "good",
    MessageStatus.STOPPED: "quiet",
    MessageStatus.INTERRUPTED: "warning",
    MessageStatus.FAILED: "bad",
}


class FailureFilter(admin.SimpleListFilter):
    title = "failure"
    parameter_name = "failure"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("any", "Any"), *((code, code) for code in sorted(failures.WORDS))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Message]) -> QuerySet[Message]:
        value = self.value()
        if value == "any":
            return queryset.exclude(failure="")
        return queryset.filter(failure=value) if value else queryset


@admin.register(Message)
class MessageAdmin(LargeRecordAdmin):
    """Its words stand in the transcript alone, where reading is recorded.

    Searching them is a way of reading: each conversation that a search shows is recorded too.
    """

    list_display = ["id", "speaker", "kind", "state", "failure", "length", "said", "session"]
    list_filter = ["role", "kind", "status", FailureFilter, "timestamp"]
    search_fields = ["content", "session__scenario_name", "=session__id"]
    search_help_text = (
        "Words that were said, a scenario, or the number of a conversation."
        " Whose words are found is recorded, as when they are read."
    )
    secret = ("content", "metadata")
    sortable_by = ["id"]
    list_select_related = ["session"]
    fields = [
        "session",
        "words",
        ("role", "kind"),
        ("state", "failure"),
        ("timestamp", "finished_at"),
        "length",
        "parent",
        "hold",
        "restarts",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        prompts = ("partner_system_prompt", "coach_system_prompt", "scenario_description")
        found = super().get_queryset(request).defer(*(f"session__{name}" for name in prompts))
        return found if is_administrator(request) else found.filter(session__scenario__owner=None)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) and request.user.has_perm(
            READS_TRANSCRIPTS
        )

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) or request.user.has_perm(
            "conversations.view_conversationsession"
        )

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """Not what was said where nothing would be recorded: in the suggestions of a form."""
        fields = super().get_search_fields(request)
        on_list = request.resolver_match and request.resolver_match.url_name == ON_LIST
        return [*fields] if on_list else [name for name in fields if name != "content"]

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changes = super().get_changelist_instance(request)
        if changes.query:
            # Of all pages, and of what only the count tells: that there is one more.
            rows = changes.queryset.values_list("session", flat=True)[: MOST_FOUND + 1]
            Viewing.record_search(by_their_words(set(rows), bits_of(changes.query)), request.user)
        return changes

    def get_paginator(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """One that tells no more of a search than is recorded."""
        kind = SearchPaginator if request.GET.get(SEARCH_VAR) else CappedPaginator
        return kind(*args, **kwargs)

    @admin.display(description="Speaker", ordering="role")
    def speaker(self, message: Message) -> str:
        return message.get_role_display()

    @admin.display(description="State", ordering="status")
    def state(self, message: Message) -> SafeString:
        return badge(message.get_status_display(), TONES[MessageStatus(message.status)])

    @admin.display(description="Time", ordering="timestamp")
    def said(self, message: Message) -> str:
        return when(message.timestamp)

    @admin.display(description="Characters")
    def length(self, message: Message) -> str:
        return number(len(message.content))

    @admin.display(description="Words")
    def words(self, message: Message) -> SafeString:
        url = transcript_url(message.session_id)
        return format_html('<a href="{}#message-{}">Read in the transcript</a>', url, message.pk)


class SearchPaginator(CappedPaginator):
    most = MOST_FOUND


def bits_of(query: str) -> list[str]:
    """What Django's search looks for, each by itself: words, and phrases in quotation marks."""
    return [
        unescape_string_literal(bit) if bit[0] in "\"'" and bit[0] == bit[-1] else bit
        for bit in smart_split(query)
    ]


def by_their_words(conversations: Collection[int], bits: Iterable[str]) -> set[int]:
    """Those that a search for `bits` found by more than their scenarios and numbers."""
    # Asked of the database, which alone knows what it takes for the same letter.
    known = ConversationSession.objects.filter(pk__in=conversations)
    for bit in bits:
        known = known.filter(Q(scenario_name__icontains=bit) | Q(pk__iexact=bit))
    return set(conversations) - set(known.values_list("pk", flat=True))


def transcript_url(conversation_id: int) -> str:
    return reverse("admin:conversations_conversationsession_transcript", args=[conversation_id])
