"""The staff's desk: the stock admin under our name, with what needs somebody's attention."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, Final, cast

from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from accounts import second_factor
from conversations.models import Message
from conversations.provider import provider_problems
from invitations.models import Invitation, Wish
from scenarios.checks import troubled_scenarios

# What staff do most comes first; apps that are not named follow.
APP_ORDER: Final = ("invitations", "scenarios", "conversations", "usage", "accounts")
# Apps of Django and allauth whose models stand with ours under one heading.
PEOPLE: Final = ("auth", "account", "mfa", "socialaccount")
# Failures that learners cannot help by trying again, and what staff can do.
REMEDIES: Final = {
    "key": "the provider refuses the key. Check ANTHROPIC_API_KEY.",
    "model": "the provider does not know the model. Choose another in the scenario.",
    "spend_limit": "the provider's spending limit is reached. Raise it there.",
}


class ParleyAdminSite(admin.AdminSite):
    site_title = "Parley"
    site_header = "Parley"
    index_title = "Staff desk"

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        # Deleting is rare here and seldom meant in bulk: staff revoke or deactivate.
        self.disable_action("delete_selected")

    def get_urls(self) -> list[Any]:
        # Django's redirect to an object's own page asks for no permission, and an invitation's
        # own page is its secret link.
        return [url for url in super().get_urls() if getattr(url, "name", "") != "view_on_site"]

    def admin_view[View: Callable[..., HttpResponseBase]](
        self, view: View, cacheable: bool = False
    ) -> View:
        """As Django's; where the second factor is asked for, nothing opens without it."""
        open_view = super().admin_view(view, cacheable)

        @wraps(open_view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if second_factor.is_missing(request) and request.path != reverse("admin:logout"):
                return redirect(second_factor.way_to_show(request))
            return open_view(request, *args, **kwargs)

        return cast(View, guarded)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        listed = super().get_app_list(request, app_label)
        place = {label: index for index, label in enumerate(APP_ORDER)}
        listed.sort(key=lambda app: place.get(app["app_label"], len(place)))
        people = next((app for app in listed if app["app_label"] == "accounts"), None)
        if people is None:
            return listed
        people["name"] = "People"
        for app in listed:
            if app["app_label"] in PEOPLE:
                people["models"] += app["models"]
        return [app for app in listed if app["app_label"] not in PEOPLE]

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """The start page, with what learners ask for, silent models and refused calls."""
        context: dict[str, Any] = dict(extra_context or {})
        if request.user.has_perm("scenarios.view_scenario"):
            context["troubled"] = troubled_scenarios()
            context["refusals"] = [*provider_problems(), *recent_refusals()]
        if request.user.has_perm("invitations.change_invitation"):
            context["wishes"] = open_wishes()
        return super().index(request, context)


def open_wishes() -> list[tuple[Wish, int]]:
    """What learners wait for on their invitations, and how many of them."""
    asked = {wish.value: Count(wish.field) for wish in Wish}
    counts = Invitation.objects.filter(revoked_at=None).aggregate(**asked)
    return [(wish, counts[wish.value]) for wish in Wish if counts[wish.value]]


def recent_refusals() -> list[str]:
    """Sentences on the calls of the last 24 hours that only staff can set right."""
    since = timezone.now() - timedelta(hours=24)
    counts = (
        Message.objects.filter(failure__in=REMEDIES, timestamp__gte=since)
        .order_by()
        .values_list("failure")
        .annotate(count=Count("pk"))
    )
    return [
        f"{count} {'replies' if count > 1 else 'reply'} failed in the last 24 hours: "
        f"{REMEDIES[failure]}"
        for failure, count in counts
    ]
