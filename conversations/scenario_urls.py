"""The catalogue of scenarios; its pages start conversations, so they live in this app."""

from django.urls import path

from conversations import views

app_name = "scenarios"

urlpatterns = [
    path("", views.scenario_list, name="list"),
    path("<slug:slug>/", views.scenario, name="detail"),
]
