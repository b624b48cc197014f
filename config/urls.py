"""Every address of the site; `docs/design.md` lists them."""

from django.contrib import admin
from django.urls import include, path

from conversations import views as pages
from config import health

urlpatterns = [
    path("", pages.home, name="home"),
    path("invite/", include("invitations.urls")),
    path("scenarios/", include("scenarios.urls")),
    path("conversations/", include("conversations.urls")),
    path("account/", include("accounts.urls")),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]
