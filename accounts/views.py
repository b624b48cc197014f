"""The page of one's own account."""

from typing import cast

from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from allauth.mfa.webauthn.views import AddWebAuthnView
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.forms import NameForm
from accounts.models import User
from accounts.second_factor import uses_app


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def account(request: HttpRequest) -> HttpResponse:
    """Show how one signs in; POST changes the name."""
    user = User.objects.get(pk=cast("User", request.user).pk)
    form = NameForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Your name is saved.")
        return HttpResponseRedirect(reverse("accounts:account"), status=303)
    context = {
        "form": form,
        "has_password": user.has_usable_password(),
        "passkeys": Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN),
        "uses_app": uses_app(user),
        "asks_for_second_factor": settings.STAFF_SECOND_FACTOR and user.is_staff,
        "google": SocialAccount.objects.filter(user=user, provider="google").first(),
        "google_offered": bool(settings.GOOGLE_CLIENT_ID),
    }
    return render(request, "accounts/account.html", context)


class AddPasskeyView(AddWebAuthnView):
    """Recovery codes are shown to those who may need one; a learner still has the emailed code."""

    def get_success_url(self) -> str:
        if is_mfa_enabled(self.request.user):
            return str(super().get_success_url())
        return reverse("accounts:account")
