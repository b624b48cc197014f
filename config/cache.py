"""The shared cache, which nobody has to wait for: it may be away, and then it is empty."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.redis import RedisCache
from redis import RedisError

logger = logging.getLogger(__name__)

# Seconds without another try after one that failed.
PAUSE: Final = 5.0


class ForgivingRedisCache(RedisCache):
    """Redis for rate limits and other things that one can do without.

    While it is away nothing is found, nothing is kept and every `add` is the first, so limits
    let people in; the log says so once. Each process asks again every `PAUSE` seconds.
    """

    def __init__(self, server: Any, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._away_until = 0.0
        self._is_away = False

    def _ask[T](self, instead: T, command: Callable[..., T], *args: Any) -> T:
        if time.monotonic() < self._away_until:
            return instead
        try:
            answer = command(*args)
        except (RedisError, OSError) as error:
            self._away_until = time.monotonic() + PAUSE
            if not self._is_away:
                logger.warning("Rate limits are off, the cache is away: %s", type(error).__name__)
            self._is_away = True
            return instead
        if self._is_away:
            self._is_away = False
            logger.warning("The cache is back, and with it the rate limits.")
        return answer

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None) -> Any:
        return self._ask(True, super().add, key, value, timeout, version)

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        return self._ask(default, super().get, key, default, version)

    def set(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None
    ) -> None:
        self._ask(None, super().set, key, value, timeout, version)

    def delete(self, key: Any, version: Any = None) -> Any:
        return self._ask(False, super().delete, key, version)

    def incr(self, key: Any, delta: int = 1, version: Any = None) -> int:
        """Raises `ValueError` for a key that is not there, as every one while Redis is away."""
        count = self._ask(None, super().incr, key, delta, version)
        if count is None:
            raise ValueError(f"Key '{key}' not found.")
        return int(count)

    def clear(self) -> None:
        """Forget what this site keeps, where Django's would empty the Redis for all sites."""
        client = self._cache.get_client(None, write=True)
        for key in client.scan_iter(match=f"{self.key_prefix}:*", count=1000):
            client.delete(key)
