from django.urls import path

from conversations import entrance, keeping, views

app_name = "conversations"

urlpatterns = [
    path("", views.conversation_list, name="list"),
    path("<int:pk>/", views.show, name="show"),
    path("<int:pk>/debrief/", views.debrief, name="debrief"),
    path("<int:pk>/more/", entrance.more, name="more"),
    path("<int:pk>/keep/", keeping.wish, name="keep"),
    path("<int:pk>/transcript.txt", views.transcript, name="transcript"),
]
