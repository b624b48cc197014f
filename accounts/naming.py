"""Whether a text names somebody by a word of theirs: an address, or an id."""

import re
from collections.abc import Iterable


def naming(words: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that finds each of `words` by itself, in whatever case.

    ann@example.com is no part of joann@example.com or of ann@example.com.au. Without words it
    finds nothing.
    """
    each = "|".join(map(re.escape, words))
    return re.compile(rf"(?<![\w.+-])(?:{each})(?![\w-]|\.\w)" if each else r"(?!)", re.IGNORECASE)
