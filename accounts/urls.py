from django.urls import path

from accounts import views

app_name = "accounts"

urlpatterns = [
    path("", views.account, name="account"),
    path("devices/<str:pk>/sign-out/", views.end_device, name="end_device"),
    path("sign-out-everywhere/", views.end_everywhere, name="end_everywhere"),
]
