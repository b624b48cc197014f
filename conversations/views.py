"""The pages. A page and its plain form are enough to hold a whole conversation."""

from functools import partial
from typing import Any
from uuid import UUID, uuid4

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from conversations import frames, leases, pace, turns
from conversations.keeping import says_whose
from conversations.live import hub
from conversations.models import (
    ConversationSession,
    Kind,
    Message,
    MessageQuerySet,
    MessageRole,
)
from conversations.readers import who_may_read
from conversations.replies import runner
from conversations.starting import means, start, waiting
from conversations.transcript import as_text, entries, sections
from conversations.turns import Refused
from conversations.unsent import gives_back
from conversations.viewings import watchers_of
from invitations.claims import held_invitations
from scenarios.models import Scenario

RECENT = 5
# Turns of a pane that the page comes with; a link brings the earlier ones.
LATEST = 60
OF_A_PAGE = ("invitation__created_by", "scenario")


def _visible(request: HttpRequest) -> Any:
    return ConversationSession.objects.visible_to(request.user, held_invitations(request.session))


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Continue first, then what can be started."""
    mine = _visible(request)
    held = held_invitations(request.session)
    return render(
        request,
        "conversations/home.html",
        {
            "continuing": mine.active(),
            "finished": mine.exclude(ended_at=None)[:RECENT],
            "closed": ConversationSession.objects.closed_to(held)[:RECENT],
            "invitations": waiting(request.user, held),
            "scenarios": Scenario.objects.active(),
            "can_start": means(request.user, held).can_start,
        },
    )


@require_safe
def scenario_list(request: HttpRequest) -> HttpResponse:
    """Every active scenario."""
    can_start = means(request.user, held_invitations(request.session)).can_start
    context = {"scenarios": Scenario.objects.active(), "can_start": can_start}
    return render(request, "scenarios/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
async def scenario(request: HttpRequest, slug: str) -> HttpResponseBase:
    """One scenario; POST starts a conversation on it."""
    if request.method != "POST":
        return await sync_to_async(_scenario_page)(request, slug)
    try:
        conversation = await sync_to_async(_start)(request, slug)
    except Refused as refusal:
        return await sync_to_async(_scenario_page)(request, slug, 429, refusal.words)
    if conversation is None:
        return await sync_to_async(_scenario_page)(request, slug, status=403)
    await let_partner_open(conversation)
    return redirect(conversation, permanent=False)


def _scenario_page(
    request: HttpRequest, slug: str, status: int = 200, refusal: str = ""
) -> HttpResponse:
    found = get_object_or_404(Scenario.objects.open_to(request.user), slug=slug)
    how = means(request.user, held_invitations(request.session), found)
    why_not = refusal or how.why_not
    context = {"scenario": found, "can_start": not why_not, "why_not": why_not}
    return render(request, "scenarios/detail.html", context, status=status)


def _start(request: HttpRequest, slug: str) -> ConversationSession | None:
    found = get_object_or_404(Scenario.objects.open_to(request.user), slug=slug)
    how = means(request.user, held_invitations(request.session), found)
    if not how.can_start:
        return None
    payer = how.invitation or how.user
    pace.check_start(payer.pk if payer else "")
    return start(found, how)


async def let_partner_open(conversation: ConversationSession) -> None:
    """Begin the partner's first words where the scenario has them; harmless when repeated."""
    if conversation.partner_opens:
        await runner().act(partial(turns.open_conversation, conversation.pk))


@require_safe
def conversation_list(request: HttpRequest) -> HttpResponse:
    """The visitor's conversations, newest first, and those that are closed to them by now."""
    held = held_invitations(request.session)
    closed = ConversationSession.objects.closed_to(held)
    context = {"conversations": _visible(request), "closed": closed}
    return render(request, "conversations/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@gives_back
@says_whose
async def show(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The conversation. POST is the plain form of a page without JavaScript."""
    conversation = await sync_to_async(_find)(request, pk)
    await _recover(pk)
    error, draft, status = "", "", 200
    if request.method == "POST":
        try:
            return await _act(request, conversation)
        except Refused as refusal:
            error, draft = refusal.words, request.POST.get("text", "")
            status = 429 if refusal.code == "too_often" else 409
    arrived = runner().arrived(pk)
    page = await sync_to_async(_page)(request, pk, arrived, error=error, draft=draft)
    page.status_code = status
    return page


async def _recover(pk: int) -> None:
    """Take over what a process left behind; mostly there is nothing, and one query tells."""
    if await sync_to_async(leases.lost)(pk):
        await runner().recover(pk)


def _find(request: HttpRequest, pk: int) -> ConversationSession:
    return get_object_or_404(_visible(request), pk=pk)


async def _act(request: HttpRequest, conversation: ConversationSession) -> HttpResponseBase:
    """Carry out what the plain form asks for. Raises `Refused`."""
    pk, text, action = conversation.pk, request.POST.get("text"), request.POST.get("action")
    who = await sync_to_async(pace.name)(request.user, request.session)
    match action:
        case "send":
            work = pace.paced(turns.send, who)
            await runner().act(partial(work, pk, _client_id(request), text))
        case "ask":
            work = pace.paced(turns.ask, who)
            await runner().act(partial(work, pk, _client_id(request), text))
        case "retry":
            work = pace.paced(turns.retry, who)
            await runner().act(partial(work, pk, _message_id(request)))
        case "stop":
            if running := await sync_to_async(turns.request_stop)(pk, _message_id(request)):
                hub().request_stop(pk, running.pk)
        case "end":
            await runner().act(partial(turns.end, pk))
        case _:
            raise Refused("unknown", "Nothing was done. Try again.")
    to = "conversations:debrief" if action in ("end",) or not conversation.is_active else None
    response = redirect(reverse(to or "conversations:show", args=[pk]))
    response.status_code = 303
    return response


def _client_id(request: HttpRequest) -> UUID:
    try:
        return UUID(request.POST.get("client_id", ""))
    except ValueError:
        raise Refused("bad_id", "This form was not whole. Reload the page and try again.") from None


def _message_id(request: HttpRequest) -> int:
    value = request.POST.get("message", "")
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise Refused("bad_number", "This form was not whole. Reload the page and try again.")
    return int(value)


def _page(
    request: HttpRequest, pk: int, arrived: dict[int, str], *, error: str, draft: str
) -> HttpResponse:
    conversation = get_object_or_404(_visible(request).select_related(*OF_A_PAGE), pk=pk)
    most = None if "all" in request.GET else LATEST
    # Asked for first: whatever comes while the page is read is newer, and will be sent to it.
    newest = conversation.messages.newest()
    said, earlier_said = _latest(conversation, conversation.messages.conversation(), most)
    notes, earlier_notes = _latest(conversation, conversation.messages.coaching(), most)
    running = {message.role: message for message in said + notes if message.is_streaming}
    for reply in running.values():
        # The database is up to a second behind.
        reply.content = max(reply.content, arrived.get(reply.pk, ""), key=len)
    return render(
        request,
        "conversations/conversation.html",
        {
            "conversation": conversation,
            "turns": said,
            "notes": notes,
            "earlier": earlier_said or earlier_notes,
            "partner_reply": running.get(MessageRole.PARTNER),
            "coach_reply": running.get(MessageRole.COACH),
            "budget": frames.conversation_budget(conversation),
            "watched_by": watchers_of(pk),
            "who_reads": _who_reads(conversation),
            "client_id": uuid4(),
            "error": error,
            "draft": draft,
            "page_data": _page_data(conversation, newest),
        },
    )


def _who_reads(conversation: ConversationSession) -> str:
    invitation = conversation.invitation
    inviter = invitation.created_by if invitation else None
    return who_may_read(inviter, private=conversation.scenario.is_private)


def _latest(
    conversation: ConversationSession, messages: MessageQuerySet, most: int | None
) -> tuple[list[Message], bool]:
    """The newest `most` messages (None: all), oldest first, and whether there are earlier ones.

    Each knows its conversation without another query.
    """
    newest = list(messages.order_by("-pk")[: most and most + 1])
    for message in newest:
        message.session = conversation
    return newest[:most][::-1], len(newest) > len(newest[:most])


def _messages(conversation: ConversationSession) -> list[Message]:
    return _latest(conversation, conversation.messages.all(), None)[0]


def _page_data(conversation: ConversationSession, newest: int) -> dict[str, Any]:
    return {
        "conversation": conversation.pk,
        "socket": f"/ws/conversations/{conversation.pk}/",
        "status": conversation.status,
        "persona": conversation.partner_persona,
        "newest": newest,
        "debrief_url": reverse("conversations:debrief", args=[conversation.pk]),
    }


@require_http_methods(["GET", "HEAD", "POST"])
@gives_back
@says_whose
async def debrief(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The end of a conversation: the debrief and the transcript. POST tries the debrief again."""
    conversation = await sync_to_async(_find)(request, pk)
    await _recover(pk)
    if request.method == "POST":
        try:
            return await _act(request, conversation)
        except Refused:
            return redirect("conversations:debrief", pk=pk)
    return await sync_to_async(_debrief_page)(request, pk)


def _debrief_page(request: HttpRequest, pk: int) -> HttpResponse:
    conversation = get_object_or_404(
        _visible(request).select_related("scenario", "invitation__created_by"), pk=pk
    )
    if conversation.is_active:
        return redirect(conversation)
    newest = conversation.messages.newest()
    messages = _messages(conversation)
    report = next((m for m in reversed(messages) if m.kind == Kind.DEBRIEF), None)
    again = conversation.scenario
    held = held_invitations(request.session)
    return render(
        request,
        "conversations/debrief.html",
        {
            "conversation": conversation,
            "debrief": report,
            # The debrief begins when the replies have ended that ran when the learner ended it.
            "unfinished": any(message.is_streaming for message in messages),
            "watched_by": watchers_of(pk),
            "sections": sections(report),
            "entries": entries(messages),
            "can_again": means(request.user, held, again).can_start,
            "page_data": _page_data(conversation, newest),
        },
    )


@require_safe
@says_whose
async def transcript(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The transcript as a text file."""
    return await sync_to_async(_transcript)(request, pk)


def _transcript(request: HttpRequest, pk: int) -> HttpResponse:
    conversation = _find(request, pk)
    text = as_text(conversation, _messages(conversation))
    response = HttpResponse(text, content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="conversation-{pk}.txt"'
    return response
