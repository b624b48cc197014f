"""daphne in one process or in several on one socket, with a shutdown that loses nothing."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server
from django.conf import settings
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from config.shutdown import leave
from config.sockets import MOST_BYTES, Protocol
from config.startup import take_up
from conversations.housekeeping import Housekeeper

# Seconds before a process that ended by itself is started again.
PAUSE: Final = 1.0
# Seconds that processes get to end, beyond those that running replies have.
GRACE: Final = 5.0


class GracefulServer(Server):
    """daphne, which takes over lost replies at its start, keeps house, and drains at its end."""

    housekeeper = Housekeeper()
    # The process that started this one and whose end is its end; None where there is none.
    parent: int | None = None

    def __init__(self, **options: Any) -> None:
        limits = dict.fromkeys(
            ("websocket_max_message_size", "websocket_max_frame_size"), MOST_BYTES
        )
        super().__init__(**limits, **options)

    def run(self) -> None:
        # Before anything is accepted: the reactor runs this first.
        reactor.callWhenRunning(self._begin)
        super().run()

    def _begin(self) -> None:
        self.ws_factory.protocol = Protocol
        self.recovery = asyncio.ensure_future(take_up())
        self.housekeeper.start()
        if self.parent is not None:
            self._mind(self.parent)

    def _mind(self, parent: int) -> None:
        # However the parent ended: one that was killed told nobody, and its port is still ours.
        if os.getppid() == parent:
            asyncio.get_event_loop().call_later(PAUSE, self._mind, parent)
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    def kill_all_applications(self) -> Any:
        for listener in self.listeners:
            port: Any = getattr(listener, "result", None)
            if hasattr(port, "stopListening"):
                port.stopListening()
        drained = Deferred.fromFuture(asyncio.ensure_future(leave()))
        return drained.addBoth(lambda _: self._kill_the_rest())

    def _kill_the_rest(self) -> Any:
        done: asyncio.Future[None] = asyncio.get_event_loop().create_future()
        done.set_result(None)
        for details in self.connections.values():
            # Idle or just accepted: daphne would raise a KeyError and end none of the others.
            details.setdefault("application_instance", done)
        return super().kill_all_applications()


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that several processes may accept from."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(512)
    listening.setblocking(False)
    listening.set_inheritable(True)
    return listening


def serve(application: Any, endpoints: list[str], ready: Callable[[], None] | None = None) -> bool:
    """Serve until told to end. Returns whether listening worked."""
    server = GracefulServer(application=application, endpoints=endpoints, ready_callable=ready)
    server.run()
    return not server.abort_start


def serve_for_another(application: Any, number: int, parent: int) -> None:
    """Serve from an inherited socket until told to end, or until the process that lent it ends.

    `parent` is its id: by the time this one has started, it may be gone.
    """
    endpoints = list(build_endpoint_description_strings(file_descriptor=number))
    server = GracefulServer(application=application, endpoints=endpoints)
    server.parent = parent
    server.run()


def serve_from_several(host: str, port: int, processes: int, ready: Callable[[], None]) -> None:
    """Keep so many server processes running on one socket until this one is told to end."""
    listening = listening_socket(host, port)
    workers = Workers(listening, processes)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: workers.end())
    workers.keep(ready)


class Workers:
    """The server processes of one listening socket."""

    def __init__(self, listening: socket.socket, count: int) -> None:
        self._listening = listening
        self._count = count
        self._running: list[subprocess.Popen[bytes]] = []
        self._told: set[int] = set()
        self._ending = False

    def keep(self, ready: Callable[[], None]) -> None:
        """Start the processes, and again whichever ends by itself, until `end`."""
        self._running = [self._start() for _ in range(self._count)]
        ready()
        while not self._ending:
            time.sleep(0.2)
            for index, worker in enumerate(self._running):
                if worker.poll() is not None and not self._ending:
                    time.sleep(PAUSE)
                    if not self._ending:
                        self._running[index] = self._start()
        # Also those that were being started when it came.
        self.end()
        deadline = time.monotonic() + settings.DRAIN_SECONDS + GRACE
        for worker in self._running:
            try:
                worker.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()

    def end(self) -> None:
        """Let the processes drain and end."""
        self._ending = True
        for worker in self._running:
            if worker.poll() is None and worker.pid not in self._told:
                self._told.add(worker.pid)
                worker.send_signal(signal.SIGTERM)

    def _start(self) -> subprocess.Popen[bytes]:
        number = self._listening.fileno()
        command = [sys.executable, sys.argv[0], "serve", "--socket", str(number)]
        command += ["--parent", str(os.getpid())]
        # In a group of its own, so that Ctrl+C reaches it once, through this process.
        return subprocess.Popen(command, pass_fds=[number], env=os.environ, start_new_session=True)


def endpoints_for(host: str, port: int) -> list[str]:
    """daphne's words for an address."""
    return list(build_endpoint_description_strings(host=host, port=port))
