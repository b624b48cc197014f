"""What a starting server takes up of those that ended before it."""

from conversations.housekeeping import send_on
from conversations.replies import runner


async def take_up() -> None:
    """Go on with lost replies, and with bulk invitations that nobody sends."""
    await runner().recover()
    await send_on()
