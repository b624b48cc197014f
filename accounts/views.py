"""The page of one's own account."""

from typing import cast

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.views import activate_totp
from allauth.mfa.utils import is_mfa_enabled
from allauth.mfa.webauthn.views import AddWebAuthnView
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.forms import NameForm
from accounts.fresh import fresh_sign_in_required
from accounts.models import User
from accounts.second_factor import uses_app
from accounts.signed_in import devices_of, sign_out, sign_out_everywhere


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
        "devices": devices_of(user),
        "google": SocialAccount.objects.filter(user=user, provider="google").first(),
        "google_offered": bool(settings.GOOGLE_CLIENT_ID),
    }
    return render(request, "accounts/account.html", context)


@require_POST
@login_required
def end_device(request: HttpRequest, pk: str) -> HttpResponse:
    """Sign one of the visitor's other browsers out."""
    device = get_object_or_404(cast("User", request.user).devices, pk=pk)
    sign_out(device)
    messages.success(request, f"{device} is signed out.")
    return HttpResponseRedirect(reverse("accounts:account"), status=303)


@require_POST
@login_required
def end_everywhere(request: HttpRequest) -> HttpResponse:
    """Sign the visitor out on every device, this one too."""
    sign_out_everywhere(cast("User", request.user))
    logout(request)
    messages.success(request, "You are signed out on every device.")
    return HttpResponseRedirect(reverse("account_login"), status=303)


# Whoever finds a screen open must not make it theirs for good, where no password is asked for.
set_up_app = fresh_sign_in_required("mfa_activate_totp", to_look=True)(activate_totp)


@method_decorator(fresh_sign_in_required("mfa_add_webauthn", to_look=True), name="dispatch")
class AddPasskeyView(AddWebAuthnView):
    """Recovery codes are shown to those who may need one; a learner still has the emailed code."""

    def get_success_url(self) -> str:
        if is_mfa_enabled(self.request.user):
            return str(super().get_success_url())
        return reverse("accounts:account")
