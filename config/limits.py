"""How often somebody may do something: counts in the cache that all processes share."""

import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass

from django.core.cache import cache


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` times within `seconds`, counted by whatever key one chooses.

    Two counters make a window that slides: of the last whole period counts the part that is
    less than `seconds` ago, as if it had been spread evenly
    (https://blog.cloudflare.com/counting-things-a-lot-of-different-things/).
    """

    name: str
    amount: int
    seconds: int

    def take(self, key: object) -> bool:
        """Count one more for `key`; return whether that is within the limit.

        What is refused counts too: who goes on trying stays out. Where the cache is away
        everybody is let in.
        """
        period, elapsed = divmod(time.time(), self.seconds)
        past = cache.get(self._name(key, int(period) - 1), 0)
        now = self._name(key, int(period))
        # Longer than it is needed: a counter must not run out between these two.
        cache.add(now, 0, self.seconds * 2)
        try:
            count = cache.incr(now)
        except ValueError:
            return True
        return past * (1 - elapsed / self.seconds) + count <= self.amount

    def admit(self, key: object) -> bool:
        """As `take`, but what is refused does not count: who goes on trying gets their turn.

        For a door at which many wait behind one address, not for guesses at a secret.
        """
        if self.take(key):
            return True
        self.give_back(key)
        return False

    def give_back(self, key: object) -> None:
        """Count one less for `key`, of what was just counted and came to nothing."""
        with suppress(ValueError):  # its counter is gone, or the cache is away
            cache.decr(self._name(key, int(time.time() // self.seconds)))

    def _name(self, key: object, period: int) -> str:
        # Hashed: addresses and session keys do not belong in a cache that others read.
        digest = hashlib.sha256(str(key).encode()).hexdigest()[:32]
        return f"limit:{self.name}:{digest}:{period}"
