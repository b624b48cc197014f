"""`manage.py demo_link`: a fresh invitation to try on a laptop."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from invitations.demo import NotLocal, fresh_link


class Command(BaseCommand):
    help = "Print a fresh invitation link to the demo."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--anywhere", action="store_true", help="Even where SITE_URL names another machine."
        )

    def handle(self, *args: Any, anywhere: bool, **options: Any) -> None:
        try:
            self.stdout.write(fresh_link(anywhere=anywhere))
        except NotLocal as refusal:
            raise CommandError(str(refusal)) from refusal
