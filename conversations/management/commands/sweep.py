"""Take over what a dead process has left, and erase whom it is time to: for a timer."""

import asyncio
from typing import Any

from django.core.management.base import BaseCommand

from conversations.erasure import erase_due
from conversations.replies import runner
from invitations import sending


class Command(BaseCommand):
    help = (
        "Close replies whose process has died, and finish the partner's again, once; "
        "erase accounts whose week is over; send bulk invitations to their end."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        taken = asyncio.run(self.sweep())
        self.stdout.write(f"Lost replies taken over: {taken}")
        self.stdout.write(f"Accounts erased: {erase_due()}")
        self.stdout.write(f"Bulk invitations sent on: {self.send()}")

    def send(self) -> int:
        """Send what waits, a few at a time, until nothing new is left. Returns how many."""
        taken: set[str] = set()
        # One that breaks each time would come for ever.
        while new := {sender.name: sender for sender in sending.resume()}:
            for sender in new.values():
                sender.join()
            if taken >= new.keys():
                break
            taken |= new.keys()
        return len(taken)

    async def sweep(self) -> int:
        taken = await runner().recover()
        await runner().wait()
        return taken
