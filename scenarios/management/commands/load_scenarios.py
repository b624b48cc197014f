"""`manage.py load_scenarios`: put the library's scenarios into the database."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from scenarios.library import FIELDS, LibraryError, LibraryScenario, digest, read_library
from scenarios.models import Scenario


class Command(BaseCommand):
    help = "Add the library's scenarios, and update those that nobody has changed here."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            library = read_library()
        except LibraryError as error:
            raise CommandError(str(error)) from error
        with transaction.atomic():
            outcomes = [(scenario.slug, load(scenario)) for scenario in library]
        for slug, outcome in outcomes:
            self.stdout.write(f"{slug}: {outcome}")


def load(scenario: LibraryScenario) -> str:
    """Bring one scenario's row up to the library, unless somebody changed it here.

    A row carries the digest of the library content it was last loaded from. As long as its
    content still has that digest it is the library's and follows it; otherwise it is the
    staff's and stays. Whether it is active, and which models it names, is always the staff's.
    Call it inside a transaction.

    Returns:
        `added`, `updated`, `unchanged` or `kept, changed here`.
    """
    row = Scenario.objects.select_for_update().filter(slug=scenario.slug).first()
    if row is None:
        Scenario.objects.create(
            slug=scenario.slug, library_digest=scenario.digest, **scenario.fields
        )
        return "added"
    current = digest(row)
    if current == scenario.digest:
        if row.library_digest != current:
            # Changed back to the library's own words: from now on it follows the library again.
            row.library_digest = current
            row.save(update_fields=["library_digest"])
        return "unchanged"
    if current != row.library_digest:
        return "kept, changed here"
    for name, value in scenario.fields.items():
        setattr(row, name, value)
    row.library_digest = scenario.digest
    row.save(update_fields=[*FIELDS, "library_digest", "updated_at"])
    return "updated"
