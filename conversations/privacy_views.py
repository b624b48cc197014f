"""My data: take it along, have it erased, or keep it after all."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from typing import IO, Final, cast

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import leaving
from accounts.fresh import fresh_sign_in_required
from accounts.models import User
from config.limits import Limit
from conversations import export

# An export reads all that somebody ever said.
EXPORTS: Final = Limit("exports", 5, 3600)
PIECE: Final = 64 * 1024


@require_POST
@login_required
@fresh_sign_in_required(back="accounts:account")
@never_cache
def download(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """Everything that is the account's, as a ZIP."""
    user = cast("User", request.user)
    if not EXPORTS.take(user.pk):
        return render(request, "429.html", status=429)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed once it is sent
    export.write(User.objects.get(pk=user.pk), file)
    length = file.tell()
    file.seek(0)
    response = StreamingHttpResponse(_pieces(file), content_type="application/zip")
    name = export.file_name(timezone.now())
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Content-Length"] = str(length)
    return response


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@fresh_sign_in_required(back="privacy:erase")
@never_cache
def erase(request: HttpRequest) -> HttpResponse:
    """What an erasure takes and leaves; POST asks for it."""
    user = User.objects.get(pk=request.user.pk)
    alone = leaving.is_last_administrator(user)
    if request.method != "POST" or alone:
        context = {"days": leaving.TIME_TO_THINK.days, "alone": alone}
        status = 409 if request.method == "POST" else 200
        return render(request, "conversations/erase.html", context, status=status)
    leaving.ask(user)
    user.end_sessions()
    update_session_auth_hash(request, user)  # but not here
    messages.info(request, "Noted. You are signed out everywhere else.")
    return HttpResponseRedirect(reverse("accounts:account"), status=303)


@require_POST
@login_required
@never_cache
def keep(request: HttpRequest) -> HttpResponse:
    """The account stays after all."""
    if leaving.keep(cast("User", request.user)):
        messages.success(request, "Your account stays. Nothing was erased.")
    return HttpResponseRedirect(reverse("accounts:account"), status=303)
