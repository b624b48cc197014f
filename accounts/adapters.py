"""Where allauth asks us: what an account is made of, and whose address counts as proven."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialLogin
from django.core.mail import EmailMessage
from django.http import Http404, HttpRequest
from django.urls import reverse

from accounts.models import User
from config import addresses

NAME_LENGTH = 200


class AccountAdapter(DefaultAccountAdapter):
    """Accounts by email, with a name; mails that say they come from a machine."""

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        user.name = form.cleaned_data.get("name") or user.name
        return super().save_user(request, user, form, commit)

    def login(self, request: HttpRequest, user: User) -> None:
        records = get_authentication_records(request, user)
        if user.last_login_at is None and records and records[-1]["method"] == "code":
            # Whoever set the password never showed that the mailbox is theirs. Its owner is
            # here now, so a password that somebody else chose must not open their account.
            user.set_unusable_password()
            user.save(update_fields=["password"])
        super().login(request, user)

    def render_mail(
        self,
        template_prefix: str,
        email: str | list[str],
        context: dict[str, Any],
        headers: dict[str, str] | None = None,
    ) -> EmailMessage:
        headers = {"Auto-Submitted": "auto-generated"} | (headers or {})
        return super().render_mail(template_prefix, email, context, headers)

    def get_client_ip(self, request: HttpRequest) -> str:
        return addresses.of_request(request)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("accounts:account")


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    """Google fills `google_id`, `avatar_url` and an empty name; it never joins accounts itself."""

    def get_app(self, request: HttpRequest, provider: str, client_id: str | None = None) -> Any:
        """As allauth's; where the environment names none, there is no such page."""
        try:
            return super().get_app(request, provider, client_id)
        except SocialApp.DoesNotExist:
            raise Http404 from None

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: Any) -> User:
        user: User = super().populate_user(request, sociallogin, data)
        fill_from_google(user, sociallogin.account)
        return user

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        if sociallogin.is_existing and sociallogin.state.get("process") != "connect":
            fill_from_google(sociallogin.user, sociallogin.account, save=True)

    def get_connect_redirect_url(self, request: HttpRequest, socialaccount: SocialAccount) -> str:
        if socialaccount.user_id and socialaccount.user_id == request.user.pk:
            fill_from_google(socialaccount.user, socialaccount, save=True)
        return reverse("accounts:account")


def fill_from_google(user: User, account: SocialAccount, *, save: bool = False) -> None:
    """Copy what Google says of the account's holder to `user`; a name of theirs stays."""
    if account.provider != "google":
        return
    said = account.extra_data or {}
    user.name = user.name or str(said.get("name") or "")[:NAME_LENGTH]
    picture = str(said.get("picture") or "")
    user.avatar_url = picture if picture.startswith("https://") and len(picture) <= 500 else None
    if not User.objects.filter(google_id=account.uid).exclude(pk=user.pk).exists():
        user.google_id = account.uid
    if save:
        user.save(update_fields=["name", "avatar_url", "google_id", "updated_at"])
