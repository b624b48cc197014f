"""What servers do by themselves: above all, find the replies that nobody runs any more."""

import asyncio
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.utils import timezone

from config.startup import take_up
from config.tests.desk import make_log
from conversations.housekeeping import Housekeeper
from conversations.models import Message, MessageStatus
from conversations.replies import runner
from usage.models import ReportedDay

pytestmark = pytest.mark.django_db(transaction=True)


async def test_days_that_are_over_are_summed_before_anybody_asks(conversation):
    yesterday = timezone.now() - timedelta(days=1)
    await sync_to_async(make_log)(session=conversation, timestamp=yesterday)
    keeper = Housekeeper(first=0)
    keeper.start()
    async with asyncio.timeout(10):
        while not await ReportedDay.objects.aexists():
            await asyncio.sleep(0.01)
    keeper.end()


@pytest.fixture
def lost(say):
    """A partner's reply whose process died."""
    return say(
        "partner",
        "Half a",
        parent=say("user", "Hello"),
        status=MessageStatus.STREAMING,
        lease_owner="dead",
        lease_expires_at=timezone.now() - timedelta(seconds=1),
    )


async def starting():
    await take_up()
    await runner().wait()


async def sweeping():
    await sync_to_async(call_command, thread_sensitive=False)("sweep")


async def keeping_house():
    keeper = Housekeeper(first=60, mails=60, lapsed=0)
    keeper.start()
    async with asyncio.timeout(10):
        while not await Message.objects.filter(status=MessageStatus.INTERRUPTED).aexists():
            await asyncio.sleep(0.01)
    keeper.end()
    await runner().wait()


@pytest.mark.parametrize("look", [starting, sweeping, keeping_house])
async def test_a_lost_reply_is_finished(lost, look, capsys):
    await look()
    await lost.arefresh_from_db()
    assert (lost.status, lost.content) == ("interrupted", "Half a")
    again = await Message.objects.aget(role="partner", status=MessageStatus.COMPLETE)
    assert again.restarts == 1
    assert again.content
