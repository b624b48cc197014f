"""Erasing people: in time, by one process, while replies run, and guests too."""

import asyncio
import threading
from datetime import timedelta
from smtplib import SMTPException
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.contrib.admin.models import CHANGE, LogEntry
from django.core import mail
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.utils import timezone

from accounts.mail import FolderBackend
from accounts.models import User
from accounts.tests.people import person, staff
from conversations import erasure, housekeeping, leases, llm, replies, turns
from conversations.models import ConversationSession, Message
from conversations.replies import runner
from conversations.starting import Means, start
from invitations import own_link
from invitations.models import Invitation
from invitations.tests.test_sending import make as make_batch
from usage.models import Hold, PersonalAllowance, UsageLog

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def dana(scenario):
    """Somebody whose week is over, with a conversation."""
    user = person(name="Dana", erase_at=timezone.now() - timedelta(seconds=1))
    own = ConversationSession.begin(scenario, user=user, invitation=None)
    Message.objects.create(session=own, role="user", content="I feel cornered.")
    return user


def is_gone(user):
    return not User.objects.filter(pk=user.pk).exists() and not Message.objects.exists()


def test_what_staff_did_with_things_of_theirs_names_nobody(dana, scenario):
    host = staff()
    scenario.owner = other = person("pat@example.com", name="Pat", role="POWER_USER")
    scenario.save()
    allowances = [PersonalAllowance.objects.create(user=one) for one in (dana, other)]
    taken_back = person("kim@example.com", name="Kim")
    allowances.append(PersonalAllowance.objects.create(user=taken_back))
    for row in (scenario, *allowances):
        LogEntry.objects.log_actions(host.pk, [row], CHANGE, "Tokens.")
    allowances[-1].delete()
    ConversationSession.objects.all().delete()
    for user in (dana, other, taken_back):
        erasure.erase(user.pk)
    assert set(LogEntry.objects.values_list("object_repr", "change_message")) == {("", "")}


def test_who_has_the_address_as_a_part_of_theirs_is_left_alone(dana, client):
    joan = person(f"jo{dana.email}", name="Joan")
    client.force_login(joan, backend="accounts.backends.RoleBackend")
    session = client.session
    session["about"] = joan.email
    session.save()
    LogEntry.objects.log_actions(staff().pk, [joan], CHANGE, f"Now {joan.email}.")
    erasure.erase(dana.pk)
    assert LogEntry.objects.get().change_message == f"Now {joan.email}."
    assert client.get("/account/").status_code == 200


# --- When -----------------------------------------------------------------------------------


def test_who_is_due_is_erased_and_told(dana, mailoutbox):
    other = person("eve@example.com", erase_at=timezone.now() + timedelta(days=1))
    assert erasure.erase_due() == 1
    assert is_gone(dana)
    assert User.objects.filter(pk=other.pk, is_active=True).exists()
    (mail,) = mailoutbox
    assert (mail.to, mail.subject) == (
        ["dana@example.com"],
        "Your Parley account has been erased",
    )
    assert erasure.erase_due() == 0


def test_the_sweep_does_it(dana, capsys):
    call_command("sweep")
    assert "Accounts erased: 1" in capsys.readouterr().out
    assert is_gone(dana)


async def test_a_server_looks_soon_and_again_and_again(monkeypatch):
    looks, thrice = [], asyncio.Event()

    async def look():
        looks.append(True)
        if len(looks) == 3:
            thrice.set()

    monkeypatch.setattr(housekeeping, "look", look)
    keeper = housekeeping.Housekeeper(first=0.0, every=0.001)
    keeper.start()
    await asyncio.wait_for(thrice.wait(), 10)
    keeper.end()


def test_a_server_may_start_it_before_its_loop_runs(monkeypatch):
    """As daphne does."""
    loop, looked = asyncio.new_event_loop(), asyncio.Event()

    async def look():
        looked.set()

    monkeypatch.setattr(housekeeping, "look", look)
    asyncio.set_event_loop(loop)
    keeper = housekeeping.Housekeeper(first=0.0)
    keeper.start()
    loop.run_until_complete(asyncio.wait_for(looked.wait(), 10))
    keeper.end()
    loop.run_until_complete(asyncio.sleep(0))
    asyncio.set_event_loop(None)
    loop.close()


@pytest.mark.django_db(transaction=True)
async def test_a_server_goes_on_with_an_interrupted_bulk_invitation():
    people = ["ann@example.org", "bob@example.org"]
    batch = await sync_to_async(make_batch)(*people)
    keeper = housekeeping.Housekeeper(first=60, mails=0.0)
    keeper.start()
    sent = batch.deliveries.filter(state="sent")
    async with asyncio.timeout(10):
        while await sent.acount() < 2:
            await asyncio.sleep(0.01)
    keeper.end()
    for thread in threading.enumerate():
        if thread.name == f"batch-{batch.pk}":
            await asyncio.to_thread(thread.join)
    assert sorted(message.to[0] for message in mail.outbox) == people


async def test_a_server_erases_whom_it_finds(dana):
    assert await housekeeping.look() == 1
    assert await sync_to_async(is_gone)(dana)


async def test_a_server_goes_on_while_the_database_is_away(monkeypatch, caplog):
    looks, twice = [], asyncio.Event()

    async def away():
        looks.append(True)
        if len(looks) == 2:
            twice.set()
        raise DatabaseError("dana@example.com")

    monkeypatch.setattr(housekeeping, "look", away)
    keeper = housekeeping.Housekeeper(first=0.0, every=0.001)
    keeper.start()
    await asyncio.wait_for(twice.wait(), 10)
    keeper.end()
    assert "DatabaseError" in caplog.text
    assert "dana" not in caplog.text


def test_of_several_that_look_at_once_one_does_it(dana, mailoutbox):
    counts, gate = [], threading.Barrier(4)

    def look():
        gate.wait()
        counts.append(erasure.erase_due())
        connection.close()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts) == [0, 0, 0, 1]
    assert len(mailoutbox) == 1
    assert is_gone(dana)


def test_what_fails_is_undone_and_done_an_hour_later(dana, monkeypatch, caplog):
    with monkeypatch.context() as broken:
        broken.setattr(erasure, "_forget_person", lambda user: 1 / 0)
        assert erasure.erase_due() == 0
    assert Message.objects.get().content == "I feel cornered."
    dana.refresh_from_db()
    assert not dana.is_active
    assert "ZeroDivisionError" in caplog.text
    assert "dana" not in caplog.text.lower()
    assert erasure.erase_due() == 0
    User.objects.update(erase_at=timezone.now())
    assert erasure.erase_due() == 1
    assert is_gone(dana)


def test_one_that_fails_does_not_keep_others_from_it(dana, scenario, monkeypatch):
    first = person("eve@example.com", erase_at=timezone.now() - timedelta(days=1))
    forget = erasure._forget_person

    def forget_others(user):
        assert user.pk != first.pk
        forget(user)

    monkeypatch.setattr(erasure, "_forget_person", forget_others)
    assert erasure.erase_due() == 1
    assert is_gone(dana)


def test_a_mail_server_that_is_away_undoes_nothing(dana, monkeypatch, caplog):
    def refuse(self, **options):
        raise SMTPException("dana@example.com is unknown")

    monkeypatch.setattr(EmailMessage, "send", refuse)
    assert erasure.erase_due() == 1
    assert is_gone(dana)
    assert "dana" not in caplog.text


# --- Files ----------------------------------------------------------------------------------


def test_mail_in_the_folder_goes_the_last_one_too(dana, tmp_path, settings):
    settings.MAILERS = {
        "default": {
            "BACKEND": "accounts.mail.FolderBackend",
            "OPTIONS": {"file_path": str(tmp_path)},
        }
    }
    folder = FolderBackend(file_path=str(tmp_path), alias="default")
    folder.send_messages([EmailMessage("Yours", "x", to=["Dana@example.com"])])
    folder.send_messages([EmailMessage("Another's", "x", to=["eve@example.com"])])
    erasure.erase_due()
    assert ["another-s" in path.name for path in tmp_path.iterdir()] == [True]


def test_the_cache_names_nobody(dana, client):
    """What is counted is counted under hashed keys."""
    client.post("/accounts/login/", {"login": "dana@example.com", "password": "wrong"})
    client.post("/accounts/login/code/", {"email": "dana@example.com"})
    client.force_login(dana, backend="accounts.backends.RoleBackend")
    client.get("/account/")
    client.post("/account/data/export/")
    kept = cached()
    assert kept
    assert "dana" not in kept


def cached():
    """Every key and value of the cache."""
    if hasattr(cache, "_cache") and isinstance(cache._cache, dict):
        return repr(cache._cache).lower()
    redis = cache._cache.get_client()
    keys = list(redis.scan_iter(f"{cache.key_prefix}*"))
    return repr([(key, redis.get(key)) for key in keys]).lower()


# --- While something runs -------------------------------------------------------------------


@pytest.fixture
def slow_model(settings, model_server, monkeypatch):
    settings.ANTHROPIC_BASE_URL = model_server.url
    settings.ANTHROPIC_API_KEY = "key"
    monkeypatch.setattr(llm, "BACKOFF", (0.01, 0.01))
    monkeypatch.setattr(replies, "CHECKPOINT_SECONDS", 0.05)
    return model_server


async def until(condition):
    async with asyncio.timeout(10):
        while not await sync_to_async(condition)():
            await asyncio.sleep(0.02)


async def test_a_reply_that_runs_ends_and_writes_nothing_back(dana, slow_model, caplog):
    slow_model.script("partner", text="word " * 400, pause=100)
    own = await sync_to_async(ConversationSession.objects.get)()
    runner().carry_out(await runner().take(turns.send, own.pk, uuid4(), "Go on."))
    await until(lambda: Message.objects.filter(role="partner").exclude(content="").exists())

    await sync_to_async(erasure.erase)(dana.pk)
    async with asyncio.timeout(5):
        await runner().wait()

    assert await sync_to_async(is_gone)(dana)
    assert not await ConversationSession.objects.aexists()
    assert not await Hold.objects.aexists()
    log = await UsageLog.objects.aget()
    assert (log.user_id, log.session_id, log.is_estimate) == (None, None, True)
    assert "Traceback" not in caplog.text


async def test_a_reply_that_ends_in_the_very_moment_is_no_error(
    dana, slow_model, monkeypatch, caplog
):
    own = await sync_to_async(ConversationSession.objects.get)()
    found = leases._found

    def found_and_erased(message):
        reply = found(message)
        erasure.erase(dana.pk)
        return reply

    monkeypatch.setattr(leases, "_found", found_and_erased)
    runner().carry_out(await runner().take(turns.send, own.pk, uuid4(), "Go on."))
    async with asyncio.timeout(10):
        await runner().wait()
    assert await sync_to_async(is_gone)(dana)
    assert "broke" not in caplog.text


async def test_a_lost_reply_that_is_erased_while_it_is_found_is_no_error(dana, monkeypatch):
    long_ago = timezone.now() - timedelta(minutes=1)
    own = await sync_to_async(ConversationSession.objects.get)()
    lost = {"status": "streaming", "lease_owner": "x", "lease_expires_at": long_ago}
    await Message.objects.acreate(session=own, role="partner", **lost)
    found = leases._found

    def found_and_erased(message):
        reply = found(message)
        erasure.erase(dana.pk)
        return reply

    monkeypatch.setattr(leases, "_found", found_and_erased)
    assert await runner().recover() == 0


def test_nothing_begins_any_more_once_it_has_begun(dana, scenario):
    held = User.objects.get(pk=dana.pk)
    erasure.erase(dana.pk)
    with pytest.raises(User.DoesNotExist):
        start(scenario, Means(held, None))


# --- Guests ---------------------------------------------------------------------------------


@pytest.fixture
def guests(invitation, conversation):
    Invitation.objects.update(
        recipient_email="gil@example.com", recipient_name="Gil", personal_note="Hi Gil"
    )
    Message.objects.create(session=conversation, role="user", content="As a guest.")
    return Invitation.objects.get()


def test_a_guest_is_erased_by_their_invitation(guests):
    link, held_as = guests.link, guests.held_as
    assert erasure.erase_guest(guests) == 1
    left = Invitation.objects.get()
    assert (left.recipient_email, left.recipient_name, left.personal_note) == ("", "", "")
    assert left.revoked_at
    assert left.link != link
    assert left.held_as != held_as
    assert not ConversationSession.objects.exists()
    assert not Message.objects.exists()


def test_what_an_account_took_up_is_not_a_guests(guests, owner):
    Invitation.objects.update(linked_user=owner)
    with pytest.raises(ValueError, match="account"):
        erasure.erase_guest(guests)
    assert Message.objects.exists()


@pytest.mark.parametrize("account", [False, True])
def test_mail_to_an_address_that_nobody_kept_goes_too(guests, dana, tmp_path, settings, account):
    """A guest had their link sent to an address of theirs, which stands in no table."""
    folder = {"file_path": str(tmp_path)}
    settings.MAILERS = {"default": {"BACKEND": "accounts.mail.FolderBackend", "OPTIONS": folder}}
    own = own_link.message(guests, "another.of.gils@example.org")
    others = Invitation.objects.create(quota={"tokens": 9}, created_by=guests.created_by)
    FolderBackend(**folder, alias="default").send_messages(
        [own, own_link.message(others, "eve@example.com")]
    )
    guests.new_link()  # whatever has become of the link since
    if account:
        Invitation.objects.filter(pk=guests.pk).update(linked_user=dana)
        erasure.erase(dana.pk)
    else:
        erasure.erase_guest(guests)
    left = [path.read_text() for path in tmp_path.iterdir()]
    assert not any("gils" in text for text in left)
    assert any("eve@example.com" in text for text in left)
