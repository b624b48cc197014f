"""Reading a conversation in the admin, afterwards or live. Each time is recorded."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from config.admin import READS_TRANSCRIPTS, RecordAdmin, badge, is_administrator, when
from conversations.models import ConversationSession, Kind, Message
from conversations.readers import may_read
from conversations.transcript import entries
from conversations.viewings import Viewing, ViewingKind
from usage import costs
from usage.models import UsageLog

TEMPLATES = "admin/conversations/conversationsession"


class ReadingAdmin(RecordAdmin):
    """The pages of a conversation on which its words stand."""

    def get_urls(self) -> list[Any]:
        pages = [("transcript", self.transcript_view), ("watch", self.watch_view)]
        own = [
            path(
                f"<path:object_id>/{name}/",
                self.admin_site.admin_view(view),
                name=f"conversations_conversationsession_{name}",
            )
            for name, view in pages
        ]
        return [*own, *super().get_urls()]

    def transcript_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The conversation to read."""
        conversation = self._readable(request, object_id)
        Viewing.record(conversation, request.user, ViewingKind.TRANSCRIPT)
        self.log_change(request, conversation, "Read the transcript.")
        messages = _messages(conversation)
        context = {
            "entries": entries(messages),
            "debriefs": [message for message in messages if message.kind == Kind.DEBRIEF],
            "total": costs.total(costs.by_model(UsageLog.objects.filter(session=conversation))),
        }
        return self._page(request, conversation, "transcript", context)

    def watch_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The conversation as it goes on; the learner sees who watches."""
        conversation = self._readable(request, object_id)
        viewing = Viewing.record(conversation, request.user, ViewingKind.LIVE)
        self.log_change(request, conversation, "Watched live.")
        messages = _messages(conversation)
        context = {
            "panes": [
                (name, title, [message for message in messages if message.pane == name])
                for name, title in (
                    ("conversation", "Conversation"),
                    ("coach", "Coach"),
                    ("debrief", "Debrief"),
                )
            ],
            "page_data": {
                "socket": f"/ws/watch/{viewing.pk}/",
                "newest": max((message.pk for message in messages), default=0),
            },
        }
        return self._page(request, conversation, "watch", context)

    def _readable(self, request: HttpRequest, object_id: str) -> ConversationSession:
        """The conversation, for those who may read it. Raises `PermissionDenied` or `Http404`."""
        # The same answer for every number, so that it tells nothing of which there are.
        if not request.user.has_perm(READS_TRANSCRIPTS) or not self.has_view_permission(request):
            raise PermissionDenied
        conversation = self.get_object(request, unquote(object_id))
        if conversation is None or not may_read(request.user, conversation):
            raise Http404
        return conversation

    def _page(
        self,
        request: HttpRequest,
        conversation: ConversationSession,
        name: str,
        context: dict[str, Any],
    ) -> HttpResponse:
        context |= {
            **self.admin_site.each_context(request),
            "title": conversation.scenario_name,
            "subtitle": f"with {learner_name(conversation)}, {conversation.started_at:%d %B %Y}",
            "opts": self.opts,
            "conversation": conversation,
        }
        return TemplateResponse(request, f"{TEMPLATES}/{name}.html", context)


@admin.register(Viewing)
class ViewingAdmin(RecordAdmin):
    """Who read what, when: for administrators, and for nobody to change."""

    list_display = ["started", "viewer", "how", "conversation_link", "ended"]
    list_filter = ["kind", "started_at", ("viewer", admin.RelatedOnlyFieldListFilter)]
    search_fields = ["viewer__email", "viewer__name", "=number"]
    search_help_text = "Who read; or the number of a conversation."
    date_hierarchy = "started_at"
    list_select_related = ["viewer", "conversation"]
    fields = ["viewer", "how", "conversation_link", "started", "ended"]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_administrator(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_administrator(request)

    @admin.display(description="Time", ordering="started_at")
    def started(self, viewing: Viewing) -> str:
        return when(viewing.started_at)

    @admin.display(description="How", ordering="kind")
    def how(self, viewing: Viewing) -> SafeString:
        tone = "busy" if viewing.kind == ViewingKind.LIVE else "quiet"
        return badge(viewing.get_kind_display(), tone)

    @admin.display(description="Conversation", ordering="number")
    def conversation_link(self, viewing: Viewing) -> str:
        if viewing.conversation is None:
            return f"Number {viewing.number}, deleted since"
        url = reverse(
            "admin:conversations_conversationsession_change", args=[viewing.conversation.pk]
        )
        return format_html('<a href="{}">{}</a>', url, viewing.conversation)

    @admin.display(description="Until", ordering="seen_until")
    def ended(self, viewing: Viewing) -> str:
        return when(viewing.seen_until)


def learner_name(conversation: ConversationSession) -> str:
    """The account's name, else the invitation's recipient, for staff."""
    if conversation.user:
        return str(conversation.user)
    invitation = conversation.invitation
    if invitation is None:
        return "Nobody any more"
    return f"{invitation.recipient_name or invitation.recipient_email or 'A guest'} (invited)"


def _messages(conversation: ConversationSession) -> list[Message]:
    """All messages, each of which knows its conversation without another query."""
    messages = list(conversation.messages.all())
    for message in messages:
        message.session = conversation
    return messages
