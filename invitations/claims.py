"""What a browser holds: the invitations it took up, and the one it is about to take up.

The session keeps `Invitation.held_as`, never links: a leaked session table opens nothing, and a
new link ends what browsers held by the old one.
"""

from collections.abc import MutableMapping
from typing import Any, Final

from django.db import transaction
from django.http import HttpRequest
from django.middleware.csrf import rotate_token

from accounts.models import User
from invitations.models import Invitation

HELD: Final = "invitations"
AT_THE_DOOR: Final = "invitation_at_the_door"
MOST_HELD: Final = 50

Session = MutableMapping[str, Any]


def held_invitations(session: Any) -> list[str]:
    """Return `held_as` of the invitations that this browser took up; for requests and sockets."""
    return list(session.get(HELD, [])) if session else []


def claim(request: HttpRequest, invitation: Invitation) -> bool:
    """Take `invitation` up for the visitor: their account, or this browser.

    Returns whether they may use it. The session gets a new key by it, so that nobody who knew
    the old one comes in too.
    """
    if not invitation.claim(account_of(request)):
        return False
    request.session.cycle_key()
    others = [key for key in held_invitations(request.session) if key != invitation.held_as]
    request.session[HELD] = [*others, invitation.held_as][-MOST_HELD:]
    return True


def forget(request: HttpRequest) -> None:
    """Forget all that this browser holds as a guest's; the next person at it is somebody else.

    A guest's session ends, and its sockets with it. The CSRF secret, by which a group knows the
    browser, is a new one.
    """
    if request.user.is_authenticated:
        for key in (HELD, AT_THE_DOOR):
            request.session.pop(key, None)
    else:
        request.session.flush()
    rotate_token(request)


def replace_link(request: HttpRequest, invitation: Invitation) -> None:
    """Give `invitation`, which this browser holds, a new link; every other copy is closed by it.

    The session is stored in the same transaction: a second press must find what this one left.
    """
    with transaction.atomic():
        before = invitation.held_as
        invitation.new_link()
        held = held_invitations(request.session)
        request.session[HELD] = [invitation.held_as if key == before else key for key in held]
        request.session.save()


def is_holder(request: HttpRequest, invitation: Invitation) -> bool:
    """Whether the visitor took `invitation` up before, in this browser or by their account."""
    if invitation.linked_user_id:
        return invitation.linked_user_id == request.user.pk
    return invitation.held_as in held_invitations(request.session)


def is_somebody_else(user: User | None, invitation: Invitation) -> bool:
    """Whether `invitation` was sent to another address than any of `user`, who is signed in."""
    return (
        user is not None
        and invitation.linked_user_id is None
        and bool(invitation.recipient_email)
        and not user.owns(invitation.recipient_email)
    )


def looks_on(user: User | None, invitation: Invitation) -> bool:
    """Whether `user` is the inviter, or of the staff, and not whom `invitation` waits for."""
    if user is None or user.pk == invitation.linked_user_id:
        return False
    is_recipient = user.email.casefold() == invitation.recipient_email.casefold()
    return not is_recipient and (user.is_staff or user.pk == invitation.created_by_id)


def is_meant(request: HttpRequest, invitation: Invitation) -> bool:
    """Whether the visitor has seen whose `invitation` becomes by their press of a button.

    Not where they signed in or out since the page came, nor where they are somebody else than
    it was sent to and have not chosen.
    """
    chosen = request.POST.get("action") in ("account", "guest")
    stranger = is_somebody_else(account_of(request), invitation)
    return is_as_shown(request) and (chosen or not stranger)


def is_as_shown(request: HttpRequest) -> bool:
    """Whether the visitor is still signed in, or not, as when the page came."""
    user = account_of(request)
    now = user.pk if user else ""
    return request.POST.get("visitor", now) == now


def wait_at_the_door(session: Session, invitation: Invitation) -> None:
    """Remember `invitation` while the visitor signs in."""
    session[AT_THE_DOOR] = invitation.held_as


def at_the_door(session: Session) -> Invitation | None:
    """Return the invitation that the visitor had opened before they went to sign in."""
    key = session.get(AT_THE_DOOR)
    if not key:
        return None
    found = Invitation.objects.select_related("scenario", "created_by")
    return found.filter(held_as=key).first()


def account_of(request: HttpRequest) -> User | None:
    """Return the visitor's account; None for a guest."""
    return request.user if request.user.is_authenticated else None
