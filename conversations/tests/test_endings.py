"""The end of a budget: no reply is ever cut by it, wherever it ends, and nothing is overspent."""

import itertools
from datetime import timedelta
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from conversations import turns
from conversations.models import Kind, Message, MessageRole, MessageStatus
from conversations.prompts import COACH_MOST, DEBRIEF_MOST, PARTNER_MOST
from conversations.replies import runner
from invitations.models import Invitation
from usage.models import Hold, UsageLog

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_model")]
WHOLE = {PARTNER_MOST, COACH_MOST, DEBRIEF_MOST}


class Watch:
    """Notes what is settled and held whenever either changed."""

    def __init__(self, monkeypatch):
        self.seen = []
        for name in ("settle", "release"):
            monkeypatch.setattr(f"conversations.leases.{name}", self.after(name))
        monkeypatch.setattr("conversations.reservations.take_hold", self.after("take_hold"))

    def after(self, name):
        there = getattr(__import__("usage.holds", fromlist=[name]), name)

        def noted(*args, **kwargs):
            result = there(*args, **kwargs)
            self.seen += [row.settled + row.held for row in Invitation.objects.all()]
            return result

        return noted


def words(count):
    return " ".join(["word"] * (count - 1) + ["end."])


async def act(*step):
    runner().carry_out(await runner().take(*step))
    await runner().wait()


async def talk_to_the_end(conversation):
    """Send until the budget begins nothing more, at most forty times; then end it."""
    for turn in range(40):
        await act(turns.send, conversation.pk, uuid4(), f"Line {turn}, as it happens.")
        last = await conversation.messages.filter(role=MessageRole.PARTNER).alast()
        if last.failure == "budget":
            break
    await act(turns.end, conversation.pk)


def replies_of(conversation):
    return list(Message.objects.filter(session=conversation).exclude(role=MessageRole.USER))


@pytest.mark.parametrize("tokens", [1, 600, 1_111, 1_700, 2_345, 3_000, 4_321, 6_000, 9_000])
async def test_no_reply_is_cut_wherever_a_budget_ends(
    conversation, model_server, monkeypatch, tokens
):
    await Invitation.objects.filter(pk=conversation.invitation_id).aupdate(
        quota={"tokens": tokens, "label": ""}
    )
    # Replies of all lengths, up to the longest that a reply may have.
    lengths = itertools.cycle([30, PARTNER_MOST, 90, COACH_MOST, 5, 250])
    for stream in ("partner", "coach"):
        for _ in range(45):
            count = min(next(lengths), COACH_MOST if stream == "coach" else PARTNER_MOST)
            model_server.script(stream, text=words(count), obey=True)
    watch = Watch(monkeypatch)
    await talk_to_the_end(conversation)

    for reply in await sync_to_async(replies_of)(conversation):
        whole = (reply.status, reply.failure) == (MessageStatus.COMPLETE, "")
        foregone = (reply.status, reply.failure, reply.content) == ("failed", "budget", "")
        assert whole or foregone, (reply.role, reply.failure)
        assert not whole or reply.content.endswith("end.")
    calls = model_server.requests("partner") + model_server.requests("coach")
    assert {call["body"]["max_tokens"] for call in calls} <= WHOLE
    assert not await UsageLog.objects.filter(stop_reason="max_tokens").aexists()
    assert not await Hold.objects.held().aexists()
    assert max(watch.seen, default=0) <= tokens


async def test_the_coach_goes_without_in_words_where_only_the_partner_fits(
    conversation, model_server
):
    await Invitation.objects.filter(pk=conversation.invitation_id).aupdate(
        quota={"tokens": 2_000, "label": ""}
    )
    model_server.script("partner", text=words(5), usage={"input_tokens": 1_000})
    model_server.script("count", default=True, input_tokens=900)
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    partner, note = await sync_to_async(replies_of)(conversation)
    assert (partner.status, partner.failure) == ("complete", "")
    assert (note.kind, note.status, note.failure) == (Kind.NOTE, "failed", "budget")
    assert "for a note on this line" in await sync_to_async(lambda: note.failure_words)()
    assert not note.can_retry
    assert model_server.requests("coach") == []


@pytest.mark.parametrize("gone", ["expires_at", "revoked_at"])
async def test_where_the_invitation_ends_meanwhile_the_coach_speaks_of_time_not_budget(
    conversation, model_server, gone
):
    model_server.script("partner", text=words(5), pause=2)
    runner().carry_out(await runner().take(turns.send, conversation.pk, uuid4(), "Hello"))
    await sync_to_async(model_server.wait_for)("partner", 1)
    past = timezone.now() - timedelta(minutes=1)
    await Invitation.objects.filter(pk=conversation.invitation_id).aupdate(**{gone: past})
    await sync_to_async(model_server.release)()
    await runner().wait()
    partner, note = await sync_to_async(replies_of)(conversation)
    assert partner.status == "complete"
    assert (note.kind, note.status, note.failure) == (Kind.NOTE, "failed", "over")
    assert "budget" not in (said := await sync_to_async(lambda: note.failure_words)())
    assert "invitation was over" in said
    assert not note.can_retry
