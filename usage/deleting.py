"""What becomes of holds when what they belong to is deleted: an open one forbids it.

By its hold a call is charged and logged when it ends. Whoever has to delete all the same, as an
erasure does, settles first; a hold that is taken in that very moment fails by its foreign key.
"""

from typing import Any

from django.db import models


def cascade_unless_held(collector: Any, field: Any, holds: Any, using: str) -> None:
    """`on_delete` of who pays: closed holds go along."""
    _refuse_if_held(field, holds)
    models.CASCADE(collector, field, holds, using)


def unlink_unless_held(collector: Any, field: Any, holds: Any, using: str) -> None:
    """`on_delete` of what is paid for: with the reply would go whoever settles its hold."""
    _refuse_if_held(field, holds)
    models.SET_NULL(collector, field, holds, using)


def _refuse_if_held(field: Any, holds: "models.QuerySet[Any]") -> None:
    if held := set(holds.filter(settled_at=None)):
        raise models.ProtectedError(f"A model call is under way on this {field.name}.", held)
