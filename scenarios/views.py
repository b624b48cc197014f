"""Private scenarios: what somebody wrote to rehearse by themselves. Nobody else finds them."""

from typing import TYPE_CHECKING, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.db.models.deletion import RestrictedError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from scenarios.models import Scenario
from scenarios.private_forms import PrivateScenarioForm

if TYPE_CHECKING:
    from accounts.models import User


@require_safe
@login_required
@never_cache
def mine(request: HttpRequest) -> HttpResponse:
    """The visitor's own scenarios; 404 for those who neither have any nor may write any."""
    user = cast("User", request.user)
    scenarios = user.scenarios.annotate(sessions_count=Count("sessions"))
    if not user.writes_scenarios and not scenarios:
        raise Http404
    return render(request, "scenarios/mine.html", {"scenarios": scenarios})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def new(request: HttpRequest) -> HttpResponse:
    """A form for a new one."""
    user = _writer(request)
    form = PrivateScenarioForm(request.POST or None, instance=Scenario(owner=user))
    if request.method == "POST" and form.is_valid():
        scenario = form.save()
        messages.success(request, "Saved. Only you see this scenario.")
        return _see_other(reverse("scenarios:detail", args=[scenario.slug]))
    return render(request, "scenarios/write.html", {"form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def edit(request: HttpRequest, slug: str) -> HttpResponse:
    """One of the visitor's own to change; only to read, or to delete, once they may write none."""
    scenario = _own(request, slug)
    action = request.POST.get("action")
    if request.method == "POST" and action == "delete":
        return _delete(request, scenario)
    if not cast("User", request.user).writes_scenarios:
        return _read_only(request, scenario)
    if request.method == "POST" and action in ("put-away", "take-up"):
        return _switch(request, scenario, active=action == "take-up")
    form = PrivateScenarioForm(request.POST or None, instance=scenario)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Saved. It holds for the next conversation.")
        return _see_other(reverse("my_scenarios:list"))
    return render(request, "scenarios/write.html", {"form": form, "scenario": scenario})


def _writer(request: HttpRequest) -> "User":
    user = cast("User", request.user)
    if not user.writes_scenarios:
        raise Http404
    return user


def _own(request: HttpRequest, slug: str) -> Scenario:
    if not request.user.is_authenticated:
        raise Http404
    return get_object_or_404(Scenario, owner=request.user, slug=slug)


def _read_only(request: HttpRequest, scenario: Scenario) -> HttpResponse:
    if request.method == "POST":
        raise Http404
    return render(request, "scenarios/read_mine.html", {"scenario": scenario})


def _delete(request: HttpRequest, scenario: Scenario) -> HttpResponse:
    try:
        scenario.delete()
    except RestrictedError:
        words = "There are conversations on it, so it stays. Put it away instead."
        messages.warning(request, words)
    else:
        messages.success(request, "Deleted.")
    return _see_other(reverse("my_scenarios:list"))


def _switch(request: HttpRequest, scenario: Scenario, *, active: bool) -> HttpResponse:
    scenario.is_active = active
    scenario.save(update_fields=["is_active", "updated_at"])
    messages.success(request, "You can start it again." if active else "Put away.")
    return _see_other(reverse("my_scenarios:list"))


def _see_other(url: str) -> HttpResponse:
    return HttpResponseRedirect(url, status=303)
