"""`manage.py demo`: a staff account and an invitation to try on a laptop."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from invitations.demo import NotLocal, prepare


class Command(BaseCommand):
    help = "Make the demo's staff account and an invitation, if need be, and print both."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--anywhere", action="store_true", help="Even where SITE_URL names another machine."
        )

    def handle(self, *args: Any, anywhere: bool, **options: Any) -> None:
        try:
            self.stdout.write(str(prepare(anywhere=anywhere)))
        except NotLocal as refusal:
            raise CommandError(str(refusal)) from refusal
