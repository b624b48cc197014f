from django.urls import path

from conversations import privacy_views

app_name = "privacy"

urlpatterns = [
    path("export/", privacy_views.download, name="export"),
    path("erase/", privacy_views.erase, name="erase"),
    path("keep/", privacy_views.keep, name="keep"),
]
