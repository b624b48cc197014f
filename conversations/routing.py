"""Socket addresses. An unknown one is refused, where Channels by itself would raise an error."""

from channels.generic.websocket import AsyncWebsocketConsumer
from django.urls import path, re_path

from conversations.consumers import ConversationConsumer
from conversations.watching import WatchingConsumer


class Nowhere(AsyncWebsocketConsumer):
    """Refuses the handshake, as for a conversation that is not the visitor's."""

    channel_layer_alias = "none"

    async def connect(self) -> None:
        await self.close()


websocket_urlpatterns = [
    path("ws/conversations/<int:pk>/", ConversationConsumer.as_asgi()),
    path("ws/watch/<str:viewing>/", WatchingConsumer.as_asgi()),
    re_path(r"", Nowhere.as_asgi()),
]
