"""A line to PostgreSQL that breaks once something is committed, before anybody hears of it."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

COMMIT: Final = b"COMMIT\x00"


class CuttingLine:
    """Listens in place of PostgreSQL at `port`, and cuts a line where `cuts()` says so."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self.cuts: Callable[[], bool] = lambda: False
        self.count = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                caller = self._listening.accept()[0]
                threading.Thread(target=self._join, args=(caller,), daemon=True).start()

    def _join(self, caller: socket.socket) -> None:
        with caller, suppress(OSError), socket.create_connection(("127.0.0.1", self._behind)) as to:
            # Set while the answer to a COMMIT is awaited that nobody is to hear.
            unheard = threading.Event()
            back = threading.Thread(target=self._back, args=(to, caller, unheard), daemon=True)
            back.start()
            while data := caller.recv(65536):
                if COMMIT in data and self.cuts():
                    unheard.set()
                to.sendall(data)
            to.shutdown(socket.SHUT_RDWR)

    def _back(self, to: socket.socket, caller: socket.socket, unheard: threading.Event) -> None:
        with suppress(OSError):
            while data := to.recv(65536):
                if unheard.is_set():
                    # It has answered, so it has committed.
                    self.count += 1
                    break
                caller.sendall(data)
        with suppress(OSError):
            caller.shutdown(socket.SHUT_RDWR)
