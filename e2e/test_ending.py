"""The end of a conversation: nothing that was sent is lost from sight on the way to it."""

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, Route, WebSocketRoute, expect

from e2e.conftest import Watch, enter
from e2e.room import Room
from e2e.site import Site

WORDS = "This must not vanish."


def ask_for_the_end(room: Room) -> None:
    room.page.get_by_role("button", name="End conversation").click()
    room.page.get_by_role("button", name="Yes, end it").click()


def what_it_waits_for(room: Room) -> Locator:
    return room.page.get_by_role("dialog").get_by_role("status")


def on_the_last_page(room: Room) -> None:
    room.page.wait_for_url("**/debrief/")
    expect(room.page.get_by_role("heading", name="The conversation")).to_be_visible()


class Desk:
    """Stands between a page and its socket and answers each `send` as told; None lets it pass."""

    def __init__(self, page: Page) -> None:
        self.code: str | None = "unavailable"
        page.route_web_socket(re.compile("/ws/"), self._joined)

    def _joined(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def leaves(text: str | bytes) -> None:
            frame = json.loads(text)
            if frame["type"] != "send" or self.code is None:
                return server.send(text)
            refused = {"type": "refused", "id": frame["id"], "code": self.code}
            return socket.send(json.dumps({**refused, "text": "That did not work."}))

        socket.on_message(leaves)


@pytest.fixture
def desk_and_room(visit: Callable[..., Page], scripted_site: Site) -> tuple[Desk, Room]:
    page = visit()
    desk = Desk(page)
    return desk, enter(page, scripted_site).settled(turns=1)


def test_what_waited_when_another_tab_ended_it_stays_in_sight(room: Room, watch: Watch):
    watch.forgive("ERR_INTERNET_DISCONNECTED|WebSocket")
    other = enter_again(room)
    room.page.context.set_offline(True)
    room.box.fill(WORDS)
    room.send.click()
    expect(room.turns().last).to_contain_text("Waiting for the connection")
    room.box.fill("and a draft")
    end_elsewhere(other)
    room.page.context.set_offline(False)
    expect(room.page.get_by_text("This conversation has ended. Read")).to_be_visible()
    last = room.turns().last
    expect(last).to_contain_text("Not sent: the conversation has ended.")
    expect(last).to_contain_text(WORDS)
    expect(last.get_by_role("button")).to_have_count(0)
    # What was being written stays, too, to be copied.
    expect(room.box).to_have_value("and a draft")
    expect(room.box).not_to_be_editable()
    expect(room.question).to_be_hidden()
    room.page.reload()
    expect(room.turns().last).to_contain_text("Not sent.")
    expect(room.turns().last.get_by_role("button")).to_have_count(0)


def enter_again(room: Room) -> Room:
    """The same conversation in another browser of the same visitor's."""
    browser = room.page.context.browser
    assert browser
    context = browser.new_context(storage_state=room.page.context.storage_state())
    other = Room(context.new_page(), room.site)
    other.page.goto(room.page.url)
    return other.settled(turns=1)


def end_elsewhere(other: Room) -> None:
    ask_for_the_end(other)
    on_the_last_page(other)
    other.page.context.close()


def test_the_end_waits_for_what_was_sent_before(desk_and_room: tuple[Desk, Room]):
    desk, room = desk_and_room
    room.say(WORDS)
    expect(room.turns().last).to_contain_text("Trying again")
    ask_for_the_end(room)
    expect(what_it_waits_for(room)).to_contain_text("still on its way")
    desk.code = None
    on_the_last_page(room)
    assert WORDS in [row["content"] for row in room.rows]
    expect(room.page.get_by_text(WORDS)).to_be_visible()


def test_what_is_refused_before_the_end_keeps_the_conversation_open(
    desk_and_room: tuple[Desk, Room],
):
    desk, room = desk_and_room
    room.say(WORDS)
    expect(room.turns().last).to_contain_text("Trying again")
    ask_for_the_end(room)
    expect(what_it_waits_for(room)).to_contain_text("still on its way")
    desk.code = "too_often"
    expect(room.page.get_by_role("dialog")).to_be_hidden()
    expect(room.box).to_have_value(WORDS)
    expect(room.page.get_by_role("alert").filter(has_text="did not work")).to_be_visible()
    desk.code = None
    room.send.click()
    room.settled(turns=3)


def test_who_keeps_talking_ends_nothing_later(desk_and_room: tuple[Desk, Room]):
    desk, room = desk_and_room
    room.say(WORDS)
    expect(room.turns().last).to_contain_text("Trying again")
    ask_for_the_end(room)
    expect(what_it_waits_for(room)).to_contain_text("still on its way")
    room.page.get_by_role("button", name="Keep talking").click()
    desk.code = None
    room.settled(turns=3, notes=1)
    expect(room.page.get_by_role("button", name="End conversation")).to_be_visible()
    expect(room.send).to_be_enabled()


def test_offline_the_end_waits_for_the_line(room: Room, watch: Watch):
    watch.forgive("ERR_INTERNET_DISCONNECTED|WebSocket")
    room.box.fill("a draft")
    room.page.context.set_offline(True)
    ask_for_the_end(room)
    expect(what_it_waits_for(room)).to_contain_text("as soon as it is back")
    expect(room.box).to_have_value("a draft")
    room.page.context.set_offline(False)
    on_the_last_page(room)


def test_a_server_that_cannot_end_it_just_now_is_asked_again(room: Room, watch: Watch):
    watch.forgive("status of 503")
    tries: list[str] = []

    def refuses_the_first(route: Route) -> None:
        if route.request.method != "POST" or len(tries) > 1:
            return route.fallback()
        tries.append(route.request.url)
        return route.fulfill(status=503) if len(tries) == 1 else route.fallback()

    room.page.route(re.compile(r"/conversations/\d+/$"), refuses_the_first)
    ask_for_the_end(room)
    expect(what_it_waits_for(room)).to_contain_text("Trying again")
    on_the_last_page(room)
    assert len(tries) == 2
