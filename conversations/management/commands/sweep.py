"""Take over replies whose process has died: for a timer, or after a crash."""

import asyncio
from typing import Any

from django.core.management.base import BaseCommand

from conversations.replies import runner


class Command(BaseCommand):
    help = "Close replies whose process has died, and finish the partner's again, once."

    def handle(self, *args: Any, **options: Any) -> None:
        taken = asyncio.run(self.sweep())
        self.stdout.write(f"Lost replies taken over: {taken}")

    async def sweep(self) -> int:
        taken = await runner().recover()
        await runner().wait()
        return taken
