"""Triggers by which a change of the log undoes the sums of its day, whoever makes the change.

Made after every `migrate`: SQLite drops a table's triggers when a later migration rebuilds it.
"""

from typing import Any, Final

from django.db import connections

# A statement on the log, and the rows of it whose days are concerned.
EVENTS: Final = (("INSERT", "NEW"), ("UPDATE", "OLD"), ("UPDATE", "NEW"), ("DELETE", "OLD"))
FUNCTION: Final = """
CREATE OR REPLACE FUNCTION usage_reopen_days() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM usage_reportedday WHERE day IN (
        SELECT DISTINCT ("timestamp" AT TIME ZONE 'UTC')::date FROM changed
    );
    RETURN NULL;
END $$
"""


def install(sender: object, using: str, **extra: Any) -> None:
    """Receive `post_migrate` and make the triggers that are missing."""
    connection = connections[using]
    if "usage_reportedday" not in connection.introspection.table_names():
        return  # migrated back to before it
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(FUNCTION)
        for event, rows in EVENTS:
            cursor.execute(_trigger(connection.vendor, event, rows))


def _trigger(vendor: str, event: str, rows: str) -> str:
    name = f"usage_reopen_{event}_{rows}".lower()
    if vendor == "postgresql":
        # For each statement, so that a bulk insert asks once.
        return (
            f"CREATE OR REPLACE TRIGGER {name} AFTER {event} ON usage_usagelog"
            f" REFERENCING {rows} TABLE AS changed"
            " FOR EACH STATEMENT EXECUTE FUNCTION usage_reopen_days()"
        )
    return (
        f"CREATE TRIGGER IF NOT EXISTS {name} AFTER {event} ON usage_usagelog BEGIN"
        f" DELETE FROM usage_reportedday WHERE day = substr({rows}.timestamp, 1, 10); END"
    )
