from django.urls import path

from conversations import entrance

app_name = "invitations"

urlpatterns = [
    # A link always has a colon between token and signature, so this is none.
    path("opened/", entrance.opened, name="opened"),
    path("<str:link>/", entrance.invite, name="show"),
]
