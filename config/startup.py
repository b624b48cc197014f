"""What a starting server takes up of those that ended before it."""

from asgiref.sync import sync_to_async

from conversations.replies import runner
from invitations import sending


async def take_up() -> None:
    """Go on with lost replies, and with bulk invitations that nobody sends."""
    await runner().recover()
    await sync_to_async(sending.resume_soon)()
