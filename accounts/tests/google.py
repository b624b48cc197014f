"""The way of a browser that comes back from Google, without Google."""

from typing import Any

from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.helpers import complete_social_login
from allauth.socialaccount.models import SocialLogin
from django.http import HttpRequest, HttpResponse

CLAIMS = {
    "sub": "1089",
    "email": "gina@example.com",
    "email_verified": True,
    "name": "Gina Google",
    "given_name": "Gina",
    "picture": "https://lh3.googleusercontent.com/a/gina",
}
PROVIDERS = {"google": {"APPS": [{"client_id": "client", "secret": "secret"}]}}


def come_from_google(
    request: HttpRequest, process: str = "login", **claims: Any
) -> tuple[SocialLogin, HttpResponse]:
    """Complete a sign-in with what Google claims of somebody."""
    provider = get_adapter().get_provider(request, "google")
    login = provider.sociallogin_from_response(request, CLAIMS | claims)
    login.state = {"process": process}
    return login, complete_social_login(request, login)
