"""The least that can relay a model's stream to a socket: what Parley is measured against.

Channels and the SDK as Parley uses them, with no database, fan-out, session or authorisation.
One consumer, which relays from a task.
"""

import asyncio
import json
import os
from typing import Any

import anthropic
import httpx2
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import path

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="bare")
urlpatterns: list[Any] = []
pages = get_asgi_application()

clients: list[anthropic.AsyncAnthropic] = []


def client() -> anthropic.AsyncAnthropic:
    """One client, made within the event loop, with the options of Parley's."""
    if not clients:
        clients.append(
            anthropic.AsyncAnthropic(
                api_key="none",
                base_url=os.environ["ANTHROPIC_BASE_URL"],
                max_retries=0,
                timeout=httpx2.Timeout(180, connect=10, pool=10),
                open_telemetry=False,
                http_client=httpx2.AsyncClient(
                    limits=httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
                ),
            )
        )
    return clients[0]


class Relay(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        frame = json.loads(text_data or "{}")
        if frame["type"] == "send":
            task = asyncio.create_task(self.relay(frame["text"]))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def relay(self, text: str) -> None:
        index = 0
        stream = await client().messages.create(
            model="claude-sonnet-5-5",
            max_tokens=400,
            messages=[{"role": "user", "content": text}],
            stream=True,
        )
        async with stream:
            async for event in stream:
                if event.type == "content_block_delta" and event.delta.type == "text_delta":
                    words = event.delta.text
                    chunk = {"type": "chunk", "message": 1, "index": index, "text": words}
                    await self.send(text_data=json.dumps(chunk, ensure_ascii=False))
                    index += len(words)
        await self.send(text_data=json.dumps({"type": "state", "partner": None, "coach": None}))

    async def disconnect(self, code: int) -> None:
        for task in self.tasks:
            task.cancel()


application = ProtocolTypeRouter(
    {"http": pages, "websocket": URLRouter([path("ws/bare/", Relay.as_asgi())])}
)
