"""How a guest comes in: from an invitation's link to the conversation behind it."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from django.contrib.auth import logout
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from conversations.models import ConversationSession
from invitations import claims
from invitations.csrf import csrf_protect_without_referrer
from invitations.models import Invitation, Status
from scenarios.models import Scenario

View = Callable[..., HttpResponse]

HEADERS: Final = {
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "Cache-Control": "no-store",
}


def discreet(view: View) -> View:
    """Keep the address of the page from referrers, search engines and caches, come what may."""

    @wraps(view)
    def wrapped(*args: Any, **kwargs: Any) -> HttpResponse:
        response = view(*args, **kwargs)
        response.headers.update(HEADERS)
        return response

    return wrapped


def door(view: View) -> View:
    """Everything that both ways to the page have in common."""
    checked: View = csrf_protect_without_referrer(view)
    allowed: View = require_http_methods(["GET", "HEAD", "POST"])(checked)
    return csrf_exempt(discreet(allowed))


@door
def invite(request: HttpRequest, link: str) -> HttpResponse:
    """Show what `link` invites to; POST takes it up."""
    return answer(request, Invitation.objects.for_link(link))


@door
def opened(request: HttpRequest) -> HttpResponse:
    """The same for a visitor who comes back from signing in, without the link in the address."""
    return answer(request, claims.at_the_door(request.session))


def answer(request: HttpRequest, invitation: Invitation | None) -> HttpResponse:
    """Turn a request about `invitation` into a page or, for a person's POST, a way in."""
    if invitation is None or (invitation.revoked_at and not claims.is_holder(request, invitation)):
        return unavailable(request, "unknown", 404)
    if request.method != "POST" or not invitation.is_open:
        return show(request, invitation)
    if request.POST.get("action") == "sign-in":
        return sign_in_first(request, invitation)
    if request.POST.get("action") == "guest" and invitation.linked_user_id is None:
        logout(request)
    return enter(request, invitation)


def show(request: HttpRequest, invitation: Invitation, status: int = 200) -> HttpResponse:
    """The page of an invitation that exists: what it offers, or why it does not."""
    user = claims.account_of(request)
    if not invitation.is_open:
        return unavailable(request, invitation.status.value, 410, invitation=invitation)
    if invitation.linked_user_id and invitation.linked_user != user:
        owner = masked(invitation.linked_user.email) if invitation.linked_user else ""
        return unavailable(request, "linked", status, invitation=invitation, owner=owner)
    last = invitation.sessions.order_by("status", "-started_at").first()  # active before ended
    if invitation.status == Status.USED_UP:
        return unavailable(request, "used_up", status, invitation=invitation, conversation=last)
    context = {
        "invitation": invitation,
        "scenario": offered(invitation),
        "conversation": last if last and last.is_active else None,
        "is_somebody_else": bool(
            user
            and invitation.linked_user_id is None
            and invitation.recipient_email
            and invitation.recipient_email.casefold() != user.email.casefold()
        ),
    }
    return render(request, "invitations/invite.html", context, status=status)


def unavailable(request: HttpRequest, reason: str, status: int, **context: object) -> HttpResponse:
    """Say why an invitation lets nobody in here and now, and what to do next."""
    context |= {"reason": reason}
    return render(request, "invitations/unavailable.html", context, status=status)


def sign_in_first(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    """Send the visitor to sign in, and have them come back to this invitation."""
    logout(request)
    claims.wait_at_the_door(request.session, invitation)
    query = urlencode({"next": reverse("invitations:opened")})
    return see_other(f"{reverse('account_login')}?{query}")


@transaction.atomic
def enter(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    """Claim `invitation` and go on to its conversation, which is begun if there is none.

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
        scenario = offered(invitation)
        if scenario is None:
            return see_other(reverse("scenarios:list"))
        conversation = ConversationSession.begin(scenario, user=user, invitation=invitation)
    return see_other(conversation.get_absolute_url())


def offered(invitation: Invitation) -> Scenario | None:
    """The scenario that a conversation on `invitation` starts with; None lets the learner choose.

    One that staff have withdrawn since is offered to nobody new.
    """
    scenario = invitation.scenario
    return scenario if scenario and scenario.is_active else None


def masked(email: str) -> str:
    """Return enough of an address to know one's own by, and no more."""
    name, _, domain = email.partition("@")
    return f"{name[:1]}…@{domain}"


def see_other(url: str) -> HttpResponse:
    return HttpResponseRedirect(url, status=303)
