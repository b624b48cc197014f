"""`manage.py serve`: from an empty folder to a server that answers, in one process."""

import asyncio
import hashlib
import io
import sys
from argparse import ArgumentParser
from typing import Any

from channels.routing import get_default_application
from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from config.ports import is_taken, taken_message
from conversations.context import on_stage
from invitations import demo


class Command(BaseCommand):
    help = "Prepare the database, the scenarios and the static files, then serve."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.HOST)
        parser.add_argument("--port", type=int, default=settings.PORT)

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        if is_taken(host, port):
            raise CommandError(taken_message(port))
        self.say("Database", self.migrate())
        access = self.content()
        self.say("Content", "demo ready" if access else "scenario library loaded")
        self.say("Static files", self.collect_static())
        self.say("Server", settings.SITE_URL)

        def ready() -> None:
            self.stdout.write(f"\nModel:    {speaks()}")
            if access:
                self.stdout.write(str(access))
            self.stdout.flush()

        # Imported only now: the middleware lists the static files when it is made.
        server = GracefulServer(
            application=get_default_application(),
            endpoints=build_endpoint_description_strings(host=host, port=port),
            ready_callable=ready,
        )
        server.run()
        if server.abort_start:
            raise CommandError(taken_message(port))

    def say(self, part: str, state: str) -> None:
        self.stdout.write(f"  {part:<13} {state}")
        self.stdout.flush()

    def migrate(self) -> str:
        """Bring the database up to date; the plan alone is cheaper than an empty run."""
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if not plan:
            return "up to date"
        call_command("migrate", interactive=False, verbosity=0)
        return f"{len(plan)} migrations applied"

    def content(self) -> demo.DemoAccess | None:
        """Load the scenario library and, on a laptop, make a way in."""
        call_command("load_scenarios", stdout=io.StringIO())
        try:
            return demo.prepare()
        except demo.NotLocal:
            return None

    def collect_static(self) -> str:
        """Collect and compress static files, unless none changed since the last time."""
        stamp = settings.STATIC_ROOT / "collected"
        digest = static_digest()
        if stamp.exists() and stamp.read_text() == digest:
            return "up to date"
        call_command("collectstatic", interactive=False, verbosity=0)
        stamp.write_text(digest)
        return "collected"


class GracefulServer(Server):  # type: ignore[misc]
    """daphne, which on SIGTERM also minds connections that have no application yet."""

    def kill_all_applications(self) -> Any:
        done: asyncio.Future[None] = asyncio.get_event_loop().create_future()
        done.set_result(None)
        for details in self.connections.values():
            # Idle or just accepted: daphne would raise a KeyError and end none of the others.
            details.setdefault("application_instance", done)
        return super().kill_all_applications()


def speaks() -> str:
    """One line that says which model plays the other person."""
    stage = on_stage()
    if stage.understudy:
        return "the understudy speaks; set ANTHROPIC_API_KEY for a real one (see README.md)"
    at = f" at {settings.ANTHROPIC_BASE_URL}" if settings.ANTHROPIC_BASE_URL else ""
    return f"{stage.name}{at} speaks"


def static_digest() -> str:
    """A digest of every static file's name, size and time, and of what collects them."""
    seen = hashlib.sha256(repr((sys.version_info, settings.STORAGES["staticfiles"])).encode())
    for finder in get_finders():
        for name, storage in finder.list([]):
            modified = storage.get_modified_time(name).timestamp()
            seen.update(f"{name}\0{storage.size(name)}\0{modified}\n".encode())
    return seen.hexdigest()
