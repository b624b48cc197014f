"""Whatever anybody writes stays text: on every page, in mails, exports and downloads."""

import csv
import io
import logging
import zipfile
from datetime import timedelta

import pytest
from django.core import mail
from django.template.loader import render_to_string
from django.test import Client, TestCase
from django.utils import timezone

from accounts.models import User
from config.tests import access_rows as rows
from config.tests.access_walk import path_of, views
from config.tests.access_world import World
from config.tests.desk import make_conversation, make_scenario
from config.tests.hostile import ALL, CORPUS, EVIL, LINE, Inert
from conversations import export, frames, turns
from conversations.markdown import plain, render
from conversations.models import ConversationSession, Kind, Message, MessageRole, MessageStatus
from conversations.transcript import as_text
from invitations.bulk import Batch
from invitations.groups import GroupLink
from invitations.models import Invitation, QuotaPreset
from scenarios.models import Scenario
from usage.models import UsageLog

# Together they see every page there is.
WHO = ("guest", "user", "power", "admin")


def poison() -> None:
    """Put the corpus into every field that somebody writes."""
    Scenario.objects.update(
        name=LINE[:200],
        description=ALL,
        partner_persona=LINE[:200],
        partner_system_prompt=ALL,
        coach_system_prompt=ALL,
        partner_model=LINE[:100],
    )
    ConversationSession.objects.update(
        scenario_name=LINE[:200],
        scenario_description=ALL,
        partner_persona=LINE[:200],
        partner_system_prompt=ALL,
        partner_model=LINE[:100],
    )
    quota = {"tokens": 90_000, "label": LINE[:200]}
    note = {"personal_note": ALL[:2000], "quota": quota}
    Invitation.objects.update(recipient_name=LINE[:200], **note)
    GroupLink.objects.update(label=LINE[:200], **note)
    Batch.objects.update(**note)
    QuotaPreset.objects.update(label=LINE[:200], description=ALL, quota=quota)
    User.objects.update(name=LINE[:200])
    UsageLog.objects.update(model=LINE[:100], stop_reason="=1+1")
    for conversation in ConversationSession.objects.all():
        _converse(conversation)


def _converse(conversation: ConversationSession) -> None:
    conversation.messages.all().delete()
    for text in CORPUS.values():
        line = _say(conversation, MessageRole.USER, text)
        _say(conversation, MessageRole.PARTNER, text, parent=line)
        _say(conversation, MessageRole.COACH, text, parent=line, kind=Kind.NOTE)
    _say(conversation, MessageRole.USER, ALL, kind=Kind.ASIDE)
    _say(conversation, MessageRole.COACH, ALL, kind=Kind.DEBRIEF)
    failed = {"status": MessageStatus.INTERRUPTED, "failure": "lost"}
    _say(conversation, MessageRole.PARTNER, ALL, **failed)
    running = {
        "status": MessageStatus.STREAMING,
        "lease_expires_at": timezone.now() + timedelta(hours=1),
    }
    _say(conversation, MessageRole.PARTNER, ALL, **running)


def _say(conversation: ConversationSession, role: str, text: str, **fields: object) -> Message:
    return Message.objects.create(session=conversation, role=role, content=text, **fields)


class PagesTests(TestCase):
    world: World

    @classmethod
    def setUpTestData(cls) -> None:
        cls.world = World()
        poison()

    def setUp(self) -> None:
        logging.disable()
        self.addCleanup(logging.disable, logging.NOTSET)

    def paths(self, person: str) -> set[str]:
        found = set()
        for name, route in views():
            for row in rows.rows_of(name):
                subject = self.world.subjects.get(row.about, {})
                own = subject.get("own", {})
                arguments = own.get(person) if own else subject.get("any")
                if "GET" in row.methods and arguments is not None:
                    found.add(path_of(name, route, arguments))
        return found

    def walk(self, person: str) -> None:
        client = Client(raise_request_exception=False)
        wrong, seen = [], 0
        for path in sorted(self.paths(person)):
            client.cookies = self.world.cookies[person].copy()
            response = client.get(path)
            assert response.status_code < 500, path
            if response.streaming or "html" not in response.headers.get("Content-Type", ""):
                continue
            page = response.content.decode()
            seen += LINE[:20] in page or EVIL in page
            if not response.get("Content-Security-Policy", "").startswith("default-src 'none'"):
                wrong += [f"{path}: {problem}" for problem in Inert(page).problems]
            if "\x00" in page:
                wrong.append(f"{path}: NUL")
        assert wrong == []
        assert seen

    def test_mails_keep_it_as_text(self) -> None:
        self.world.invitation.refresh_from_db()
        Invitation.objects.filter(pk=self.world.invitation.pk).update(linked_user=None)
        self.world.invitation.send()
        (sent,) = mail.outbox
        html = sent.alternatives[0][0]
        problems = [p for p in Inert(html).problems if "style" not in p]
        assert problems == []
        assert "\n" not in sent.subject

    def test_an_export_keeps_it_as_text(self) -> None:
        file = io.BytesIO()
        export.write(self.world.olive, file)
        with zipfile.ZipFile(file) as archive:
            pages = [name for name in archive.namelist() if name.endswith(".html")]
            found = [Inert(archive.read(name).decode()).problems for name in pages]
        assert len(pages) > 2
        # Its own styles stand in the page, which has nothing to load them from.
        assert {problem for problems in found for problem in problems} <= {"style"}

    def test_a_csv_holds_no_formula(self) -> None:
        client = Client()
        client.cookies = self.world.cookies["admin"].copy()
        for page in ("export/", "report/?by=model&format=csv", "report/?by=scenario&format=csv"):
            response = client.get(f"/admin/usage/usagelog/{page}")
            body = b"".join(response.streaming_content).decode()
            cells = [cell for line in csv.reader(io.StringIO(body)) for cell in line]
            assert not [cell for cell in cells if cell.startswith(tuple("=+@-\t\r"))]


def _add_walks() -> None:
    for person in WHO:

        def walk(self: PagesTests, person: str = person) -> None:
            self.walk(person)

        setattr(PagesTests, f"test_pages_of_{person}", walk)


_add_walks()


@pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS)
@pytest.mark.parametrize("make", [render, plain])
def test_a_message_has_no_tags_but_its_own(make, text):
    page = Inert(make(text))
    assert page.problems == []


@pytest.mark.django_db
@pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS)
def test_a_frame_carries_it_inert(conversation_of_somebody, text):
    for role in MessageRole:
        message = _say(conversation_of_somebody, role, text)
        assert Inert(frames.turn(message, conversation_of_somebody)["html"]).problems == []


@pytest.mark.django_db
def test_a_download_is_text(conversation_of_somebody):
    _converse(conversation_of_somebody)
    text = as_text(conversation_of_somebody, list(conversation_of_somebody.messages.all()))
    assert CORPUS["script"] in text


def test_nul_never_gets_in():
    assert turns.clean_text("a\x00b") == "ab"


def test_a_page_says_which_way_its_text_runs():
    message = Message(role=MessageRole.PARTNER, content=CORPUS["direction"], session_id=1, pk=1)
    conversation = ConversationSession(partner_persona="Ray", pk=1)
    message.session = conversation
    html = render_to_string(
        "conversations/_turn.html", {"message": message, "conversation": conversation}
    )
    assert 'class="turn-text" dir="auto"' in html


def test_what_reads_the_pages_sees_what_is_wrong():
    for text in ("script", "closed text", "handlers", "frames", "style"):
        assert Inert(CORPUS[text]).problems, text


@pytest.fixture
def conversation_of_somebody(db):
    return make_conversation(make_scenario(partner_persona=LINE[:200]))
