"""What a starting server takes up of those that ended before it."""

import gc

from conversations.housekeeping import send_on
from conversations.replies import runner


async def take_up() -> None:
    """Go on with lost replies, and with bulk invitations that nobody sends."""
    # What is there by now stays: no collection need look through it again.
    gc.collect()
    gc.freeze()
    await runner().recover()
    await send_on()
