"""A guest leaves a browser that others use too: what it holds is forgotten there."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from invitations import claims
from invitations.models import Invitation


@require_http_methods(["GET", "HEAD", "POST"])
def leave(request: HttpRequest) -> HttpResponse:
    """Say what this browser holds and how it opens again; POST has it forgotten."""
    held = Invitation.objects.held_by(claims.held_invitations(request.session))
    if request.method == "POST":
        claims.forget(request)
        words = "This browser has forgotten your invitations. Their links open them again."
        messages.success(request, words)
        return HttpResponseRedirect(reverse("home"), status=303)
    context = {"invitations": held.select_related("scenario", "group")}
    response = render(request, "invitations/leave.html", context)
    response["Cache-Control"] = "no-store"
    return response
