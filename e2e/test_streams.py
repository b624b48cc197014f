"""Replies as they arrive: stopped, failed, cut off, reloaded, seen in two tabs."""

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from e2e.conftest import Watch, enter
from e2e.model_server import ModelServer
from e2e.room import PATIENCE, Room
from e2e.site import Site

LONG = " ".join(f"word{n}" for n in range(60)) + "."


def wait_for_text(room: Room, words: str) -> None:
    expect(room.turns().last).to_contain_text(words)


def test_stop_before_the_first_word(room: Room, script: ModelServer):
    script.script("partner", first_delay=30)
    room.say("Hello?")
    script.wait_for("partner", 2)
    room.stop.click()
    expect(room.stop).to_be_hidden()
    reply = room.settled(turns=3).rows[2]
    assert (reply["status"], reply["content"]) == ("stopped", "")
    expect(room.turns().last).to_contain_text("You stopped this reply.")
    room.say("Never mind.")
    room.settled(turns=5, notes=1)
    assert [row["status"] for row in room.rows if row["role"] == "partner"] == [
        "complete",
        "stopped",
        "complete",
    ]


def test_stop_in_mid_stream_keeps_what_was_said_and_ends_the_call(room: Room, script: ModelServer):
    script.script("partner", text=LONG, delay=0.1)
    room.say("Tell me everything.")
    wait_for_text(room, "word3")
    room.page.keyboard.press("Escape")
    expect(room.stop).to_be_hidden()
    room.page.wait_for_timeout(1000)
    call = script.requests("partner")[-1]
    assert call["closed_early"]
    reply = room.settled(turns=3).rows[2]
    assert reply["status"] == "stopped"
    assert LONG.startswith(reply["content"].rstrip())
    assert "word3" in reply["content"]
    room.same_as_database()


@pytest.mark.parametrize(
    ("trouble", "status", "kept"),
    [
        ({"status": 400}, "failed", ""),
        ({"status": 404}, "failed", ""),
        ({"cut": 3}, "interrupted", "word0 word1 word2"),
        ({"no_stop": 3}, "interrupted", "word0 word1 word2"),
        ({"stall": 3}, "interrupted", "word0 word1 word2"),
        ({"error": "overloaded_error", "error_after": 3}, "interrupted", "word0 word1 word2"),
        ({"empty": True}, None, ""),
        ({"text": ""}, None, ""),
    ],
    ids=lambda value: str(value),
)
def test_after_a_failure_try_again_gives_a_whole_reply(
    room: Room, script: ModelServer, trouble: dict, status: str | None, kept: str
):
    script.script("partner", **{"text": LONG} | trouble)
    room.say("Go on.")
    again = room.page.get_by_role("button", name="Try again")
    expect(again).to_be_visible()
    first = room.settled(turns=3).rows[2]
    assert first["content"].strip() == kept
    assert first["status"] in (status, *(("failed", "interrupted") if status is None else ()))
    words = room.turns().last.inner_text()
    assert len(words.split()) > 8
    assert not re.search(r"\b\d{3}\b|Error|error_", words.replace(kept, ""))

    script.script("partner", text="Once more, then.")
    again.click()
    expect(room.turns().last).to_contain_text("Once more, then.")
    room.settled(turns=4, notes=1)
    rows = room.rows
    assert rows[2] == first
    assert rows[3]["content"] == "Once more, then."
    expect(again).to_have_count(0)
    room.page.reload()
    room.same_as_database()


def test_a_busy_model_is_asked_again_and_the_page_says_so(room: Room, script: ModelServer):
    script.script("partner", status=529, times=2)
    room.say("Are you there?")
    expect(
        room.page.get_by_role("status").filter(has_text=re.compile("busy", re.I))
    ).to_be_visible()
    reply = room.settled(turns=3, notes=1).rows[2]
    assert reply["status"] == "complete"
    assert len(script.requests("partner")) == 4


def test_a_reply_cut_at_its_limit_says_so(room: Room, script: ModelServer):
    script.script("partner", text="And then he", stop_reason="max_tokens")
    room.say("What happened?")
    room.settled(turns=3)
    expect(room.turns().last).to_contain_text("cut short")


def test_a_refusal_says_so(room: Room, script: ModelServer):
    script.script("partner", text="", stop_reason="refusal")
    room.say("What happened?")
    room.settled(turns=3)
    expect(room.turns().last).to_contain_text("declined")


def test_the_coachs_failure_is_not_the_partners(room: Room, script: ModelServer):
    script.script("coach", status=400)
    room.say("Good evening.")
    room.settled(turns=3, notes=1)
    assert [row["status"] for row in room.rows] == ["complete", "complete", "complete", "failed"]
    expect(room.send).to_be_enabled()


def test_the_next_message_goes_out_while_the_coach_writes(room: Room, script: ModelServer):
    script.script("coach", text=LONG, pause=3)
    room.say("First.")
    expect(room.notes()).to_contain_text(["word2"])
    room.say("Second.")
    expect(room.turns()).to_have_count(5)
    expect(room.turns().last).to_contain_text("reply 3")
    script.release()
    room.settled(turns=5, notes=2).same_as_database()


def test_the_last_page_waits_for_the_note_and_shows_the_summary_by_itself(
    room: Room, script: ModelServer
):
    script.script("coach", text=LONG, delay=0.05)
    room.say("Hello?")
    expect(room.page.get_by_role("region", name="Coach")).to_contain_text("word3")
    summary = "What went well:\n- You asked.\n\nWhat to try next:\n- Wait."
    script.script("coach", text=summary, delay=0.05)
    room.page.get_by_role("button", name="End conversation").click()
    room.page.get_by_role("button", name="Yes, end it").click()
    room.page.wait_for_url("**/debrief/")
    expect(room.page.get_by_text("comes right after it")).to_be_visible()
    expect(room.page.get_by_role("heading", name="What to try next")).to_be_visible(
        timeout=PATIENCE
    )
    expect(room.page.get_by_text(LONG)).to_be_visible()
    expect(room.page.locator('[data-status="streaming"]')).to_have_count(0)


def test_reload_in_mid_stream_loses_and_doubles_nothing(room: Room, script: ModelServer):
    script.script("partner", text=LONG, delay=0.06)
    script.script("coach", text=LONG, delay=0.03)
    room.say("Tell me everything.")
    wait_for_text(room, "word2")
    seen = "word2"
    for _ in range(4):
        room.page.reload()
        reply = room.turns().last.locator(".turn-text")
        expect(reply).to_contain_text(seen)
        room.page.wait_for_timeout(300)
        seen = (reply.text_content() or "").strip()
        assert LONG.startswith(seen)
    room.settled(turns=3, notes=1).same_as_database()
    assert room.rows[2]["content"] == LONG
    assert len(script.requests("partner")) == 2


def test_the_same_after_leaving_for_another_device(
    room: Room, script: ModelServer, visit: Callable[..., Page]
):
    script.script("partner", text=LONG, delay=0.02)
    link = room.site.ask("invite")["url"]
    other = Room(visit(), room.site).enter(link)
    other.settled(turns=1)
    script.script("partner", text=LONG, delay=0.02)
    other.say("Tell me everything.")
    wait_for_text(other, "word2")
    other.page.context.close()
    back = Room(visit(), room.site)
    back.page.goto(link)
    back.page.get_by_role("button", name="Continue the conversation").click()
    back.settled(turns=3, notes=1).same_as_database()


def test_two_tabs_show_the_same(room: Room, script: ModelServer):
    second = Room(room.page.context.new_page(), room.site)
    second.page.goto(room.page.url)
    script.script("partner", text=LONG, delay=0.03)
    room.say("From the first tab.")
    wait_for_text(second, "word2")
    expect(second.send).to_be_disabled()
    for tab in (room, second):
        tab.settled(turns=3, notes=1).same_as_database()
    second.say("From the second tab.")
    for tab in (room, second):
        tab.settled(turns=5, notes=2).same_as_database()


def test_markdown_and_markup_of_a_model_stay_harmless(
    room: Room, script: ModelServer, watch: Watch
):
    script.script(
        "partner",
        text="<script>window.hacked = 1</script> <img src=http://evil.example/x onerror=alert(1)>"
        " [here](javascript:alert(1)) ![x](http://evil.example/y) **loud** \u202egnp.exe",
    )
    room.say("Show me.")
    room.settled(turns=3)
    reply = room.turns().last.locator(".turn-text")
    expect(reply).to_contain_text("<script>window.hacked = 1</script>")
    expect(reply.locator("img, a, script")).to_have_count(0)
    expect(reply.locator("strong")).to_have_text("loud")
    assert room.page.evaluate("window.hacked") is None


@pytest.mark.usefixtures("scripted_site")  # nothing of that one asks the same model meanwhile
def test_a_killed_server_starts_the_reply_again_by_itself(
    tmp_path_factory: pytest.TempPathFactory,
    script: ModelServer,
    visit: Callable[..., Page],
    watch: Watch,
):
    site = Site(tmp_path_factory.mktemp("killed"), ANTHROPIC_BASE_URL=script.url)
    watch.forgive("ERR_CONNECTION|WebSocket")
    try:
        room = enter(visit(), site).settled(turns=1)
        script.script("partner", text=LONG, pause=5)
        room.say("Do not lose this.")
        wait_for_text(room, "word3")
        room.box.fill("a draft")
        site.kill()
        expect(room.page.locator("[data-connection]")).to_contain_text("Trying again")
        script.script("partner", text="Here I am again.")
        site.start()
        expect(room.turns().last).to_contain_text("Here I am again.", timeout=3 * PATIENCE)
        room.settled(turns=4).same_as_database()
        expect(room.box).to_have_value("a draft")
        statuses = [row["status"] for row in room.rows if row["kind"] == "turn"]
        assert statuses == ["complete", "complete", "interrupted", "complete"]
        expect(room.page.locator("[data-connection]")).to_be_empty()
        assert site.stop() == 0
    finally:
        site.close()


@pytest.mark.parametrize("how", ["revoked", "signed out"])
def test_a_page_that_is_closed_out_tells_of_no_reply(
    visit: Callable[..., Page], scripted_site: Site, script: ModelServer, watch: Watch, how: str
):
    watch.forgive("status of 4(04|10)|WebSocket")
    invitation = scripted_site.ask("invite")
    room = Room(visit(), scripted_site).enter(invitation["url"]).settled(turns=1)
    script.script("partner", text=LONG, delay=0.2)
    room.say("Go on.")
    wait_for_text(room, "word1")
    expect(room.stop).to_be_visible()
    if how == "revoked":
        scripted_site.ask("revoke", pk=invitation["id"])
    else:
        scripted_site.ask("end_sessions")
    expect(room.page.locator("[data-connection]")).not_to_be_empty()
    expect(room.stop).to_be_hidden()
    expect(room.page.locator("[data-replying]")).not_to_contain_text("replying")


def test_what_a_test_leaves_running_asks_nothing_of_the_next_ones_script(
    room: Room, script: ModelServer
):
    script.script("partner", text=LONG, delay=0.02)
    room.say("Tell me everything.")
    wait_for_text(room, "word3")
    room.page.close()
    room.site.ask("hush")
    script.script("coach", text="For the next one.")
    for _ in range(50):
        if script.requests("partner")[-1]["done"] or script.requests("partner")[-1]["closed_early"]:
            break
        time.sleep(0.1)
    time.sleep(0.5)  # a note would begin at once
    assert script.requests("coach") == []
