"""How a guest comes in: from an invitation's link to the conversation behind it."""

import logging
from smtplib import SMTPException

from asgiref.sync import sync_to_async
from django.contrib.auth import logout
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode

from conversations import pace
from conversations.doors import SIGN, door
from conversations.frames import conversation_budget
from conversations.models import ConversationSession
from conversations.readers import who_may_read
from conversations.views import let_partner_open
from invitations import asking, claims
from invitations.models import Invitation, Status, Wish

logger = logging.getLogger(__name__)

Outcome = HttpResponse | ConversationSession


@door
async def invite(request: HttpRequest, link: str) -> HttpResponse:
    """Show what `link` invites to; POST takes it up."""
    return await go(request, await sync_to_async(Invitation.objects.for_link)(link))


@door
async def opened(request: HttpRequest) -> HttpResponse:
    """The same for a visitor who comes back from signing in, without the link in the address."""
    return await go(request, await sync_to_async(claims.at_the_door)(request.session))


@door
async def more(request: HttpRequest, pk: int) -> HttpResponse:
    """The same from within a conversation that lacks time or budget, whose page holds no link."""
    return await go(request, await sync_to_async(invitation_behind)(request, pk))


def invitation_behind(request: HttpRequest, pk: int) -> Invitation | None:
    """The invitation of a conversation that is the visitor's, open or not; None without one."""
    held = claims.held_invitations(request.session)
    rows = ConversationSession.objects
    mine = rows.visible_to(request.user, held) | rows.closed_to(held)
    conversation = mine.select_related("invitation__scenario").filter(pk=pk).first()
    return conversation.invitation if conversation else None


async def go(request: HttpRequest, invitation: Invitation | None) -> HttpResponse:
    """Answer a request about `invitation`: with a page, or by going on to its conversation."""
    return await arrive(await sync_to_async(answer)(request, invitation))


async def arrive(outcome: Outcome) -> HttpResponse:
    """Send the visitor on to their conversation, if they got as far as that."""
    if isinstance(outcome, ConversationSession):
        await let_partner_open(outcome)
        return see_other(outcome.get_absolute_url())
    return outcome


def answer(request: HttpRequest, invitation: Invitation | None) -> Outcome:
    """The page about `invitation` or, for a person's POST, the conversation behind it."""
    if invitation is None or (invitation.revoked_at and not claims.is_holder(request, invitation)):
        return unavailable(request, "unknown", 404)
    if request.method != "POST" or invitation.revoked_at:
        return show(request, invitation)
    action = request.POST.get("action")
    if action != SIGN or not claims.looks_on(claims.account_of(request), invitation):
        invitation.open_page()
    if action == SIGN:
        return HttpResponse(status=204)
    if action == "sign-in":
        return sign_in_first(request, invitation)
    if action in Wish.values:
        return ask(request, invitation, Wish(action))
    if not invitation.is_open:
        return show(request, invitation)
    if not claims.is_meant(request, invitation):
        return show(request, invitation, status=409)
    if action == "guest" and invitation.linked_user_id is None:
        logout(request)
    return enter(request, invitation)


def show(
    request: HttpRequest, invitation: Invitation, status: int = 200, **context: object
) -> HttpResponse:
    """The page of an invitation that exists: what it offers, or why it does not."""
    user = claims.account_of(request)
    context |= {"invitation": invitation}
    if invitation.revoked_at:
        return unavailable(request, "revoked", 410, **context)
    if invitation.linked_user_id and invitation.linked_user != user:
        owner = invitation.linked_user.masked_email if invitation.linked_user else ""
        return unavailable(request, "linked", status, owner=owner, **context)
    if not invitation.is_open:
        return unavailable(request, "expired", max(status, 410), **context)
    last = newest(invitation)
    if lacks_budget(invitation, last):
        return unavailable(request, "used_up", status, conversation=last, **context)
    context |= {
        "scenario": invitation.offered_scenario,
        "who_reads": who_may_read(invitation.created_by),
        "conversation": last if last and last.is_active else None,
        "is_somebody_else": claims.is_somebody_else(user, invitation),
    }
    return render(request, "invitations/invite.html", context, status=status)


def newest(invitation: Invitation) -> ConversationSession | None:
    """The conversation to go on with, or else to read."""
    return invitation.sessions.order_by("status", "-started_at").first()  # active before ended


def lacks_budget(invitation: Invitation, last: ConversationSession | None) -> bool:
    """Whether nothing more can be said: all is spent, or less is left than one more exchange."""
    if invitation.status == Status.USED_UP:
        return True
    return last is not None and last.is_active and conversation_budget(last).exhausted


def unavailable(request: HttpRequest, reason: str, status: int, **context: object) -> HttpResponse:
    """Say why an invitation lets nobody in here and now, and what to do next."""
    context |= {"reason": reason}
    return render(request, "invitations/unavailable.html", context, status=status)


def ask(request: HttpRequest, invitation: Invitation, wish: Wish) -> HttpResponse:
    """Ask the inviter for more, once; the page then says when. Only a holder of it may.

    Whoever has the link holds it, until an account takes it over.
    """
    if invitation.linked_user_id and invitation.linked_user != claims.account_of(request):
        return show(request, invitation, status=409)
    if wish == Wish.BUDGET and not lacks_budget(invitation, newest(invitation)):
        return see_other(request.path)
    try:
        asking.ask(invitation, wish)
    except (OSError, SMTPException) as error:
        logger.warning("The inviter was not told: %s", type(error).__name__)
        return show(request, invitation, status=503, mail_failed=True)
    return see_other(request.path)


def sign_in_first(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    """Send the visitor to sign in, and have them come back to this invitation."""
    if request.user.is_authenticated:
        logout(request)
    claims.wait_at_the_door(request.session, invitation)
    query = urlencode({"next": reverse("invitations:opened")})
    return see_other(f"{reverse('account_login')}?{query}")


@transaction.atomic
def enter(request: HttpRequest, invitation: Invitation) -> Outcome:
    """Claim `invitation` and return its conversation, which is begun if there is none.

    The invitation's row stays locked meanwhile: of two requests at once, the second finds the
    conversation that the first began.
    """
    invitation = Invitation.objects.select_for_update().get(pk=invitation.pk)
    if not claims.claim(request, invitation):
        return show(request, invitation, status=409)
    user = claims.account_of(request)
    sessions = invitation.sessions.all()
    if user:
        sessions.filter(user=None).update(user=user)
    conversation = sessions.active().filter(user=user).first()
    if conversation is None and invitation.status == Status.USED_UP:
        conversation = sessions.filter(user=user).first()
        if conversation is None:
            return show(request, invitation, status=409)
    if conversation is None:
        scenario = invitation.offered_scenario
        if scenario is None:
            return see_other(reverse("scenarios:list"))
        if not pace.STARTS.take(invitation.pk):
            return render(request, "429.html", status=429)
        conversation = ConversationSession.begin(scenario, user=user, invitation=invitation)
    return conversation


def see_other(url: str) -> HttpResponse:
    return HttpResponseRedirect(url, status=303)
