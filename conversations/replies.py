"""The life of a reply: hold, stream, checkpoint, settle, one terminal state.

A reply runs in a task of its process, detached from any socket. Its row is the truth; what is
published on the way only makes it quick.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextvars import Context
from functools import partial
from itertools import count
from typing import Any, Final
from weakref import WeakKeyDictionary

from django.db import Error as DatabaseTrouble

from conversations import frames, leases, llm, marks, taking
from conversations.database import AWAY, in_thread, in_thread_later, in_writer, in_writer_later
from conversations.lanes import Reply, Step
from conversations.live import hub
from conversations.marks import Together
from conversations.models import LEASE, ConversationSession, MessageStatus
from conversations.prompts import Request
from conversations.reservations import Lost, lack, reserve_counted
from conversations.runs import Run
from conversations.strays import Strays
from usage.holds import CallRecord

logger = logging.getLogger(__name__)

CHECKPOINT_SECONDS: Final = 1.0
WATCH_SECONDS: Final = 2.0
# Close code of a server that restarts: the page comes back by itself, to another process.
RESTART: Final = 1012
# Seconds that replies which are handed over at the end of a drain have to be stored.
FAREWELL: Final = 3.0
# Seconds, about, that a reply waits for a database that is away.
PATIENCE: Final = 60


class Runner:
    """Owns the tasks of one event loop's replies."""

    def __init__(self) -> None:
        self._runs: dict[int, Run] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        # The process is to end: it takes nothing new, and what runs may go on for a while.
        self.is_leaving = False
        # Until then nobody's lease is judged: the database was away, and none could be renewed.
        self._blind_until = 0.0
        self.begin_call = Together(marks.begin_calls).do
        self.await_call = Together(marks.await_calls).do
        self._strays = Strays(
            lambda: self._runs.keys(),
            lambda message: self.act(partial(leases.adopt, message)),
            lambda: self._task(self._strays.find()),
        )
        self._watch: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        hub().on_stop(self.stop)

    def start(self, replies: Iterable[Reply]) -> None:
        """Run replies whose rows were just created under this process's lease."""
        for reply in replies:
            message = reply.message
            if message.pk in self._runs:
                continue
            stopping = self._closed or message.stop_requested_at is not None
            run = Run(reply, message.session_id, leaving=self._closed, stopping=stopping)
            self._runs[run.message] = run
            self._task(self._live(run))
        if self._runs and (self._keeper is None or self._keeper.done()):
            self._keeper = asyncio.get_running_loop().create_task(self._keep(), context=Context())

    def _task[R](self, work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
        """A task that a drain waits for."""
        # An empty context: a request's own names its database thread, which ends with it.
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def stop(self, message: int) -> None:
        """Stop a reply if it runs here; harmless otherwise."""
        if run := self._runs.get(message):
            run.stop()

    async def _live(self, run: Run) -> None:
        try:
            step = await self._to_its_end(run)
        finally:
            self._runs.pop(run.message, None)
        self.carry_out(step)

    async def _to_its_end(self, run: Run) -> Step | None:
        try:
            return await _reply_or_fail(run)
        except (Lost, ConversationSession.DoesNotExist):  # or erased with all that was said
            return None
        except DatabaseTrouble as error:
            # Whoever finds the database back, this process most likely, takes it over.
            kind = type(error).__name__
            logger.error("Reply %s could not be stored: %s", run.message, kind)
            self._strays.doubt()
            return None

    async def take[**P](
        self, work: Callable[P, Step | None], *args: P.args, **kwargs: P.kwargs
    ) -> Step | None:
        """Take a step of `turns` or `leases`; it is for the caller to `carry_out`."""
        with self._strays.step():
            return await in_writer(taking.take, partial(work, *args, **kwargs))

    async def take_later(self, work: Callable[[], Step | None]) -> Step | None:
        """The same for a step that nobody waits for at this moment."""
        with self._strays.step():
            return await in_writer_later(taking.take, work)

    async def act(
        self,
        work: Callable[[], Step | None],
        stored: Callable[[Step | None], None] = lambda step: None,
    ) -> Step | None:
        """Take a step and carry it out, even if whoever asks for it leaves meanwhile.

        `stored` is called in between. A drain waits for all of it, for what is stored must be run.
        """

        async def act() -> Step | None:
            step = await self.take(work)
            stored(step)
            self.carry_out(step)
            return step

        task = self._task(act())
        # Nobody may be left to hear of a failure.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    def carry_out(self, step: Step | None) -> None:
        """Start the replies of a step, tell everybody what changed, and stop what is to stop."""
        if step is None:
            return
        self.start(step.replies)
        for message in step.stop:
            hub().request_stop(step.conversation.pk, message)
        # All at once, so that pages hear of a reply before its words and before its end.
        for frame in step.news:
            hub().publish(step.conversation.pk, frame)

    async def _keep(self) -> None:
        """Every second, checkpoint all replies and renew their leases, until nothing runs."""
        while self._runs:
            await asyncio.sleep(CHECKPOINT_SECONDS)
            runs = dict(self._runs)
            try:
                pulses = await in_writer_later(
                    leases.checkpoint, {message: run.text for message, run in runs.items()}
                )
            except AWAY as error:  # it may be away for a while; the next one will do
                self._was_blind()
                logger.warning("Replies were not checkpointed: %s", type(error).__name__)
                continue
            except Exception:
                # One that cannot be stored must not cost all others their leases.
                logger.exception("Replies were not checkpointed")
                continue
            for message, pulse in pulses.items():
                if not pulse.ours:
                    runs[message].lost = True
                if not pulse.ours or pulse.stop:
                    runs[message].stop()

    def arrived(self, conversation: int) -> dict[int, str]:
        """All that has arrived of the replies that run here, by their ids."""
        return {
            run.message: run.text for run in self._runs.values() if run.conversation == conversation
        }

    def freshen(self, frame: frames.Frame) -> frames.Frame:
        """A chunk frame with all that has arrived, if its reply runs here; others unchanged."""
        run = self._runs.get(frame["message"]) if frame["type"] == "chunk" else None
        return frame | {"text": run.text[frame["index"] :]} if run else frame

    async def recover(self, conversation: int | None = None) -> int:
        """Take over replies whose process died; returns how many of them this call took."""
        if self.is_leaving:
            return 0
        try:
            return await self._take_over(conversation)
        except AWAY:
            self._was_blind()
            raise

    async def _take_over(self, conversation: int | None) -> int:
        taken = 0
        look = in_thread if conversation else in_thread_later
        judging = asyncio.get_running_loop().time() >= self._blind_until
        for message in await look(leases.lost, conversation, expired=judging):
            if message in self._runs:
                # Alive, and only kept from renewing its lease while the database was away.
                continue
            with contextlib.suppress(ConversationSession.DoesNotExist):  # erased meanwhile
                taken += await self.act(partial(leases.take_over, message)) is not None
        return taken

    def _was_blind(self) -> None:
        """The database was away: others may live whose leases have run out meanwhile."""
        self._blind_until = asyncio.get_running_loop().time() + LEASE.total_seconds()

    def watch(self) -> None:
        """Look for lost replies every few seconds for as long as anybody listens."""
        if self._watch is None or self._watch.done():
            self._watch = asyncio.get_running_loop().create_task(self._look(), context=Context())

    async def _look(self) -> None:
        while hub().listeners and not self.is_leaving:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await self.recover()
            except AWAY as error:
                logger.warning("Looking for lost replies failed: %s", type(error).__name__)
            except Exception:
                logger.exception("Looking for lost replies failed")

    async def wait(self) -> None:
        """Return once nothing runs any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def drain(self, seconds: float) -> None:
        """Shut down: send pages elsewhere, let replies end for so long, hand over the rest."""
        self.is_leaving = True
        for listener in hub().listeners:
            listener.hang_up(RESTART)
        try:
            async with asyncio.timeout(seconds):
                await self.wait()
        except TimeoutError:
            self._closed = True
            for run in tuple(self._runs.values()):
                run.leaving = True
                run.stop()
            # What cannot be stored by then is taken over once its lease has run out.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL):
                    await self.wait()


_runners: WeakKeyDictionary[asyncio.AbstractEventLoop, Runner] = WeakKeyDictionary()


def runner() -> Runner:
    """The runner of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _runners:
        _runners[loop] = Runner()
    return _runners[loop]


# --- One reply ------------------------------------------------------------------------------


async def _reply_or_fail(run: Run) -> Step | None:
    try:
        return await _reply(run)
    except (Lost, ConversationSession.DoesNotExist, *AWAY):
        raise
    except Exception:
        # Nothing may end a reply without a terminal state but the death of the process.
        logger.exception("Reply %s broke", run.message)
        return await _end(run, run.broken(), "error")


async def _reply(run: Run) -> Step | None:
    """Run one reply to its end, whatever that is."""
    request, hold = run.reply.request, run.reply.hold
    if hold is None and not run.stopping:
        counted = await _counted(run, request)
        take = partial(in_writer, reserve_counted, run.message, request, run.reply.since, counted)
        hold = None if run.stopping else await _patiently(run, take)
    if run.leaving:
        return await _hand_over(run, None)
    if run.stopping:
        return await _end(run, MessageStatus.STOPPED, "")
    if hold is None:
        why = partial(in_thread, lack, run.reply.message.session)
        return await _end(run, MessageStatus.FAILED, await _patiently(run, why))
    run.call = llm.Call(request, on_call=partial(_may_call, run), on_wait=partial(_wait, run))
    run.work = asyncio.create_task(_stream(run, run.call))
    status, failure = MessageStatus.COMPLETE, ""
    try:
        await run.work
        status, failure = run.ending()
    except asyncio.CancelledError:
        if not run.stopping:
            raise
        # What was whole by then is not half of a reply.
        status, failure = run.ending() if run.call.finished else (MessageStatus.STOPPED, "")
    except llm.CallError as error:
        failure = error.trouble
        lost = run.length or failure == llm.Trouble.DROPPED
        status = MessageStatus.INTERRUPTED if lost else MessageStatus.FAILED
    finally:
        # Its failure refers to its frames, and they to `run`: no circle for the garbage collector.
        run.work = None
    if run.lost:
        return None
    if run.leaving and status == MessageStatus.STOPPED:
        return await _hand_over(run, run.record(failure))
    return await _end(run, status, failure)


async def _counted(run: Run, request: Request) -> int | None:
    """The provider's own count of `request`; None also where the reply is stopped meanwhile."""
    counting = asyncio.create_task(llm.count_tokens(request))
    run.work = counting
    try:
        return await counting
    except asyncio.CancelledError:
        if not run.stopping:
            raise
        return None


async def _stream(run: Run, call: llm.Call) -> None:
    async with contextlib.aclosing(call.text()) as chunks:
        async for text in chunks:
            index = run.length
            run.parts.append(text)
            run.length += len(text)
            hub().publish(run.conversation, frames.chunk(run.message, index, text))


async def _end(run: Run, status: MessageStatus, failure: str) -> Step | None:
    end = partial(
        leases.finish,
        run.message,
        status=status,
        content=run.text,
        failure=failure,
        record=run.record(failure),
        leaving=runner().is_leaving,
    )
    return await _patiently(run, partial(runner().take_later, end))


async def _hand_over(run: Run, record: CallRecord | None) -> Step | None:
    return await in_writer(taking.take, partial(leases.hand_over, run.message, run.text, record))


async def _patiently[R](run: Run, work: Callable[[], Awaitable[R]]) -> R:
    """Do what the database has to do for a reply, again while it is away."""
    for tries in count(1):
        try:
            result = await work()
        except AWAY as error:
            if tries > PATIENCE:
                raise
            logger.warning("Reply %s waits for the database: %s", run.message, type(error).__name__)
            await asyncio.sleep(CHECKPOINT_SECONDS)
        else:
            if tries > 1:
                # An earlier try may have been stored, and was not told of then.
                hub().publish(run.conversation, frames.resync())
            return result
    raise AssertionError  # `count` does not end


async def _may_call(run: Run) -> None:
    """Have the database know of a call before it is made. Raises `Lost` if it is not ours."""
    if not await _patiently(run, partial(runner().begin_call, run.message)):
        raise Lost


async def _wait(run: Run) -> None:
    """Tell of a wait between two tries, and have the database know that no call is under way."""
    text = "The model is busy. Trying again."
    hub().publish(run.conversation, frames.notice(run.message, text))
    try:
        if not await runner().await_call(run.message):
            raise Lost
    except AWAY as error:
        # Should this process end now, the hold is charged, as if a call had been under way.
        logger.warning("A wait of reply %s was not noted: %s", run.message, type(error).__name__)
