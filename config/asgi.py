"""The ASGI application: pages through Django, sockets through Channels, start and shutdown."""

import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
pages = get_asgi_application()

# After `get_asgi_application`, which sets the apps up that these import.
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import OriginValidator  # noqa: E402
from django.conf import settings  # noqa: E402

from config.shutdown import leave  # noqa: E402
from config.startup import take_up  # noqa: E402
from conversations.housekeeping import Housekeeper  # noqa: E402
from conversations.routing import websocket_urlpatterns  # noqa: E402


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Take over what was lost when the server starts, and drain when it shuts down.

    uvicorn calls this; daphne knows no lifespan, so `manage.py serve` does the same.
    """
    housekeeper = Housekeeper()
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await take_up()
            housekeeper.start()
            await send({"type": "lifespan.startup.complete"})
        else:
            housekeeper.end()
            await leave()
            await send({"type": "lifespan.shutdown.complete"})
            return


application = ProtocolTypeRouter(
    {
        "http": pages,
        "lifespan": lifespan,
        "websocket": OriginValidator(URLRouter(websocket_urlpatterns), settings.SOCKET_ORIGINS),
    }
)
