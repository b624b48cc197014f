"""The page of one's own account."""

from typing import cast

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
        "google": SocialAccount.objects.filter(user=user, provider="google").first(),
        "google_offered": bool(settings.GOOGLE_CLIENT_ID),
    }
    return render(request, "accounts/account.html", context)
