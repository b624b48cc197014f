"""Many people at once: a list that is mailed, a link for a class, and what breaks on the way."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from e2e.conftest import DESKTOP, PHONE, Watch
from e2e.mail_server import MailServer
from e2e.room import Room, follow
from e2e.site import Site
from e2e.test_journey import sign_in
from e2e.test_pages import LOOKS, violations

LIST = """Kim Lee <kim@{0}>; "Ash, Ann" <ann@{0}>
Bob Birch bob@{0}
kim(at){0}
KIM@{0}"""


def look(page: Page, site: Site, text: str) -> None:
    """Paste a list, and look what it would do."""
    page.goto(f"{site.url}/admin/invitations/batch/add/")
    page.get_by_label("Addresses").fill(text)
    page.get_by_label("Scenario").select_option(label="The uncle with strong opinions")
    page.get_by_label("Personal note").fill("Good luck!")
    follow(page.get_by_role("button", name="Look first"))


def send(page: Page, count: int) -> None:
    words = "Send 1 invitation" if count == 1 else f"Send {count} invitations"
    page.get_by_role("button", name=words).click()
    page.wait_for_url(re.compile(r"/batch/\w+/change/$"))


def state_of(page: Page, address: str) -> Any:
    return page.get_by_role("row").filter(has_text=address).locator(".badge")


# --- By mail ---------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_from_a_pasted_list_to_a_conversation_on_a_phone(
    visit: Callable[..., Page], understudy_site: Site, script: bool, watch: Watch
):
    site = understudy_site
    domain = f"{'js' if script else 'plain'}.example.org"
    staff = visit()
    sign_in(staff, site)
    desk = visit(storage_state=staff.context.storage_state(), java_script_enabled=script)
    look(desk, site, LIST.format(domain))
    expect(desk.get_by_role("heading", name="This would invite 3 people")).to_be_visible()
    expect(desk.get_by_text(f"kim(at){domain} There is no email address here.")).to_be_visible()
    expect(desk.get_by_text(f"Named more than once, invited once: KIM@{domain}")).to_be_visible()
    send(desk, 3)
    expect(desk.get_by_text("All 3 are sent.").first).to_be_visible(timeout=20_000)
    expect(state_of(desk, f"bob@{domain}")).to_have_text("Sent")
    if script:
        assert desk.evaluate("performance.getEntriesByType('navigation')[0].type") == "navigate"

    (mail,) = site.mail(f"kim@{domain}")
    text = mail.get_body(("plain",)).get_content()
    assert "Good luck!" in text
    link = re.search(rf"{site.url}/invite/\S+/", text)[0]
    room = Room(visit(**PHONE), site).enter(link).settled(turns=1)
    room.say("What was the mill like when you started there?")
    room.settled(turns=3, notes=1)

    desk.reload()
    expect(desk.get_by_role("row").filter(has_text=f"kim@{domain}")).to_contain_text("Claimed")
    look(desk, site, LIST.format(domain))
    expect(desk.get_by_text("3 who have an open invitation to The uncle")).to_be_visible()
    expect(desk.get_by_role("button", name=re.compile("^Send"))).to_have_count(0)
    assert watch.problems == []


def test_a_file_is_read_into_the_list(
    visit: Callable[..., Page], understudy_site: Site, watch: Watch
):
    page = visit()
    sign_in(page, understudy_site)
    page.goto(f"{understudy_site.url}/admin/invitations/batch/add/")
    content = "\ufeffName;E-mail\nZoë Ash;zoe@file.example.org\nNobody;\n".encode()
    page.get_by_label("Or a file").set_input_files(
        {"name": "people.csv", "mimeType": "text/csv", "buffer": content}
    )
    page.get_by_role("button", name="Look first").click()
    expect(page.get_by_label("Addresses")).to_have_value("Zoë Ash <zoe@file.example.org>\nNobody")
    expect(page.get_by_role("button", name="Send 1 invitation")).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize(
    ("head", "encoding", "size"),
    [
        ("sep=;\nName;E-Mail-Adresse;Notiz", "utf-16", DESKTOP),
        ("Nombre;Correo;Tutor", "utf-8-sig", PHONE),
        ("", "utf-8", DESKTOP),
    ],
    ids=["a German heading on a desktop", "a Spanish heading on a phone", "no heading"],
)
def test_whom_the_preview_of_a_messy_file_leaves_out_gets_no_mail(
    visit: Callable[..., Page],
    understudy_site: Site,
    head: str,
    encoding: str,
    size: dict[str, Any],
    watch: Watch,
):
    site = understudy_site
    domain = f"messy{len(head)}.example.org"
    rows = [f"Person {number};p{number}@{domain};" for number in range(20)]
    rows[3:3] = [f"Lee;;chef@{domain}", f"Zwei;z1@{domain}, z2@{domain};", f"Bob;BOB@{domain};"]
    rows += [f"Bobby;bob@{domain};", f"Büro;info@bücher.{domain};"]
    rows += [f"Büro;info@xn--bcher-kva.{domain};"]
    page = visit(**size)
    sign_in(page, site)
    page.goto(f"{site.url}/admin/invitations/batch/add/")
    content = "\n".join([head, *rows]).encode(encoding)
    page.get_by_label("Or a file").set_input_files(
        {"name": "people.csv", "mimeType": "text/csv", "buffer": content}
    )
    follow(page.get_by_role("button", name="Look first"))
    expect(page.get_by_role("heading", name="This would invite 22 people")).to_be_visible()
    expect(page.get_by_role("heading", name="2 lines without one clear address")).to_be_visible()
    assert violations(page) == []

    send(page, 22)
    expect(page.get_by_text("All 22 are sent.").first).to_be_visible(timeout=20_000)
    for name in ("chef", "z1", "z2"):
        assert site.mail(f"{name}@{domain}") == []
    (mail,) = site.mail(f"p7@{domain}")
    assert "Person 7" in str(mail["To"])
    assert len(site.mail(f".{domain}")) == 1  # of the two spellings
    assert len(site.mail(domain)) == 22


@pytest.fixture
def post() -> Iterator[MailServer]:
    server = MailServer()
    yield server
    server.close()


@pytest.fixture
def posting_site(tmp_path_factory: pytest.TempPathFactory, post: MailServer) -> Iterator[Site]:
    """A site that mails through a mail server of the test's."""
    site = Site(tmp_path_factory.mktemp("posting"), UNDERSTUDY_DELAY="0", EMAIL_URL=post.url)
    yield site
    site.close()


def test_a_server_that_dies_in_the_middle_sends_the_others_and_asks_about_that_one(
    visit: Callable[..., Page], posting_site: Site, post: MailServer, watch: Watch
):
    """The mail in the middle has gone out, as it happens; nobody gets anything twice."""
    watch.forgive(r"ERR_|Failed to|status of")
    site = posting_site
    who = [f"p{number}@example.org" for number in range(6)]
    post.refused = {"p1@example.org"}
    post.silent_at = {"p3@example.org"}
    page = visit()
    sign_in(page, site)
    look(page, site, "\n".join(who))
    send(page, 6)
    assert post.is_silent.wait(20)
    site.kill()
    site.ask("minutes_later")
    site.start()

    page.reload()
    expect(page.get_by_text("Finished: 4 of 6 are sent.").first).to_be_visible(timeout=20_000)
    expect(state_of(page, "p1@example.org")).to_have_text("Failed")
    expect(state_of(page, "p3@example.org")).to_have_text("Unclear")
    assert sorted(post.recipients) == [one for one in who if one != "p1@example.org"]

    post.refused = set()
    follow(page.get_by_role("button", name="It arrived"))
    page.get_by_role("button", name="Send the 1 that failed again").click()
    expect(page.get_by_text("All 6 are sent.").first).to_be_visible(timeout=20_000)
    assert sorted(post.recipients) == who


def test_a_server_that_is_told_to_end_finishes_its_mail_and_the_next_goes_on(
    visit: Callable[..., Page], posting_site: Site, post: MailServer, watch: Watch
):
    watch.forgive(r"ERR_|Failed to|status of")
    site = posting_site
    who = [f"p{number:02}@example.org" for number in range(40)]
    page = visit()
    sign_in(page, site)
    look(page, site, "\n".join(who))
    send(page, 40)
    assert site.stop() == 0
    assert len(post.taken) < 40
    site.start()
    page.reload()
    expect(page.get_by_text("All 40 are sent.").first).to_be_visible(timeout=20_000)
    assert sorted(post.recipients) == who


def test_an_interrupted_one_waits_for_the_button_and_says_so(
    visit: Callable[..., Page], understudy_site: Site, size: dict[str, Any], watch: Watch
):
    site = understudy_site
    who = [f"i{number}-{size['viewport']['width']}@example.org" for number in range(3)]
    batch = site.ask("interrupted_batch", people=who)
    page = visit(**size)
    sign_in(page, site)
    for _ in range(2):
        page.goto(site.url + batch["path"])
        expect(page.get_by_text("Interrupted: 3 of 3 wait.").first).to_be_visible()
    assert site.mail(who[0]) == []
    page.get_by_role("button", name="Go on sending").click()
    expect(page.get_by_text("All 3 are sent.").first).to_be_visible(timeout=20_000)
    assert [len(site.mail(one)) for one in who] == [1, 1, 1]


# --- By a link for all -----------------------------------------------------------------------


def test_a_class_comes_in_by_one_link(
    visit: Callable[..., Page], scripted_site: Site, size: dict[str, Any], watch: Watch
):
    watch.forgive("status of 410")
    site = scripted_site
    group = site.ask("group_link", places=2)
    rooms = []
    for name in ("Gwen", "Huw"):
        page = visit(**size)
        page.goto(group["url"])
        page.get_by_label("Your name").fill(name)
        page.get_by_role("button", name="Start the conversation").click()
        page.wait_for_url(re.compile(r"/conversations/\d+/$"))
        rooms.append(Room(page, site).settled(turns=1))
    assert rooms[0].id != rooms[1].id
    rooms[0].say("This is Gwen.")
    rooms[0].settled(turns=3, notes=1)
    rooms[1].page.reload()
    expect(rooms[1].turns()).to_have_count(1)

    late = visit(**size)
    late.goto(group["url"])
    expect(late.get_by_role("heading", name="All places are taken")).to_be_visible()
    staff = visit()
    sign_in(staff, site)
    staff.goto(f"{site.url}/admin/invitations/grouplink/{group['id']}/change/")
    staff.get_by_role("spinbutton", name="Places").fill("3")
    follow(staff.get_by_role("button", name="Save", exact=True))
    late.reload()
    expect(late.get_by_text("One place of 3 is left.")).to_be_visible()
    late.get_by_role("button", name="Start the conversation").dblclick()
    late.wait_for_url(re.compile(r"/conversations/\d+/$"))
    staff.goto(f"{site.url}/admin/invitations/grouplink/{group['id']}/change/")
    expect(staff.get_by_text("3 of 3")).to_be_visible()
    staff.get_by_role("link", name="3 invitations").click()
    for words in ("Gwen", "Huw", "Somebody of The evening class"):
        expect(staff.get_by_role("link", name=words)).to_be_visible()


def test_a_guest_goes_on_with_a_phone_and_the_link_is_seen_by_nobody(
    visit: Callable[..., Page], scripted_site: Site, watch: Watch
):
    site = scripted_site
    group = site.ask("group_link", places=1)
    page = visit()
    told: list[str] = []
    page.on("request", lambda request: told.append(request.headers.get("referer", "")))
    page.goto(group["url"])
    page.get_by_role("button", name="Start the conversation").click()
    page.wait_for_url(re.compile(r"/conversations/\d+/$"))
    room = Room(page, site).settled(turns=1)
    room.say("Hello from the laptop.")
    room.settled(turns=3, notes=1)
    conversation = room.id
    follow(page.get_by_role("link", name="Continue on another device"))
    link = page.get_by_role("textbox", name="Your link").input_value()
    page.get_by_label("Your email address").fill("gwen@own.example.org")
    page.get_by_role("button", name="Send me the link").click()
    expect(page.get_by_text("Sent to gwen@own.example.org.")).to_be_visible()
    (mail,) = site.mail("gwen@own.example.org")
    assert link in mail.get_content()

    phone = Room(visit(**PHONE), site)
    phone.page.goto(link)
    phone.page.get_by_role("button", name="Continue the conversation").click()
    phone.page.wait_for_url(re.compile(r"/conversations/\d+/$"))
    phone.settled(turns=3, notes=1).same_as_database()
    assert phone.id == conversation
    tokens = [url.split("/")[4].split(":")[0] for url in (group["url"], link)]
    page.goto(site.url)
    follow(page.get_by_role("link", name="Scenarios"))
    # The console of a laptop prints mails; nothing else of the log may hold a link.
    log = re.sub(r"\nMail to:.*?\n-{72}", "", site.log.read_text(), flags=re.DOTALL)
    for token in tokens:
        assert not any(token in referrer for referrer in told)
        assert token not in log
    assert tokens[0] not in page.content()


@pytest.mark.parametrize("look", LOOKS)
def test_pages_for_many_are_accessible(
    visit: Callable[..., Page], scripted_site: Site, look: dict[str, Any], watch: Watch
):
    watch.forgive("status of 410")
    site = scripted_site
    found = {}
    group, full = site.ask("group_link", places=1), site.ask("group_link", places=1)
    guest = visit(**look)
    guest.goto(group["url"])
    found["a group"] = violations(guest)
    guest.get_by_role("button", name="Start the conversation").click()
    guest.wait_for_url(re.compile(r"/conversations/\d+/$"))
    follow(guest.get_by_role("link", name="Continue on another device"))
    found["an own link"] = violations(guest)
    guest.goto(full["url"])
    guest.get_by_role("button", name="Start the conversation").click()
    guest.wait_for_url(re.compile(r"/conversations/\d+/$"))
    late = visit(**look)
    late.goto(full["url"])
    found["a full group"] = violations(late)

    staff = visit(**(DESKTOP | look))
    sign_in(staff, site)
    staff.goto(f"{site.url}/admin/invitations/grouplink/{group['id']}/change/")
    found["a group on the desk"] = violations(staff)
    follow(staff.get_by_role("link", name="To print, with a QR code"))
    found["a poster"] = violations(staff)
    width = look["viewport"]["width"]
    domain = f"{look['color_scheme']}{width}.example.org"
    staff.goto(f"{site.url}/admin/invitations/batch/add/")
    staff.get_by_label("Addresses").fill(LIST.format(domain))
    follow(staff.get_by_role("button", name="Look first"))
    found["a preview"] = violations(staff)
    send(staff, 3)
    expect(staff.get_by_text("All 3 are sent.").first).to_be_visible(timeout=20_000)
    found["a batch"] = violations(staff)
    assert staff.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert {name: problems for name, problems in found.items() if problems} == {}
