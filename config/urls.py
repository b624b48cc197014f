"""Every address of the site; `docs/design.md` lists them."""

from django.contrib import admin
from django.urls import include, path

from accounts import entrance
from accounts.views import AddPasskeyView, set_up_app
from config import health
from conversations import views as pages

urlpatterns = [
    path("", pages.home, name="home"),
    path("invite/", include("invitations.urls")),
    path("join/", include("invitations.join_urls")),
    path("scenarios/mine/", include("scenarios.urls")),
    path("scenarios/", include("conversations.scenario_urls")),
    path("conversations/", include("conversations.urls")),
    path("account/", include("accounts.urls")),
    # In the place of allauth's own, which send who is signing up back to the code they wait for.
    path("accounts/login/", entrance.SignInView.as_view(), name="account_login"),
    path(
        "accounts/login/code/",
        entrance.SignInByCodeView.as_view(),
        name="account_request_login_code",
    ),
    path(
        "accounts/2fa/webauthn/login/",
        entrance.SignInByPasskeyView.as_view(),
        name="mfa_login_webauthn",
    ),
    path("accounts/signup/", entrance.SignUpView.as_view(), name="account_signup"),
    # In the place of allauth's own, which ask nothing of those without a password.
    path("accounts/2fa/totp/activate/", set_up_app, name="mfa_activate_totp"),
    path("accounts/2fa/webauthn/add/", AddPasskeyView.as_view(), name="mfa_add_webauthn"),
    path("account/data/", include("conversations.privacy_urls")),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]
