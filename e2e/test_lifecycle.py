"""A person's whole way: invited with others, talking, at home on two devices, and gone again.

At the end nothing of theirs is left, in any table, in any file, down to the bytes.
"""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Download, Page, expect

from e2e.conftest import PHONE, Watch
from e2e.room import Room, follow
from e2e.site import ROOT, Site
from e2e.test_journey import sign_in
from e2e.test_pages import violations
from e2e.test_sockets_close import in_step, newest_code

ROBIN = "robin.reed@example.org"
# To which they move.
REED = "reed.moved@example.net"
WREN = "wren@example.org"
# To both of them, and Robin's alone.
NOTE, NAME = "Notezquince", "Robinzname"
LINE, QUESTION, LATER = "Linezpomelo", "Questionzmedlar", "Laterzloquat"
ROBINS = (ROBIN, REED, NAME, LINE, QUESTION, LATER)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("lifecycle"), UNDERSTUDY_DELAY="0.01")
    yield site
    site.close()


def invite_both(page: Page, site: Site) -> None:
    """Have staff invite a list, one line of which names nobody."""
    sign_in(page, site)
    page.goto(f"{site.url}/admin/invitations/batch/add/")
    page.get_by_label("Addresses").fill(f"{NAME} <{ROBIN}>\nnobody\n{WREN}\n{ROBIN}")
    page.get_by_label("Scenario").select_option("The uncle with strong opinions")
    page.get_by_label("Personal note").fill(f"Do come. {NOTE}")
    page.get_by_role("button", name="Look first").click()
    expect(page.get_by_role("heading", name="This would invite 2 people")).to_be_visible()
    expect(page.get_by_text("Left out: 1 line without one clear address")).to_be_visible()
    page.get_by_role("button", name="Send 2 invitations").click()
    expect(
        page.get_by_role("region", name="Progress").get_by_text("All 2 are sent.")
    ).to_be_visible()


def link_in_mail(site: Site, address: str) -> str:
    (mail,) = site.mail(address)
    text = mail.get_body(("plain",)).get_content()
    return re.search(rf"{site.url}/invite/\S+/", text)[0]


def talk_as_a_guest(page: Page, site: Site, link: str) -> Room:
    room = Room(page, site).enter(link).settled(turns=1)
    room.say(f"Uncle Ray, what was the mill like? {LINE}")
    room.settled(turns=3, notes=1)
    room.show("Coach")
    room.question.fill(f"Was that too direct? {QUESTION}")
    room.coach.get_by_role("button", name="Ask the coach").click()
    room.settled(turns=3, notes=2)
    room.show("Conversation")
    return room


def become_an_account(page: Page, site: Site) -> None:
    page.get_by_role("button", name="Keep this: make an account").click()
    page.get_by_role("textbox", name="Email").fill(ROBIN)
    page.get_by_role("textbox", name="Name").fill(NAME)
    follow(page.get_by_role("button", name="Sign up"))
    page.get_by_role("textbox", name="Code").fill(newest_code(site, ROBIN))
    page.get_by_role("button", name="Confirm").click()
    page.wait_for_url(re.compile(r"/conversations/\d+/$"))


def sign_in_by_code(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/accounts/login/code/")
    page.get_by_role("textbox", name="Email").fill(ROBIN)
    follow(page.get_by_role("button", name="Send the code"))
    page.get_by_role("textbox", name="Code").fill(newest_code(site, ROBIN))
    page.get_by_role("button", name="Confirm").click()
    page.wait_for_url(f"{site.url}/")


def move(page: Page, site: Site) -> None:
    """Change the address; the code that has just signed them in counts as who they are."""
    page.goto(f"{site.url}/accounts/email/")
    page.get_by_role("textbox", name="Email").fill(REED)
    follow(page.get_by_role("button", name="Change email"))
    page.get_by_role("textbox", name="Code").fill(newest_code(site, REED))
    follow(page.get_by_role("button", name="Confirm"))
    expect(page.get_by_text(REED).first).to_be_visible()


def exported(page: Page, site: Site) -> dict[str, str]:
    page.goto(f"{site.url}/account/")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download my data").click()
    download: Download = waiting.value
    assert re.fullmatch(r"parley-\d{4}-\d\d-\d\d\.zip", download.suggested_filename)
    with zipfile.ZipFile(download.path()) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def ask_for_the_erasure(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/account/")
    follow(page.get_by_role("link", name="Erase my account"))
    assert violations(page) == []
    page.get_by_role("button", name="Erase my account in 7 days").click()
    page.wait_for_url(f"{site.url}/account/")
    expect(page.get_by_text("Your account will be erased on").first).to_be_visible()
    assert violations(page) == []


def sweep(site: Site) -> str:
    command = [sys.executable, "manage.py", "sweep"]
    done = subprocess.run(
        command, cwd=ROOT, env=site.environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def files_with(site: Site, words: tuple[str, ...]) -> set[str]:
    """The files of the site in which one of `words` stands, whatever its case.

    The console, to which mail is printed on a laptop, is the only one that is left out.
    """
    return {
        path.name
        for path in site.var.rglob("*")
        if path.is_file() and path != site.log and holds(path, words)
    }


def holds(path: Path, words: tuple[str, ...]) -> bool:
    data = path.read_bytes().lower()
    return any(word.lower().encode() in data for word in words)


def test_from_a_list_of_addresses_to_nothing_left(
    visit: Callable[..., Page], watch: Watch, site: Site
) -> None:
    # A page that was closed out asks whether it may come back, and is told no.
    watch.forgive("40[134]")
    invite_both(visit(), site)
    link = link_in_mail(site, ROBIN)
    phone = visit(**PHONE)
    room = talk_as_a_guest(phone, site, link)
    become_an_account(phone, site)
    expect(room.turns("You").filter(has_text=LINE)).to_be_visible()
    address = phone.url

    laptop = visit()
    sign_in_by_code(laptop, site)
    laptop.goto(f"{site.url}/conversations/")
    laptop.get_by_role("link", name=re.compile("uncle")).first.click()
    expect(laptop).to_have_url(address)
    elsewhere = Room(laptop, site).settled(turns=3)
    elsewhere.say(f"I feel left out when you joke about my job. {LATER}")
    elsewhere.settled(turns=5, notes=3).same_as_database()
    expect(room.turns("You").filter(has_text=LATER)).to_be_visible()
    rows = elsewhere.rows

    # No table and no file but the mail itself holds the link, or what makes it one.
    signature = link.rstrip("/").rsplit(":", 1)[1]
    assert signature.lower() not in site.ask("dump")
    mails = {path.name for path in (site.var / "mail").iterdir()}
    assert files_with(site, (signature,)) <= mails

    move(laptop, site)
    files = exported(phone, site)
    told = "\n".join(files.values())
    assert [word for word in (NOTE, *ROBINS) if word not in told] == []
    (name,) = (name for name in files if re.fullmatch(r"conversations/\d+-.*\.json", name))
    texts = [message["text"] for message in json.loads(files[name])["messages"]]
    assert texts == [row["content"] for row in rows]
    assert WREN not in told
    assert signature not in told

    gone = in_step(laptop, address)
    ask_for_the_erasure(phone, site)
    expect(laptop.get_by_text("You are signed out.")).to_be_visible()
    assert gone.socket.is_closed()
    assert any("will be erased" in mail["Subject"] for mail in site.mail(REED))
    phone.goto(address)
    phone.get_by_role("button", name="Keep my account").click()
    expect(phone.get_by_text("Your account stays. Nothing was erased.")).to_be_visible()
    assert "Accounts erased: 0" in sweep(site)

    ask_for_the_erasure(phone, site)
    site.ask("let_a_week_pass", email=REED)
    assert "Accounts erased: 1" in sweep(site)

    phone.goto(f"{site.url}/account/")
    phone.wait_for_url("**/accounts/login/**")
    assert phone.goto(address).status == 404
    assert phone.goto(link).status == 404
    expect(phone.get_by_role("heading", name="This link opens nothing")).to_be_visible()
    dump = site.ask("dump")
    assert [word for word in ROBINS if word.lower() in dump] == []
    assert files_with(site, ROBINS) == set()
    # What is others' is there, and so are figures, which are nobody's.
    assert WREN in dump
    assert len(site.mail(WREN)) == 1
    figures = site.ask("figures")
    assert figures == {"calls": 6, "somebodys": 0}
