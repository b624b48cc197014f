"""What the learner sends: once, whatever their fingers and their line do."""

import json
import re
from collections.abc import Callable

from playwright.sync_api import Page, WebSocketRoute, expect

from e2e.conftest import PHONE, Watch, enter
from e2e.model_server import ModelServer
from e2e.room import Room
from e2e.site import Site

COMPOSING_ENTER = """
box => {
  const press = (options) => box.dispatchEvent(
    new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, ...options }));
  box.dispatchEvent(new CompositionEvent("compositionstart"));
  press({ isComposing: true });
  box.dispatchEvent(new CompositionEvent("compositionend"));
  press({ keyCode: 229 });
}
"""


def said(room: Room) -> list[str]:
    return [row["content"] for row in room.rows if row["role"] == "user"]


def test_a_double_click_is_one_message(room: Room, script: ModelServer):
    room.box.fill("Only once.")
    room.send.dblclick()
    room.settled(turns=3, notes=1)
    assert said(room) == ["Only once."]
    assert len(script.requests("partner")) == 2


def test_saying_the_same_twice_is_two_messages(room: Room):
    room.say("Please.")
    room.settled(turns=3)
    room.say("Please.")
    room.settled(turns=5)
    assert said(room) == ["Please.", "Please."]


def test_enter_that_ends_a_composition_sends_nothing(room: Room):
    room.box.fill("すみません")
    room.box.evaluate(COMPOSING_ENTER)
    room.page.wait_for_timeout(300)
    expect(room.box).to_have_value("すみません")
    assert said(room) == []
    room.box.press("Enter")
    room.settled(turns=3)
    assert said(room) == ["すみません"]


def test_on_a_touch_screen_enter_adds_a_line(visit: Callable[..., Page], scripted_site: Site):
    room = enter(visit(**PHONE), scripted_site).settled(turns=1)
    room.box.fill("one")
    room.box.press("Enter")
    room.box.press_sequentially("two")
    room.send.tap()
    room.settled(turns=3)
    assert said(room) == ["one\ntwo"]
    expect(room.box).not_to_be_focused()


def test_a_draft_survives_a_reload_and_goes_with_the_message(room: Room):
    room.box.press_sequentially("What I meant was")
    room.page.reload()
    expect(room.box).to_have_value("What I meant was")
    room.send.click()
    room.settled(turns=3)
    room.page.reload()
    expect(room.box).to_have_value("")


def test_offline_nothing_is_lost_and_one_message_goes_out(room: Room, watch: Watch):
    watch.forgive("ERR_INTERNET_DISCONNECTED|WebSocket")
    room.page.context.set_offline(True)
    expect(room.page.locator("[data-connection]")).to_contain_text("offline")
    room.box.fill("Sent while offline.")
    room.send.click()
    expect(room.turns().last).to_contain_text("Waiting for the connection")
    room.box.fill("a newer draft")
    assert said(room) == []
    room.page.context.set_offline(False)
    room.settled(turns=3, notes=1)
    assert said(room) == ["Sent while offline."]
    expect(room.box).to_have_value("a newer draft")
    expect(room.page.locator("[data-connection]")).to_be_empty()
    room.same_as_database()


def test_what_waited_survives_a_reload_too(room: Room):
    line = {"is": "cut"}

    def either(socket: WebSocketRoute) -> None:
        socket.close() if line["is"] == "cut" else socket.connect_to_server()

    room.page.route_web_socket("**/ws/**", either)
    room.page.reload()
    room.box.fill("Patience.")
    room.send.click()
    expect(room.turns().last).to_contain_text("Waiting for the connection")
    room.page.reload()
    expect(room.turns().last).to_contain_text("Patience.")
    assert said(room) == []
    line["is"] = "whole"
    room.settled(turns=3, notes=1).same_as_database()
    assert said(room) == ["Patience."]


def test_the_budget_is_told_and_its_end_explained(
    visit: Callable[..., Page], scripted_site: Site, script: ModelServer
):
    script.script("partner", default=True, usage={"input_tokens": 1500, "output_tokens": 100})
    script.script("coach", default=True, usage={"input_tokens": 1500, "output_tokens": 100})
    invitation = scripted_site.ask("invite", tokens=12_000)
    room = Room(visit(), scripted_site).enter(invitation["url"])
    room.settled(turns=1)
    expect(room.page.get_by_role("progressbar", name="Budget")).to_be_visible()
    for turn in range(20):
        if room.page.locator("[data-exhausted]").count():
            break
        room.say(f"Line {turn}.")
        room.page.wait_for_timeout(200)
        expect(room.page.locator("[data-status=streaming]")).to_have_count(0)
    expect(room.page.locator("[data-exhausted]")).to_be_visible()
    expect(room.send).to_be_hidden()
    expect(room.box).to_be_hidden()
    expect(room.turns().first).to_be_visible()
    expect(room.page.get_by_role("link", name="Ask for more")).to_be_visible()
    spent = scripted_site.ask("invitation", pk=invitation["id"])["usage"]
    assert spent["held_tokens"] == 0
    assert spent["input_tokens"] + spent["output_tokens"] <= 12_000
    expect(room.page.get_by_role("button", name="End conversation")).to_be_visible()
    room.page.get_by_role("button", name="Finish and look back").click()
    room.page.wait_for_url("**/debrief/")
    expect(room.page.get_by_text("Line 0.")).to_be_visible()


def test_enter_while_the_partner_speaks_says_why_nothing_is_sent(room: Room, script: ModelServer):
    script.script("partner", chunks=["One ", "two."], pause=1)
    room.say("First.")
    expect(room.turns().last).to_contain_text("One")
    room.box.fill("Second.")
    room.box.press("Enter")
    words = room.page.get_by_role("alert").filter(has_text="Not sent yet.")
    expect(words).to_be_visible()
    expect(room.box).to_have_value("Second.")
    script.release()
    expect(words).to_be_hidden()
    expect(room.box).to_have_value("Second.")


def between(page: Page, out: Callable[[dict], dict | None], in_: Callable[[dict], bool]) -> None:
    """Stand between the page and its socket.

    `out` may answer a frame of the page's itself; `in_` tells whether a frame reaches the page.
    """

    def joined(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def leaves(text: str | bytes) -> None:
            answer = out(json.loads(text))
            if answer is None:
                server.send(text)
            else:
                socket.send(json.dumps(answer))

        def arrives(text: str | bytes) -> None:
            if in_(json.loads(text)):
                socket.send(text)

        socket.on_message(leaves)
        server.on_message(arrives)

    page.route_web_socket(re.compile("/ws/"), joined)


def test_what_the_server_cannot_take_is_sent_again_under_its_own_id(
    visit: Callable[..., Page], scripted_site: Site
):
    sent: list[str] = []

    def unavailable_twice(frame: dict) -> dict | None:
        if frame["type"] != "send":
            return None
        sent.append(frame["id"])
        if len(sent) > 2:
            return None
        words = "That did not work just now."
        return {"type": "refused", "id": frame["id"], "code": "unavailable", "text": words}

    page = visit()
    between(page, unavailable_twice, lambda frame: True)
    room = enter(page, scripted_site).settled(turns=1)
    room.say("Keep this.")
    expect(room.turns().last).to_contain_text("Trying again")
    expect(room.box).to_have_value("")
    room.settled(turns=3, notes=1).same_as_database()
    assert len(sent) == 3
    assert len(set(sent)) == 1
    assert len([row for row in room.rows if row["role"] == "user"]) == 1


def test_try_again_can_be_pressed_again_once_it_got_lost(
    visit: Callable[..., Page], scripted_site: Site, script: ModelServer
):
    lost: list[dict] = []

    def loses_the_first(frame: dict) -> dict | None:
        if frame["type"] != "retry" or lost:
            return None
        lost.append(frame)
        return {"type": "resync"}

    page = visit()
    between(page, loses_the_first, lambda frame: True)
    room = enter(page, scripted_site).settled(turns=1)
    script.script("partner", status=400)
    room.say("Hello?")
    again = page.get_by_role("button", name="Try again")
    again.click()
    expect(again).to_be_enabled()
    assert len(lost) == 1
    again.click()
    room.settled(turns=4).same_as_database()


def test_a_turn_that_got_lost_on_the_way_is_asked_for_with_the_next_one(
    visit: Callable[..., Page], scripted_site: Site
):
    dropped: list[dict] = []

    def loses_the_first_question(frame: dict) -> bool:
        if frame["type"] == "turn" and frame["kind"] == "aside" and not dropped:
            dropped.append(frame)
            return False
        return True

    first = enter(visit(), scripted_site).settled(turns=1)
    page = first.page.context.new_page()
    between(page, lambda frame: None, loses_the_first_question)
    second = Room(page, first.site)
    page.goto(first.page.url)
    expect(page.locator("[data-connection]")).to_be_empty()
    second.settled(turns=1)
    first.question.fill("What now?")
    first.question.press("Enter")
    expect(second.notes("You")).to_have_count(1)
    expect(second.notes("Coach")).to_have_count(1)
    assert dropped
    second.same_as_database()


def test_what_gets_no_answer_is_not_sent_yet_from_the_second_try_on(
    visit: Callable[..., Page], scripted_site: Site
):
    sent: list[str] = []

    def swallows(frame: dict) -> dict | None:
        if frame["type"] != "send" or len(sent) == 2:
            return None
        sent.append(frame["id"])
        return {"type": "pong"}

    page = visit()
    page.clock.install()
    between(page, swallows, lambda frame: True)
    room = enter(page, scripted_site).settled(turns=1)
    room.say("Keep this.")
    expect(room.turns().last).to_contain_text("Sending…")
    states = page.evaluate_handle(
        "state => { const seen = [], look = () => seen.push(state.textContent);"
        "new MutationObserver(look).observe(state, { childList: true }); return seen; }",
        room.turns().last.locator("[data-state]").element_handle(),
    )
    page.clock.fast_forward(9_000)
    expect(room.turns().last.get_by_role("button", name="Retry")).to_be_visible()
    for _ in range(200):
        if len(sent) == 2:
            break
        page.wait_for_timeout(50)
    page.clock.fast_forward(9_000)
    room.settled(turns=3, notes=1).same_as_database()
    assert len(set(sent)) == 1
    assert set(states.json_value()) <= {"Not sent yet. Trying again…", "Sent"}


def test_words_about_a_busy_partner_go_when_the_reply_has_ended(
    visit: Callable[..., Page], scripted_site: Site, script: ModelServer
):
    first = enter(visit(), scripted_site).settled(turns=1)
    page = first.page.context.new_page()
    # This tab has not heard yet that a reply streams.
    kept_from_it = {"turn", "state", "chunk"}
    between(page, lambda frame: None, lambda frame: frame["type"] not in kept_from_it)
    second = Room(page, first.site)
    page.goto(first.page.url)
    second.settled(turns=1)
    script.script("partner", chunks=["One ", "two."], pause=1)
    first.say("First.")
    expect(first.turns().last).to_contain_text("One")
    second.box.fill("Second.")
    second.send.click()
    words = page.get_by_role("alert").filter(has_text="still speaking")
    expect(words).to_be_visible()
    expect(second.box).to_have_value("Second.")
    kept_from_it.clear()
    script.release()
    second.settled(turns=3)
    expect(words).to_be_hidden()
    expect(second.box).to_have_value("Second.")
