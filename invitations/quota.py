"""Quota and usage of an invitation, both JSON as the schema has them.

A quota is `{"tokens": 25000, "label": "Short conversation"}`; tokens are input (cached or
not) plus output. Usage is `{"input_tokens": …, "output_tokens": …, "held_tokens": …}`.
"""

from math import isqrt
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.expressions import Combinable
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce

MOST_TOKENS: Final = 1_000_000_000
USAGE_KEYS: Final = ("input_tokens", "output_tokens", "held_tokens")


def validate_quota(value: Any) -> None:
    """Raise `ValidationError` unless `value` is a quota with whole, positive tokens."""
    if not isinstance(value, dict):
        raise ValidationError('A quota is an object such as {"tokens": 25000, "label": "Short"}.')
    tokens = value.get("tokens")
    if type(tokens) is not int or not 0 < tokens <= MOST_TOKENS:
        raise ValidationError(f"“tokens” must be a whole number from 1 to {MOST_TOKENS:,}.")
    if not isinstance(value.get("label", ""), str):
        raise ValidationError("“label” must be text.")
    if unknown := value.keys() - {"tokens", "label"}:
        raise ValidationError(f"A quota has no “{min(unknown)}”.")


def validate_usage(value: Any) -> None:
    """Raise `ValidationError` unless `value` counts tokens in whole numbers of zero or more."""
    if not isinstance(value, dict) or value.keys() - set(USAGE_KEYS):
        raise ValidationError(f"Usage has only {', '.join(USAGE_KEYS)}.")
    if any(type(count) is not int or count < 0 for count in value.values()):
        raise ValidationError("Tokens are whole numbers of zero or more.")


# Partner and coach together, on the library's scenarios: 1,450 to 2,400 tokens for the first
# exchange and 200 more for each next one, since all that was said is input again. Rounded up,
# for people also ask the coach and want their debrief.
FIRST_EXCHANGE: Final = 2_000
EACH_NEXT: Final = 250


def exchanges(tokens: int) -> int:
    """Return about how many exchanges `tokens` are good for, at least one."""
    return max(exchanges_from(tokens, FIRST_EXCHANGE), 1)


def exchanges_from(tokens: int, cost: int, growth: int = EACH_NEXT, to_begin: int = 0) -> int:
    """Return about how many more exchanges fit if the next one costs `cost` tokens.

    Each costs `growth` more than the one before, since the conversation is read again, and
    needs `to_begin` more than it costs, which is given back at its end.
    """
    left = tokens - to_begin
    if left < cost:
        return 0
    if not growth:
        return left // cost
    # The most n with n·cost + growth·n(n - 1)/2 ≤ left; a loop takes half a second where there
    # is no limit to speak of.
    linear = 2 * cost - growth
    return (isqrt(linear**2 + 8 * growth * left) - linear) // (2 * growth)


def in_words(quota: dict[str, Any]) -> str:
    """Return how long a conversation `quota` is good for: "Quick chat, about 4 exchanges"."""
    count = exchanges(int(quota["tokens"]))
    length = f"about {count} exchanges" if count > 1 else "about one exchange"
    return f"{label}, {length}" if (label := quota.get("label", "").strip()) else length


class JSONWholeNumber(models.Func):
    """True where `key` of a JSON column is a whole number of at least `least`.

    One expression for both databases, so that it can stand in a check constraint: a missing
    key or another type is false, never NULL (which a constraint would let pass) or an error.
    """

    output_field = models.BooleanField()
    arity = 1

    def __init__(self, column: Combinable | str, *, key: str, least: int, **extra: Any) -> None:
        super().__init__(column, key=key, least=least, **extra)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self._as(
            compiler,
            connection,
            "(COALESCE(JSON_TYPE(%(expressions)s, '$.%(key)s'), '') = 'integer'"
            " AND JSON_EXTRACT(%(expressions)s, '$.%(key)s') >= %(least)d)",
            repeat=2,
            **context,
        )

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self._as(
            compiler,
            connection,
            "JSONB_PATH_EXISTS((%(expressions)s)::jsonb,"
            " '$.%(key)s ? (@.type() == \"number\" && @ >= %(least)d && @.floor() == @)')",
            repeat=1,
            **context,
        )

    def _as(self, compiler: Any, connection: Any, template: str, *, repeat: int, **context: Any):  # type: ignore[no-untyped-def]
        sql, params = super().as_sql(compiler, connection, template=template, **context)
        return sql, tuple(params) * repeat


def tokens(column: str, key: str) -> Coalesce:
    """The whole number under `key` of the JSON `column`, 0 where it is missing."""
    return Coalesce(
        Cast(KeyTextTransform(key, column), models.BigIntegerField()),
        models.Value(0),
        output_field=models.BigIntegerField(),
    )
