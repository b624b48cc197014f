from django.urls import path

from conversations import entrance
from invitations.leaving import leave
from invitations.own_link import own_link

app_name = "invitations"

urlpatterns = [
    # A link always has a colon between token and signature, so this is none.
    path("opened/", entrance.opened, name="opened"),
    path("leave/", leave, name="leave"),
    path("own/<str:pk>/", own_link, name="own_link"),
    path("<str:link>/", entrance.invite, name="show"),
]
