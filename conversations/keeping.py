"""From guest to account: what a browser holds goes to the account that its person signs in to.

Only at their wish, pressed in the conversation itself, and only once they are signed in, which
nobody is before their address is proven.
"""

import time
from collections.abc import Callable, Collection, Coroutine
from functools import wraps
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_POST

from accounts.adapters import AccountAdapter
from accounts.models import User
from conversations.models import ConversationSession
from invitations.claims import account_of, held_invitations, is_as_shown, is_somebody_else
from invitations.models import Invitation

View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]

WISH: Final = "keep_conversations"
# Seconds that a wish holds: mail takes its time, and the next person at the browser is another.
WISH_HOLDS: Final = 3600


def keep(user: User, held: Collection[str], chosen: Invitation | None = None) -> int:
    """Give `user` the invitations in `held` (`held_as`) that no account has yet, and what was said.

    Returns how many they were. Of two accounts at once each invitation goes to one, whole; what
    is revoked, expired or somebody else's stays where it is, and so does what was sent to an
    address that is not theirs, but for what they have `chosen`.
    """
    found = Invitation.objects.open().held_by(held)
    mine = (one for one in found if one == chosen or not is_somebody_else(user, one))
    return sum(_keep_one(user, invitation) for invitation in mine)


@transaction.atomic
def _keep_one(user: User, invitation: Invitation) -> bool:
    # Conversations before what they spend, as replies lock them.
    sessions = invitation.sessions.order_by("pk").select_for_update(no_key=True)
    list(sessions.values_list("pk"))
    kept = invitation.claim(user)
    if kept:
        invitation.sessions.filter(user=None).update(user=user)
    return kept


class KeepingAdapter(AccountAdapter):
    """Where allauth signs somebody in, by whichever way: a wish is fulfilled there."""

    def login(self, request: HttpRequest, user: User) -> None:
        wished = time.time() - request.session.pop(WISH, 0) < WISH_HOLDS
        held = held_invitations(request.session)
        super().login(request, user)
        if wished:
            _keep_and_say(request, user, held)


@require_POST
def wish(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep a guest's conversation: at once for who is signed in, else as soon as they are."""
    held = held_invitations(request.session)
    visible = ConversationSession.objects.visible_to(request.user, held)
    conversation = get_object_or_404(visible, pk=pk)
    name = "conversations:show" if conversation.is_active else "conversations:debrief"
    back = reverse(name, args=[pk])
    user = account_of(request)
    if user is None:
        request.session[WISH] = time.time()
        return _see_other(f"{reverse('account_signup')}?{urlencode({'next': back})}")
    if conversation.user_id is None:
        invitation = conversation.invitation
        if invitation and not _is_meant(request, user, invitation):
            context = {"conversation": conversation, "back": back}
            return render(request, "conversations/keep_whose.html", context, status=409)
        _keep_and_say(request, user, held, invitation)
    return _see_other(back)


def _is_meant(request: HttpRequest, user: User, invitation: Invitation) -> bool:
    """Whether they have said whose it is to be, where it was not sent to an address of theirs."""
    chosen = request.POST.get("action") == "account" and is_as_shown(request)
    return chosen or not is_somebody_else(user, invitation)


def _keep_and_say(
    request: HttpRequest, user: User, held: Collection[str], chosen: Invitation | None = None
) -> None:
    found = Invitation.objects.open().held_by(held)
    others = [one for one in found if one != chosen and is_somebody_else(user, one)]
    if keep(user, held, chosen):
        messages.success(request, f"What you said is kept in your account, {user.email}.")
        # Says enough: allauth's own words about the sign-in leave themselves out.
        request.has_kept = True  # type: ignore[attr-defined]
    elif others:
        messages.warning(
            request,
            "Nothing is kept yet: the invitation was sent to another address than yours. "
            "If it is yours all the same, press “Keep this in your account”.",
        )
    else:
        messages.warning(request, "Nothing was kept: it belongs to another account, or is closed.")


def says_whose(view: View) -> View:
    """Tell a browser that held a conversation as a guest what became of it; strangers get 404."""

    @wraps(view)
    async def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return await view(request, *args, **kwargs)
        except Http404:
            page = await sync_to_async(_whose)(request, kwargs["pk"])
            if page is None:
                raise
            return page

    return wrapped


def _whose(request: HttpRequest, pk: int) -> HttpResponse | None:
    """For a holder of its invitation: whose account it is in, or on to why it is closed.

    None for others.
    """
    held = held_invitations(request.session)
    if ConversationSession.objects.closed_to(held).filter(pk=pk).exists():
        return _see_other(reverse("conversations:more", args=[pk]))
    kept = ConversationSession.objects.filter(invitation__held_as__in=held)
    kept = kept.exclude(invitation__linked_user=None).select_related("invitation__linked_user")
    conversation = kept.filter(pk=pk).first()
    if conversation is None or conversation.invitation is None:
        return None
    context = {"owner": conversation.invitation.linked_user}
    return render(request, "conversations/kept.html", context, status=403)


def _see_other(url: str) -> HttpResponse:
    return HttpResponseRedirect(url, status=303)
