"""Staff's list and what learners read agree on which invitations are used up."""

from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from accounts.models import Role, User
from config.tests.desk import (
    DeskTestCase,
    admin_url,
    make_conversation,
    make_invitation,
    make_log,
    make_scenario,
)
from conversations.entrance import lacks_budget, newest
from conversations.shortage import short
from invitations.models import Invitation, Status
from usage.models import StreamType

MODEL = "invitations.invitation"


def call(conversation, stream, tokens, spoken=100, minutes=0, **fields):
    """One call that was charged to the conversation's invitation."""
    when = timezone.now() - timedelta(minutes=minutes)
    given = {"input_tokens": tokens - spoken, "output_tokens": spoken}
    make_log(session=conversation, stream_type=stream, timestamp=when, **given, **fields)
    invitation = Invitation.objects.get(pk=conversation.invitation_id)
    usage = {key: invitation.usage.get(key, 0) + count for key, count in given.items()}
    Invitation.objects.filter(pk=invitation.pk).update(usage=usage)


class ListTests(DeskTestCase):
    def setUp(self):
        super().setUp()
        self.now = timezone.now()
        self.list = admin_url(MODEL, "changelist")

    def talked(self, left, **fields):
        """An invitation with an exchange of 800 tokens behind it, and so many left."""
        quota = {"tokens": 800 + left, "label": ""}
        invitation = make_invitation(self.ada, quota=quota, claimed_at=self.now, **fields)
        conversation = make_conversation(self.scenario, invitation=invitation)
        for stream in ("partner", "coach"):
            call(conversation, stream, 400)
        invitation.refresh_from_db()
        return invitation

    def found(self, status):
        rows = self.client.get(self.list, {"status": status}).context["cl"].result_list
        return {row.pk for row in rows}

    def test_too_little_for_another_exchange_is_used_up(self):
        lacking, enough = self.talked(1300), self.talked(1400)
        spent = make_invitation(self.ada, usage={"input_tokens": 25_000})
        assert [lacks_budget(one, newest(one)) for one in (lacking, enough)] == [True, False]

        assert self.found("used_up") == {lacking.pk, spent.pk}
        assert self.found("claimed") == {enough.pk}

    def test_the_list_and_the_form_say_so(self):
        lacking = self.talked(1300)
        assert ">Used up</span>" in self.page(self.list)
        html = self.page(admin_url(MODEL, "change", lacking.pk))
        assert ">Used up</span>" in html
        assert "not enough for another exchange" in html

    def test_one_that_is_closed_is_what_closed_it(self):
        self.talked(1300, expires_at=self.now)
        self.talked(1300, revoked_at=self.now)
        assert self.found("used_up") == set()
        assert len(self.found("expired")) == len(self.found("revoked")) == 1

    def test_an_account_that_carries_on_reads_the_same(self):
        linked = self.talked(1300, linked_user=self.lena)
        assert self.found("used_up") == {linked.pk}
        assert self.found("linked") == set()

    def test_each_stands_in_one_list(self):
        made = {self.talked(left).pk for left in (0, 1, 1300, 1400, 9000)}
        found = [self.found(status) for status in Status.values]
        assert set.union(*found) == made
        assert sum(map(len, found)) == len(made)

    def test_the_list_takes_as_many_queries_for_many(self):
        self.talked(1300)
        few = self.queries(self.list, status="used_up")
        for _ in range(10):
            self.talked(1300)
        assert self.queries(self.list, status="used_up") == few
        assert few <= 12


CALL = st.fixed_dictionaries(
    {
        "stream": st.sampled_from([StreamType.PARTNER, StreamType.COACH, StreamType.DEBRIEF]),
        "tokens": st.integers(120, 3000),
        "spoken": st.integers(0, 120),
        "is_estimate": st.booleans(),
    }
)


class AgreementTests(TestCase):
    @settings(max_examples=40, deadline=None)
    @given(
        talks=st.lists(st.tuples(st.booleans(), st.lists(CALL, max_size=7)), max_size=3),
        left=st.integers(0, 8000),
    )
    def test_the_list_finds_what_the_page_says(self, talks, left):
        ada = User.objects.create_user("ada@example.org", role=Role.ADMIN, is_staff=True)
        scenario = make_scenario()
        invitation = make_invitation(ada, claimed_at=timezone.now())
        for number, (active, calls) in enumerate(talks):
            conversation = make_conversation(scenario, invitation=invitation)
            conversation.started_at += timedelta(minutes=number)
            conversation.status = "active" if active else "ended"
            conversation.ended_at = None if active else timezone.now()
            conversation.save()
            for minutes, values in enumerate(calls):
                call(conversation, minutes=minutes, **values)
        invitation.refresh_from_db()
        invitation.quota = {"tokens": invitation.settled + left or 1, "label": ""}
        invitation.save()

        reads = lacks_budget(invitation, newest(invitation))

        listed = short(Invitation.objects.all()) or invitation.status == Status.USED_UP
        assert bool(listed) == reads


@pytest.mark.django_db
def test_of_none_none_is_short():
    assert short(Invitation.objects.all()) == set()
