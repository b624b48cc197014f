"""Primary keys: collision-resistant strings that tell nothing of their order or time."""

from cuid2 import Cuid

_cuid = Cuid(length=24)


def new_id() -> str:
    """Return a new cuid2 of 24 characters (https://github.com/paralleldrive/cuid2)."""
    return _cuid.generate()
