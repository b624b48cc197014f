"""How one of a group comes in: from its link to a personal invitation, and on from there."""

from dataclasses import replace
from functools import partial
from typing import Final
from uuid import UUID, uuid4

from asgiref.sync import sync_to_async
from django.contrib.auth import logout
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.http import urlencode

from config.limits import Limit
from conversations import doors, entrance
from conversations.doors import door
from conversations.entrance import Outcome, arrive, see_other
from conversations.readers import who_may_read
from invitations import claims
from invitations.groups import GroupLink
from invitations.mailing import one_line
from invitations.models import Invitation

AT_THE_DOOR: Final = "group_at_the_door"
MOST_NAME: Final = 200


def by_group(request: HttpRequest, **kwargs: str) -> tuple[Limit, object]:
    """Count who comes to one group from one network, with room for all of it in one lecture hall.

    Each may press twice, or sign in between. What lets nobody new in is counted by network alone,
    like a link of nothing.
    """
    group = find(request, **kwargs)
    network = doors.network_of(request)
    if group is None or not group.is_open:
        return doors.CLAIMS, network
    amount = max(doors.CLAIMS.amount, 2 * group.places)
    return replace(doors.CLAIMS, name="group-claims", amount=amount), (network, group.pk)


def find(request: HttpRequest, link: str = "") -> GroupLink | None:
    """The group of `link` or, without one, that at whose door the visitor was."""
    return GroupLink.objects.for_link(link) if link else at_the_door(request)


@partial(door, counted=by_group)
async def join(request: HttpRequest, link: str) -> HttpResponse:
    """Show what the group's `link` invites to; POST takes a place."""
    group = await sync_to_async(find)(request, link)
    return await arrive(await sync_to_async(answer)(request, group))


@partial(door, counted=by_group)
async def opened(request: HttpRequest) -> HttpResponse:
    """The same for a visitor who comes back from signing in, without the link in the address."""
    group = await sync_to_async(find)(request)
    return await arrive(await sync_to_async(answer)(request, group))


def answer(request: HttpRequest, group: GroupLink | None) -> Outcome:
    """The page about `group`; for who has a place, what their own invitation answers."""
    another = is_another(request)
    if group and not another and (place := place_of(request, group)):
        return entrance.answer(request, place)
    if group is None or group.revoked_at:
        return entrance.unavailable(request, "unknown", 404)
    action = request.POST.get("action")
    if action == doors.SIGN:
        return HttpResponse(status=204)
    if request.method != "POST" or not group.is_open or group.left < 1:
        return show(request, group)
    if action == "sign-in" and not another:
        return sign_in_first(request, group)
    if not claims.is_as_shown(request):
        return show(request, group, status=409)
    return take(request, group)


def is_another(request: HttpRequest) -> bool:
    """Whether it is somebody else than who has a place in this browser, or asks to be."""
    return "another" in (request.POST if request.method == "POST" else request.GET)


def show(request: HttpRequest, group: GroupLink, status: int = 200) -> HttpResponse:
    """What the group's link offers, or that it offers no more."""
    if not group.is_open or group.left < 1:
        context = {"group": group, "reason": group.status.value}
        return render(request, "invitations/join_closed.html", context, status=410)
    another = is_another(request) and place_of(request, group) is not None
    inviter = group.created_by
    context = {
        "group": group,
        "invitation": group,  # what the facts about one are told of
        "scenario": group.offered_scenario,
        # Never by address: the page is for whoever passes.
        "who_reads": who_may_read(inviter if inviter.name else None),
        "key": uuid4() if another else page_key(request),
        "name": request.POST.get("name", ""),
        "another": another,
    }
    return render(request, "invitations/join.html", context, status=status)


@transaction.atomic
def take(request: HttpRequest, group: GroupLink) -> Outcome:
    """Take a place for the visitor, and go in by the invitation that it makes."""
    key = _key(request)
    if key is None:
        return show(request, group, status=400)
    if is_another(request) or request.POST.get("action") == "guest":
        logout(request)
    if is_another(request):
        claims.forget(request)
    place = group.take_place(
        key,
        user=claims.account_of(request),
        held=claims.held_invitations(request.session),
        name=one_line(request.POST.get("name", ""))[:MOST_NAME],
    )
    if place is None:
        return show(request, group)
    return entrance.enter(request, place)


def place_of(request: HttpRequest, group: GroupLink) -> Invitation | None:
    """The visitor's own invitation of this group: their account's, or this browser's."""
    return group.place_of(claims.account_of(request), claims.held_invitations(request.session))


def sign_in_first(request: HttpRequest, group: GroupLink) -> HttpResponse:
    """Send the visitor to sign in, and have them come back to this group."""
    if request.user.is_authenticated:
        logout(request)
    request.session[AT_THE_DOOR] = group.pk
    query = urlencode({"next": reverse("join:opened")})
    return see_other(f"{reverse('account_login')}?{query}")


def at_the_door(request: HttpRequest) -> GroupLink | None:
    """The group whose page the visitor had opened before they went to sign in."""
    pk = request.session.get(AT_THE_DOOR)
    if not pk:
        return None
    return GroupLink.objects.select_related("scenario", "created_by").filter(pk=pk).first()


def page_key(request: HttpRequest) -> UUID:
    """The key of the page: one for all that a browser is shown in a day, as in two of its tabs.

    Not for longer: by the next day somebody else may sit there.
    """
    get_token(request)  # sees to it that there is a secret
    return _digest(f"{request.META['CSRF_COOKIE']}:{timezone.now():%Y-%m-%d}", "join-day")


def _key(request: HttpRequest) -> UUID | None:
    """What names the page that was shown, in one browser; None where the form is not whole.

    The page's key alone would open the place to whoever has a copy of the page, and what is
    stored of it would, with the group's link, to whoever has a copy of the database.
    """
    try:
        shown = UUID(request.POST.get("key", ""))
    except ValueError:
        return None
    # The browser's own, which every form needs and no page shows; only tests come without one.
    secret = request.META.get("CSRF_COOKIE")
    if not secret:
        return uuid4()
    return _digest(f"{secret}:{shown}", "join-page")


def _digest(text: str, salt: str) -> UUID:
    return UUID(bytes=salted_hmac(salt, text, algorithm="sha256").digest()[:16])
