"""A lock that is given in the order in which it was asked for."""

import threading
from collections import deque


class Line:
    """Threads that wait for the same thing, served in the order in which they came."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()

    def enter(self, seconds: float) -> bool:
        """Wait for one's turn, at most so long; `leave` must follow where this is true."""
        with self._mutex:
            if not self._taken:
                self._taken = True
                return True
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        if turn.acquire(timeout=seconds):
            return True
        with self._mutex:
            if turn not in self._waiting:
                return True  # it came in the last moment
            self._waiting.remove(turn)
            return False

    def leave(self) -> None:
        """Let the next one in. Any thread may say so."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False
