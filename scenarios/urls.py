"""Private scenarios; `conversations.scenario_urls` has the pages that start a conversation."""

from django.urls import path

from scenarios import views

app_name = "my_scenarios"

urlpatterns = [
    path("", views.mine, name="list"),
    path("new/", views.new, name="new"),
    path("<slug:slug>/", views.edit, name="edit"),
]
