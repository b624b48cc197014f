from unittest import mock

from django.contrib.admin.models import LogEntry
from django.utils import timezone

from config.tests.desk import (
    DeskTestCase,
    admin_url,
    make_conversation,
    make_invitation,
    make_log,
    say,
)
from conversations.models import ConversationSession, Kind, Message, MessageRole
from conversations.viewings import Viewing
from usage.models import UsageLog

MODEL = "conversations.conversationsession"
CANARY = "xylophone"


class ConversationTestCase(DeskTestCase):
    def setUp(self):
        super().setUp()
        self.conversation = make_conversation(self.scenario, user=self.lena)
        self.line = say(self.conversation, MessageRole.USER, f"Hello {CANARY}")
        self.answer = say(self.conversation, MessageRole.PARTNER, "Well, **kid**.")
        say(self.conversation, MessageRole.COACH, "A warm start.", parent=self.line)
        self.list = admin_url(MODEL, "changelist")
        self.transcript = admin_url(MODEL, "transcript", self.conversation.pk)

    def sign_in_without_transcripts(self):
        self.sign_in(
            self.sten,
            "conversations.view_conversationsession",
            "conversations.view_message",
            "conversations.delete_conversationsession",
            "usage.view_usagelog",
        )


class ListTests(ConversationTestCase):
    def test_it_shows_who_rehearsed_what_for_how_many_tokens(self):
        make_log(session=self.conversation)
        make_log(session=self.conversation, input_tokens=2000)
        invitation = make_invitation(self.ada, recipient_name="Gwen")
        make_conversation(self.scenario, invitation=invitation)

        html = self.page(self.list)

        for words in ("The dinner", "Lena", "Gwen (invited)", ">Active</span>", "3,200"):
            assert words in html

    def test_it_takes_as_many_queries_for_many(self):
        few = self.queries(self.list)
        for _ in range(20):
            invitation = make_invitation(self.ada, recipient_email="a@b.org")
            make_log(session=make_conversation(self.scenario, invitation=invitation))

        assert self.queries(self.list) == few
        assert few <= 12

    def test_it_finds_by_learner_but_never_by_what_was_said(self):
        for words, count in (("lena", 1), ("dinner", 1), (CANARY, 0)):
            with self.subTest(words):
                found = self.client.get(self.list, {"q": words}).context["cl"].result_count
                assert found == count

    def test_it_filters_by_state(self):
        found = self.client.get(self.list, {"status__exact": "ended"}).context["cl"].result_count

        assert found == 0

    def test_nothing_can_be_added_or_changed(self):
        assert self.client.get(admin_url(MODEL, "add")).status_code == 403
        url = admin_url(MODEL, "change", self.conversation.pk)
        assert self.client.post(url, {"scenario_name": "x"}).status_code == 403

    def test_the_page_shows_usage_by_stream(self):
        make_log(session=self.conversation)
        make_log(session=self.conversation, stream_type="coach", model="local")

        html = self.page(admin_url(MODEL, "change", self.conversation.pk))

        assert "Partner: 1 calls of claude-sonnet-5-5, 1,000 tokens in" in html
        assert "Together 2,200 tokens, $0.0030" in html


class TranscriptTests(ConversationTestCase):
    def test_it_reads_like_a_conversation(self):
        html = self.page(self.transcript)

        for words in ("Uncle Ray", "Learner", "Coach", f"Hello {CANARY}", "A warm start."):
            assert words in html
        assert "<strong>kid</strong>" in html

    def test_notes_stand_beside_the_turn_that_they_are_about(self):
        entry = self.client.get(self.transcript).context["entries"][0]

        assert entry.message == self.line
        assert [note.content for note in entry.notes] == ["A warm start."]

    def test_what_was_said_is_inert(self):
        for role in MessageRole:
            say(
                self.conversation,
                role,
                "<script>alert(1)</script><img src=//evil.example/x> [a](javascript:alert(1))",
            )

        html = self.client.get(self.transcript).content.decode()

        for evil in ("<script>alert", "<img", 'href="javascript'):
            assert evil not in html

    def test_states_and_failures_are_named(self):
        say(self.conversation, MessageRole.PARTNER, "I was", status="interrupted", failure="lost")

        html = self.page(self.transcript)

        assert "Interrupted" in html
        assert "lost when a server stopped" in html

    def test_a_debrief_has_its_place(self):
        say(self.conversation, MessageRole.COACH, "What went well: all.", kind=Kind.DEBRIEF)

        assert "What went well: all." in self.page(self.transcript)

    def test_a_long_one_takes_as_many_queries(self):
        few = self.queries(self.transcript)
        for _ in range(30):
            say(self.conversation, MessageRole.PARTNER, "No.", status="failed", failure="busy")

        assert self.queries(self.transcript) == few

    def test_each_view_is_recorded(self):
        self.client.get(self.transcript)
        self.client.get(self.transcript)

        entries = LogEntry.objects.filter(object_id=self.conversation.pk, user=self.ada)
        assert [e.change_message for e in entries] == ["Read the transcript."] * 2

    def test_a_conversation_that_is_not_there_is_404(self):
        assert self.client.get(admin_url(MODEL, "transcript", 99999)).status_code == 404
        assert self.client.get(admin_url(MODEL, "transcript", "x")).status_code == 404

    def test_it_needs_its_own_permission(self):
        self.sign_in_without_transcripts()

        assert self.client.get(self.transcript).status_code == 403
        assert not LogEntry.objects.exists()

    def test_the_permission_opens_it(self):
        self.sign_in(
            self.sten, "conversations.view_conversationsession", "conversations.view_transcript"
        )

        assert CANARY in self.page(self.transcript)

    def test_the_permission_alone_does_not(self):
        self.sign_in(self.sten, "conversations.view_transcript")

        assert self.client.get(self.transcript).status_code == 403

    def test_anonymous_people_and_learners_stay_out(self):
        self.sign_in(self.lena)
        assert self.client.get(self.transcript, follow=True).status_code == 403
        self.client.logout()
        assert self.client.get(self.transcript).status_code == 302


class WithoutPermissionTests(ConversationTestCase):
    def setUp(self):
        super().setUp()
        self.page(self.transcript)  # which leaves a line in the history
        self.sign_in_without_transcripts()

    def test_nothing_that_was_said_is_on_any_page(self):
        for page in ("change", "history", "delete"):
            assert CANARY not in self.page(admin_url(MODEL, page, self.conversation.pk))
        html = self.page(self.list)
        assert CANARY not in html
        assert "/transcript/" not in html

    def test_messages_are_hidden(self):
        message = "conversations.message"

        assert self.client.get(admin_url(message, "changelist")).status_code == 403
        url = admin_url(message, "change", self.line.pk)
        assert self.client.get(url).status_code == 403
        assert self.client.get(admin_url(message, "history", self.line.pk)).status_code == 403
        assert "/conversations/message/" not in self.page("/admin/")

    def test_filters_do_not_probe_contents(self):
        response = self.client.get(self.list, {"messages__content__contains": CANARY}, follow=True)

        assert response.status_code in (400, 200)
        if response.status_code == 200:
            assert "cl" not in (response.context or {})


class DeleteTests(ConversationTestCase):
    def test_the_messages_go_with_it_and_the_usage_stays(self):
        make_log(session=self.conversation)
        self.sign_in_without_transcripts()

        self.client.post(admin_url(MODEL, "delete", self.conversation.pk), {"post": "yes"})

        assert not ConversationSession.objects.exists()
        assert not Message.objects.exists()
        assert UsageLog.objects.count() == 1

    def test_not_while_a_reply_is_being_written(self):
        say(
            self.conversation,
            MessageRole.PARTNER,
            "",
            status="streaming",
            lease_expires_at=timezone.now(),
        )

        response = self.client.post(
            admin_url(MODEL, "delete", self.conversation.pk), {"post": "yes"}
        )

        assert response.status_code == 403
        assert ConversationSession.objects.exists()


class MessageTests(ConversationTestCase):
    def test_the_list_shows_no_words(self):
        html = self.page(admin_url("conversations.message", "changelist"))

        assert CANARY not in html
        assert "Partner" in html

    def test_the_words_are_one_recorded_click_away(self):
        html = self.page(admin_url("conversations.message", "change", self.line.pk))

        assert CANARY not in html
        assert f"{self.transcript}#message-{self.line.pk}" in html

    def test_it_finds_words_for_those_who_may_read(self):
        url = admin_url("conversations.message", "changelist")

        assert self.client.get(url, {"q": CANARY}).context["cl"].result_count == 1

    def search(self, text, **query):
        """Search, and return the kinds of reading that are recorded by then."""
        url = admin_url("conversations.message", "changelist")
        assert self.client.get(url, {"q": text, **query}).status_code == 200
        return [(one.kind, one.number, one.viewer) for one in Viewing.objects.all()]

    def test_finding_words_is_recorded_as_reading(self):
        read = [("search", self.conversation.pk, self.ada)]

        assert self.search("nobody-said-this") == []
        assert self.search(CANARY[2:-2].upper()) == read

    def test_a_phrase_in_quotation_marks_is_recorded_too(self):
        say(self.conversation, MessageRole.USER, "It is all the same")

        assert len(self.search('"all the same"')) == 1

    def test_a_mark_that_is_part_of_a_word_hides_no_reading(self):
        name = self.conversation.scenario_name
        say(self.conversation, MessageRole.USER, f"{name}' of yours")

        assert len(self.search(f"{name.split()[-1]}'")) == 1

    def test_what_only_the_count_tells_of_is_recorded_too(self):
        other = make_conversation(self.scenario, user=self.sten)
        for _ in range(50):
            say(other, MessageRole.USER, CANARY)

        found = self.search(CANARY, o="-1")

        assert {number for _, number, _ in found} == {self.conversation.pk, other.pk}

    def test_no_search_counts_further_than_it_records(self):
        url = admin_url("conversations.message", "changelist")
        for _ in range(3):
            say(self.conversation, MessageRole.USER, f"{CANARY} again")

        with mock.patch("conversations.admin_messages.SearchPaginator.most", 2):
            assert self.client.get(url, {"q": CANARY}).context["cl"].result_count == 2
        with mock.patch("conversations.admin_messages.SearchPaginator.most", 2):
            assert self.client.get(url).context["cl"].result_count > 2

    def test_a_search_that_shows_a_conversation_twice_is_one_reading_of_it(self):
        for _ in range(2):
            say(self.conversation, MessageRole.USER, f"{CANARY} again")

        assert len(self.search(CANARY)) == 1

    def test_finding_a_scenario_or_a_number_reads_nothing(self):
        assert self.search(self.conversation.scenario_name) == []
        assert self.search(str(self.conversation.pk)) == []

    def test_no_address_and_no_suggestion_tells_of_words_without_a_record(self):
        url = admin_url("conversations.message", "changelist")
        field = {"app_label": "conversations", "model_name": "message", "field_name": "parent"}

        assert self.client.get(url, {"content__contains": CANARY}).status_code == 400
        answer = self.client.get("/admin/autocomplete/", {**field, "term": CANARY})
        assert answer.json()["results"] == []

    def test_it_takes_as_many_queries_for_many(self):
        url = admin_url("conversations.message", "changelist")
        few = self.queries(url)
        for _ in range(20):
            say(make_conversation(self.scenario), MessageRole.USER, "Hi")

        assert self.queries(url) == few

    def test_it_filters_by_failure(self):
        url = admin_url("conversations.message", "changelist")
        say(self.conversation, MessageRole.PARTNER, "", status="failed", failure="busy")

        counts = {
            value: self.client.get(url, {"failure": value}).context["cl"].result_count
            for value in ("any", "busy", "key")
        }

        assert counts == {"any": 1, "busy": 1, "key": 0}

    def test_it_is_a_record(self):
        url = admin_url("conversations.message", "change", self.line.pk)

        assert self.client.post(url, {"content": "x"}).status_code == 403
        for page in ("add",):
            assert self.client.get(admin_url("conversations.message", page)).status_code == 403
        url = admin_url("conversations.message", "delete", self.line.pk)
        assert self.client.post(url, {"post": "yes"}).status_code == 403
