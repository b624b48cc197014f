"""A budget in which only an exact count makes a reply fit, and what a count is worth."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from conversations import leases, llm, turns
from conversations.prompts import PARTNER_MOST
from conversations.replies import runner
from conversations.reservations import reserve_counted
from conversations.tests.talking import act, counts, partner_of, talk, usage_of
from invitations.models import Invitation
from usage.models import Hold, HoldState, UsageLog

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_model")]


async def test_a_small_budget_is_counted_exactly_and_the_reply_may_be_as_long_as_ever(
    conversation, model_server, tight
):
    model_server.script("partner", text="Hm.")
    reply = await talk(conversation)
    assert reply.status == "complete"
    assert model_server.requests("partner")[-1]["body"]["max_tokens"] == PARTNER_MOST


@pytest.mark.parametrize("body", ['{"input_tokens": 0}', '{"input_tokens": -5000}', "[]", "<html>"])
async def test_a_count_that_is_none_begins_nothing_where_only_a_count_would_fit(
    conversation, tight, model_server, body
):
    model_server.script("count", default=True, body=body)
    reply = await talk(conversation)
    assert (reply.status, reply.failure) == ("failed", "budget")
    assert model_server.requests("partner") == []


async def test_no_count_of_a_providers_overspends_a_budget(conversation, tight, model_server):
    model_server.script("partner", text="Hm.", usage=counts(5_000_000, 3))
    reply = await talk(conversation)
    assert (reply.status, reply.failure) == ("complete", "")
    invitation = await Invitation.objects.aget(pk=conversation.invitation_id)
    assert invitation.settled + invitation.held <= invitation.limit


async def test_stop_ends_the_wait_for_a_count(conversation, tight, model_server):
    model_server.script("count", header_delay=5)
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    async with asyncio.timeout(3):
        while len(model_server.requests("count")) < 2:  # one by `tight`
            await asyncio.sleep(0.01)
        runner().stop((await partner_of(conversation)).pk)
        await runner().wait()
    reply = await partner_of(conversation)
    assert (reply.status, reply.failure, reply.hold_id) == ("stopped", "", None)
    assert model_server.requests("partner") == []


async def test_a_budget_too_small_for_a_whole_reply_calls_nothing(conversation, model_server):
    await Invitation.objects.filter(pk=conversation.invitation_id).aupdate(
        quota={"tokens": 450, "label": ""}
    )
    reply = await talk(conversation)
    assert (reply.status, reply.failure) == ("failed", "budget")
    assert model_server.requests("partner") == []
    assert not await UsageLog.objects.aexists()
    assert (await usage_of(conversation)).get("held_tokens", 0) == 0


async def test_a_reply_that_was_taken_over_before_its_hold_calls_and_holds_nothing(
    conversation, model_server, tight
):
    sent = await runner().take(turns.send, conversation.pk, uuid4(), "Hello")
    assert sent.replies[0].hold is None
    late = timezone.now() - timedelta(seconds=1)
    await conversation.messages.streaming().aupdate(
        lease_expires_at=late, stop_requested_at=late, lease_owner="somebody-else"
    )
    await sync_to_async(leases.take_over)(sent.replies[0].message.pk)
    runner().carry_out(sent)
    await runner().wait()
    assert model_server.requests("partner") == []
    assert not await Hold.objects.aexists()
    assert (await usage_of(conversation)).get("held_tokens", 0) == 0


async def test_a_hold_taken_in_the_moment_of_a_take_over_is_given_back(
    conversation, monkeypatch, tight
):
    sent = await runner().take(turns.send, conversation.pk, uuid4(), "Hello")
    reply = sent.replies[0]
    late = timezone.now() - timedelta(seconds=1)
    await conversation.messages.streaming().aupdate(lease_expires_at=late, stop_requested_at=late)
    found = leases._found

    def found_a_moment_ago(pk):
        row = found(pk)
        reserve_counted(pk, reply.request, 0, 10)
        return row

    monkeypatch.setattr(leases, "_found", found_a_moment_ago)
    await sync_to_async(leases.take_over)(reply.message.pk)
    assert [hold.state async for hold in Hold.objects.all()] == [HoldState.RELEASED]
    assert (await usage_of(conversation))["held_tokens"] == 0


async def test_a_hold_whose_answer_got_lost_is_not_taken_twice(conversation, tight, model_server):
    sent = await runner().take(turns.send, conversation.pk, uuid4(), "Hello")
    reply = sent.replies[0]
    counted = await llm.count_tokens(reply.request)
    first, again = [
        await sync_to_async(reserve_counted)(reply.message.pk, reply.request, 0, counted)
        for _ in range(2)
    ]
    assert first == again
    assert await Hold.objects.acount() == 1
