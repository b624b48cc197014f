"""`manage.py serve`: from an empty folder to a server that answers."""

import hashlib
import io
import sys
from argparse import ArgumentParser
from typing import Any, Final

from channels.routing import get_default_application
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from config import server
from config.checks import several_processes
from config.ports import is_taken, taken_message
from conversations.context import on_stage
from conversations.database import AWAY
from invitations import demo

UNREACHABLE: Final = (
    "The database cannot be reached, or went away meanwhile. See that it runs and that "
    "DATABASE_URL names it, then start again."
)


class Command(BaseCommand):
    help = "Prepare the database, the scenarios and the static files, then serve."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.HOST)
        parser.add_argument("--port", type=int, default=settings.PORT)
        parser.add_argument("--processes", type=int, default=settings.PROCESSES)
        parser.add_argument("--socket", type=int, help="An inherited socket to serve from.")
        parser.add_argument("--parent", type=int, help="The process that lent it.")

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        if options["socket"] is not None:
            # One of several: the process that started it has prepared everything.
            socket, parent = options["socket"], options["parent"]
            server.serve_for_another(get_default_application(), socket, parent)
            return
        if is_taken(host, port):
            raise CommandError(taken_message(port))
        processes = options["processes"]
        if problems := several_processes(processes):
            raise CommandError(" ".join(problems))
        try:
            self.say("Database", self.migrate())
            access = self.content()
        except AWAY:
            raise CommandError(UNREACHABLE) from None
        self.say("Content", "demo ready" if access else "scenario library loaded")
        self.say("Static files", self.collect_static())
        self.say("Server", settings.SITE_URL)

        def ready() -> None:
            self.stdout.write(f"\nModel:    {speaks()}")
            if access:
                self.stdout.write(str(access))
            self.stdout.flush()

        if processes > 1:
            connections.close_all()
            server.serve_from_several(host, port, processes, ready)
        # Imported only now: the middleware lists the static files when it is made.
        elif not server.serve(get_default_application(), server.endpoints_for(host, port), ready):
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
