from django.urls import path

from conversations import joining

app_name = "join"

urlpatterns = [
    # A link always has a colon between token and signature, so this is none.
    path("opened/", joining.opened, name="opened"),
    path("<str:link>/", joining.join, name="show"),
]
