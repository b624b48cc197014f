"""A conversation page without a browser: the protocol as `static/js/` speaks it, on a real socket.

It syncs on every connect, keeps what it sent in an outbox until that is answered, counts code
points, fetches what is missing, acknowledges what it took, comes back to any server that
lives, and keeps a record of all it was told.
"""

import asyncio
import json
import random
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection, connect

from e2e.faults.absence import Presence
from e2e.faults.shown import Entry, Turn, shown

FIRST_DELAY, LONGEST_DELAY = 0.4, 8.0
CONNECT_WITHIN = 10.0
ANSWER_WITHIN = 8.0
SYNCED_WITHIN = 16.0
QUIET_FOR = 15.0
BROKEN, STEADY_AFTER = 1011, 10.0
TRY_AGAIN_AFTER = 2.0
LOOK_AGAIN_AFTER = 5.0
ACK_AFTER = 0.3
ACK_FRAMES = 100


class Page:
    """One page on one conversation, for as long as its `run` is not cancelled."""

    def __init__(
        self,
        conversation: int,
        cookie: str,
        ports: Callable[[], Sequence[int]],
        rng: random.Random | None = None,
        acknowledges: bool = True,
    ) -> None:
        self.conversation = conversation
        self.cookie = cookie
        self.ports = ports
        self.rng = rng or random.Random()
        self.acknowledges = acknowledges
        self.turns: dict[int, Turn] = {}
        self.newest = 0
        self.state: dict[str, Any] = {}
        self.outbox: dict[str, Entry] = {}
        self.accepted: dict[str, int | None] = {}
        self.refused: list[tuple[str | None, str]] = []
        self.withdrawn: dict[str, str] = {}  # client id → code of its refusal
        self.errors: list[str] = []
        self.closes: list[int | None] = []
        self.problems: list[str] = []
        self.sent: dict[str, str] = {}  # client id → text
        self.in_step = False
        self.port = 0
        self.resyncs = 0
        self.watched = ""  # the badge: who watches
        self.frames = 0
        self.chunk_times: list[float] = []
        self.presence = Presence()
        self._socket: ClientConnection | None = None
        # A sync is under way, and something was missed since it was asked for.
        self._asked = 0.0
        self._again = False
        # When something came last, and when a ping went out that nothing came after.
        self._heard = self._called = 0.0
        self._retries: set[asyncio.Task[None]] = set()
        self._tries = 0
        self._since = 0.0  # since when it is in step
        self._unacknowledged = 0
        self._task: asyncio.Task[None] | None = None

    # --- The line ---

    def open(self) -> "Page":
        self._task = asyncio.get_running_loop().create_task(self._run())
        return self

    async def close(self) -> None:
        """Leave, as by closing the tab."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled() and (error := self._task.exception()):
                raise error

    def cut(self) -> None:
        """Lose the line without a word, as on a train."""
        if self._socket is not None and self._socket.transport is not None:
            self._socket.transport.abort()

    async def _run(self) -> None:
        while True:
            ports = list(self.ports())
            self.rng.shuffle(ports)
            for port in ports:
                try:
                    await self._visit(port)
                except (OSError, TimeoutError, websockets.InvalidHandshake) as error:
                    self.presence.note(f"not let in by {port}: {error!r}")
                    continue  # as a balancer would, the next one
                else:
                    break
            longest = min(LONGEST_DELAY, FIRST_DELAY * 2**self._tries)
            self._tries += 1
            delay = longest * self.rng.uniform(0.5, 1)
            self.presence.note(f"waits {delay:.1f} s")
            await asyncio.sleep(delay)

    async def _visit(self, port: int) -> None:
        origin = f"http://localhost:{port}"
        socket = await connect(
            f"ws://localhost:{port}/ws/conversations/{self.conversation}/",
            host="127.0.0.1",
            additional_headers={"Cookie": self.cookie},
            origin=websockets.Origin(origin),
            open_timeout=CONNECT_WITHIN,
            close_timeout=0.5,
            ping_interval=None,
            max_size=None,
            compression=None,
        )
        minder = asyncio.get_running_loop().create_task(self._mind(socket))
        try:
            self._socket, self.port = socket, port
            self.presence.note(f"on a line with {port}")
            self._unacknowledged = self.frames = 0
            self._asked = self._called = 0.0
            self._heard = time.monotonic()
            for entry in self.outbox.values():
                entry.at = None
            await self._sync()
            async for text in socket:
                assert isinstance(text, str)
                self.frames += 1
                self._unacknowledged += 1
                self._heard, self._called = time.monotonic(), 0.0
                await self._received(json.loads(text))
                if self._unacknowledged >= ACK_FRAMES:
                    await self._acknowledge()
        except websockets.ConnectionClosed:
            pass
        finally:
            minder.cancel()
            steady = time.monotonic() - self._since > STEADY_AFTER
            if self.in_step and (socket.close_code != BROKEN or steady):
                self._tries = 0
            self.in_step, self._since = False, 0.0
            self.closes.append(socket.close_code)
            self.presence.lost(f"lost the line with {port}, code {socket.close_code}")
            self._socket = None
            if socket.transport is not None:
                socket.transport.abort()

    async def _mind(self, socket: ClientConnection) -> None:
        """The page's timers."""
        looked = time.monotonic()
        while True:
            await asyncio.sleep(ACK_AFTER)
            await self._acknowledge()
            now = time.monotonic()
            if why := self._seems_dead(now):
                self.presence.note(f"cuts the line: {why}")
                self.cut()
                return
            if not self._called and now - self._heard > QUIET_FOR:
                self._called = now
                await self.send(type="ping")
            if now - looked > LOOK_AGAIN_AFTER:
                looked = now
                if self.streaming or self.state.get("partner") or self.state.get("coach"):
                    await self._sync()

    @property
    def local_port(self) -> int:
        assert self._socket
        return int(self._socket.local_address[1])

    def _seems_dead(self, now: float) -> str:
        """Why another line would be better; empty if this one will do."""
        if any(entry.at and now - entry.at > ANSWER_WITHIN for entry in self.outbox.values()):
            return "what was sent is not answered"
        if self._called and now - self._called > ANSWER_WITHIN:
            return "nobody answers"
        if self._asked and now - self._asked > SYNCED_WITHIN:
            return "what was missed does not come"
        return ""

    async def send(self, **frame: Any) -> bool:
        """Send now; False where there is no line."""
        if self._socket is None:
            return False
        try:
            await self._socket.send(json.dumps(frame))
        except websockets.ConnectionClosed:
            return False
        return True

    async def _acknowledge(self) -> None:
        if self.acknowledges and self._unacknowledged:
            self._unacknowledged = 0
            await self.send(type="ack", frames=self.frames)

    async def _sync(self) -> None:
        self._again = self._asked > 0
        if self._again:
            return
        self._asked = time.monotonic()
        self.presence.note("asks what it missed")
        held = {str(turn.message): len(turn.grown) for turn in self.streaming}
        await self.send(type="sync", newest=self.newest, streaming=held)

    # --- What the learner does ---

    async def say(self, text: str, kind: str = "send", client_id: str | None = None) -> str:
        """Send a turn, or ask the coach (`kind="ask"`); it is sent until it is answered."""
        entry = Entry(client_id or str(uuid.uuid4()), kind, text)
        self.outbox[entry.id] = entry
        self.sent[entry.id] = text
        if self.in_step:
            await self._transmit(entry)
        return entry.id

    async def stop(self, message: int) -> None:
        await self.send(type="stop", message=message)

    async def retry(self, message: int) -> str:
        client_id = str(uuid.uuid4())
        await self.send(type="retry", id=client_id, message=message)
        return client_id

    async def _transmit(self, entry: Entry) -> None:
        entry.at = time.monotonic()
        await self.send(type=entry.type, id=entry.id, text=entry.text)

    # --- What it is told ---

    @property
    def streaming(self) -> list[Turn]:
        return [turn for turn in self.turns.values() if turn.status == "streaming"]

    def mine(self, client_id: str) -> Turn | None:
        """The learner's turn that was sent under this id, if it is on the page."""
        return next((turn for turn in self.turns.values() if turn.client_id == client_id), None)

    @property
    def last_reply(self) -> Turn | None:
        replies = [turn for turn in self.turns.values() if turn.role == "partner"]
        return max(replies, key=lambda turn: turn.message, default=None)

    async def _received(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "turn":
                await self._count(frame)
                self._place(frame)
            case "chunk":
                await self._chunk(frame)
            case "accepted":
                self._accept(frame["id"], frame["message"])
            case "refused":
                self._refuse(frame["id"], frame["code"])
            case "error":
                self.errors.append(frame["code"])
            case "state":
                self.state = frame
            case "synced":
                await self._synced()
            case "resync":
                self.presence.note("told to ask again")
                self.resyncs += 1
                self._asked = 0.0
                await self._sync()
            case "watched":
                self.watched = frame["text"]
            case "notice" | "pong":
                pass
            case other:
                self.problems.append(f"a frame of type {other}")

    async def _synced(self) -> None:
        self._asked = 0.0
        if self._again:
            await self._sync()
        self._since = self._since or time.monotonic()
        self.in_step = True
        self.presence.back()
        for entry in list(self.outbox.values()):
            await self._transmit(entry)

    def _accept(self, client_id: str, message: int | None) -> None:
        before = self.accepted.get(client_id, message)
        if None not in (before, message) and before != message:
            self.problems.append(f"{client_id} was accepted as {before} and as {message}")
        self.accepted[client_id] = message
        self.outbox.pop(client_id, None)

    def _refuse(self, client_id: str | None, code: str) -> None:
        self.refused.append((client_id, code))
        if client_id is None:
            return
        if code == "unavailable" and client_id in self.outbox:
            # It may be stored for all that anybody knows: the same again, in a moment.
            task = asyncio.get_running_loop().create_task(self._try_again(client_id))
            self._retries.add(task)
            task.add_done_callback(self._retries.discard)
            return
        known = client_id in self.accepted and client_id in self.sent
        if known and code != "unavailable":
            self.problems.append(f"{client_id} was refused ({code}) after it was accepted")
        if self.outbox.pop(client_id, None):
            self.withdrawn[client_id] = code

    async def _try_again(self, client_id: str) -> None:
        await asyncio.sleep(TRY_AGAIN_AFTER * self.rng.uniform(0.5, 1.5))
        if self.in_step and (entry := self.outbox.get(client_id)):
            await self._transmit(entry)

    async def _count(self, frame: dict[str, Any]) -> None:
        """The page has seen every turn up to `newest`; one that does not follow shows a gap."""
        if frame["message"] <= self.newest:
            return
        if frame["after"] is not None and frame["after"] <= self.newest:
            self.newest = frame["message"]
        else:
            await self._sync()

    def _place(self, frame: dict[str, Any]) -> None:
        old = self.turns.get(frame["message"])
        if frame["client_id"] in self.outbox:
            self._accept(frame["client_id"], frame["message"])
        if old is not None and frame["status"] == "streaming":
            return
        text = shown(frame["html"])
        turn = Turn(
            frame["message"],
            frame["role"],
            frame["kind"],
            frame["status"],
            frame["client_id"],
            text,
            grown=old.grown if old else (text if frame["status"] == "streaming" else ""),
            can_retry="data-retry" in frame["html"],
        )
        if old is not None and old.status != "streaming":
            if (old.status, old.text) != (turn.status, turn.text):
                self.problems.append(
                    f"message {old.message} was {old.status}, then {turn.status}, or changed"
                )
            turn.grown = old.grown
        self.turns[turn.message] = turn

    async def _chunk(self, frame: dict[str, Any]) -> None:
        turn = self.turns.get(frame["message"])
        if turn is None:
            if frame["message"] > self.newest:
                await self._sync()
            return
        if turn.status != "streaming":
            return
        have = len(turn.grown)
        if frame["index"] > have:
            if turn.asked != have:
                turn.asked = have
                await self.send(type="fetch", message=turn.message, index=have)
            return
        if turn.role == "partner":
            self.chunk_times.append(time.monotonic())
        overlap = frame["text"][: have - frame["index"]]
        if not turn.grown[frame["index"] :].startswith(overlap):
            self.problems.append(f"message {turn.message} came with two texts at {frame['index']}")
        turn.grown += frame["text"][have - frame["index"] :]
        turn.text = turn.grown
