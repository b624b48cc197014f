"""A provider that misbehaves in every way there is: one end, one log row, the right charge."""

import asyncio
import random
import signal
import time

import pytest

from e2e.faults.test_crashes import LONG, speaking
from e2e.faults.world import Room, World

TEXT = "one two three four five six seven eight nine ten"
# What the provider does, and how the reply ends: status, failure, text.
ENDINGS = {
    "well": ({}, "complete", "", TEXT),
    "cut": ({"cut": 5}, "interrupted", "cut", "one two three four five"),
    "reset": ({"cut": 5, "reset": True}, "interrupted", "cut", "one two three four five"),
    "cut at once": ({"cut": 0}, "failed", "cut", ""),
    "stall": ({"stall": 5}, "interrupted", "stalled", "one two three four five"),
    "no end event": ({"no_stop": 5}, "interrupted", "cut", "one two three four five"),
    "error event": (
        {"error": "overloaded_error", "error_after": 5},
        "interrupted",
        "cut",
        "one two three four five",
    ),
    "empty": ({"empty": True}, "failed", None, ""),
    "nothing said": ({"chunks": []}, "failed", "empty", ""),
    "refusal": ({"stop_reason": "refusal", "chunks": []}, "failed", "refusal", ""),
    "max_tokens": ({"stop_reason": "max_tokens"}, "complete", "max_tokens", TEXT),
    "no usage": ({"usage": False}, "complete", "", TEXT),
    "busy, then well": ({"status": 429}, "complete", "", None),
    "busy for an hour": ({"status": 429, "retry_after": 3600}, "failed", "busy", ""),
    "overloaded, then well": ({"status": 529}, "complete", "", None),
    "broken, then well": ({"status": 500}, "complete", "", None),
    "wrong key": ({"status": 401}, "failed", "key", ""),
    "no such model": ({"status": 404}, "failed", "model", ""),
    "bad request": ({"status": 400}, "failed", "rejected", ""),
    "too large": ({"status": 413}, "failed", "too_long", ""),
    "late": ({"header_delay": 9}, "failed", "slow", ""),
}


async def test_every_ending_of_a_call_has_one_state_one_log_row_and_the_right_charge(
    embedded: World, rng: random.Random
) -> None:
    rooms = embedded.rooms(len(ENDINGS))
    for (does, *_), room in zip(ENDINGS.values(), rooms, strict=True):
        embedded.provider.script(
            "partner", **({"text": TEXT} | does), contains=f"#c{room.conversation} "
        )
    pages = await embedded.enter(*rooms)
    for page, room in zip(pages, rooms, strict=True):
        await page.say(room.text(rng))
    auditor = await embedded.settle()
    found, expected = {}, {}
    for (name, (_, *ends)), room in zip(ENDINGS.items(), rooms, strict=True):
        of_room = [m for m in auditor.messages.values() if m["session_id"] == room.conversation]
        replies = [
            (m["status"], m["failure"], m["content"]) for m in of_room if m["role"] == "partner"
        ]
        wanted = tuple(ends)
        # What is None is not laid down here.
        if len(replies) == 1:
            pairs = zip(wanted, replies[0], strict=True)
            wanted = tuple(b if a is None else a for a, b in pairs)
        found[name], expected[name] = replies, [wanted]
    assert found == expected


@pytest.mark.parametrize("reset", [False, True])
async def test_no_answer_is_charged_as_a_call_and_the_reply_begun_again_by_itself(
    embedded: World, rng: random.Random, reset: bool
) -> None:
    once, twice, coach = rooms = embedded.rooms(3)
    for stream, room, times in (("partner", once, 1), ("partner", twice, 2), ("coach", coach, 1)):
        embedded.provider.script(
            stream,
            no_answer=True,
            reset=reset,
            times=times,
            contains=f"#c{room.conversation} ",
        )
    pages = await embedded.enter(*rooms)
    for page, room in zip(pages, rooms, strict=True):
        await page.say(room.text(rng))
    auditor = await embedded.settle()

    def ends(room: Room, role: str) -> list[tuple[str, str]]:
        rows = auditor.messages.values()
        mine = (row for row in rows if row["session_id"] == room.conversation)
        return [(row["status"], row["failure"]) for row in mine if row["role"] == role]

    assert ends(once, "partner") == [("interrupted", "asked_again"), ("complete", "")]
    assert ends(twice, "partner") == [("interrupted", "asked_again"), ("interrupted", "dropped")]
    assert pages[1].last_reply
    assert pages[1].last_reply.can_retry
    assert ends(coach, "partner") == [("complete", "")]
    assert ends(coach, "coach") == [("interrupted", "dropped")]
    assert len(auditor.logs) == len(embedded.provider.ledger())
    assert sum(log["is_estimate"] for log in auditor.logs) == 4


@pytest.mark.parametrize("points", [0, 30])
async def test_stop_ends_the_call_within_a_second_from_the_other_process_too(
    services: World, rng: random.Random, points: int
) -> None:
    services.provider.script("partner", **LONG, first_delay=0 if points else 4)
    first, second = services.servers
    room = services.room()
    writer, stopper = services.page(room, first), services.page(room, second)
    await services.pages_in_step([writer, stopper])
    await writer.say(room.text(rng))
    reply = await speaking(stopper, points)
    while not (calls := await services.calls()):
        await asyncio.sleep(0.05)
    await stopper.stop(reply)
    asked = time.monotonic()
    while not (calls := await services.calls())[0]["closed_early"]:
        assert time.monotonic() - asked < 3, f"the call goes on: {calls}"
    auditor = await services.settle()
    assert auditor.messages[reply]["status"] == "stopped"
    text = room.text(rng)
    page = (await services.enter(room))[0]
    await page.say(text)
    await services.settle()


async def test_a_provider_that_stands_still_for_a_moment_loses_nothing(
    embedded: World, rng: random.Random
) -> None:
    embedded.provider.script("partner", text=TEXT * 3, delay=0.05)
    room = embedded.room()
    (page,) = await embedded.enter(room)
    await page.say(room.text(rng))
    reply = await speaking(page)
    assert embedded.provider.process
    embedded.provider.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(1.5)
    embedded.provider.process.send_signal(signal.SIGCONT)
    auditor = await embedded.settle()
    assert auditor.messages[reply]["status"] == "complete"


async def test_a_single_process_that_is_killed_finishes_after_its_restart(
    embedded: World, rng: random.Random
) -> None:
    embedded.provider.script("partner", **LONG)
    room = embedded.room()
    pages = [embedded.page(room) for _ in range(3)]
    await embedded.pages_in_step(pages)
    await pages[0].say(room.text(rng))
    await speaking(pages[0])
    (server,) = embedded.servers
    server.kill()
    await pages[1].say(room.text(rng))  # kept in the page's outbox meanwhile
    server.start()
    await server.ready()
    auditor = await embedded.settle()
    assert auditor.figures.restarted == 1
