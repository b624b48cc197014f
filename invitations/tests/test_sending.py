"""Bulk sending: each mail once, whatever breaks, and nobody forgotten."""

import smtplib
import threading
from datetime import timedelta
from io import StringIO
from unittest.mock import patch
from uuid import uuid4

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from invitations import bulk, sending
from invitations.bulk import Batch, Delivery, Halt, State
from invitations.lists import read
from invitations.models import Invitation, Status
from invitations.tests import making

SEND = "django.core.mail.backends.locmem.EmailBackend.send_messages"
OPEN = "django.core.mail.backends.locmem.EmailBackend.open"
WHO = ("ann@example.org", "bob@example.org", "cy@example.org")


def make(*emails, **fields) -> Batch:
    """A batch with its invitations stored; nobody sends it yet."""
    offer = Batch(
        scenario=making.Scenario.objects.first() or making.scenario(),
        quota={"tokens": 25_000, "label": "Short"},
        personal_note="Good luck!",
        created_by=making.User.objects.filter(is_staff=True).first() or making.staff(),
        **fields,
    )
    with patch("invitations.sending.start"):
        return sending.begin(offer, read("\n".join(emails or WHO)))[0]


def send(batch: Batch) -> None:
    """Send it here and now."""
    assert batch.lease("me")
    sending.send_waiting(batch, "me")


def states(batch: Batch) -> list[str]:
    return list(batch.deliveries.values_list("state", flat=True))


def reached() -> list[str]:
    return sorted(message.to[0] for message in mail.outbox)


pytestmark = pytest.mark.django_db


# --- Making one ----------------------------------------------------------------------------


def test_everybody_gets_an_invitation_of_their_own():
    batch = make("Ann Ash <ann@example.org>", "bob@example.org")

    ann, bob = Invitation.objects.order_by("recipient_email")
    assert (ann.recipient_name, ann.recipient_email) == ("Ann Ash", "ann@example.org")
    assert ann.token != bob.token
    for invitation in (ann, bob):
        assert invitation.scenario == batch.scenario
        assert invitation.personal_note == "Good luck!"
        assert invitation.quota == batch.quota
        assert invitation.expires_at == batch.expires_at
    assert states(batch) == [State.WAITING] * 2
    assert mail.outbox == []


def test_the_same_form_twice_is_one_batch():
    key = uuid4()

    assert make(key=key) == make(key=key)
    assert Invitation.objects.count() == 3


# --- When all is well ----------------------------------------------------------------------


def test_each_is_mailed_their_own_link_once():
    batch = make()

    send(batch)
    send(batch)

    assert reached() == sorted(WHO)
    for message in mail.outbox:
        invitation = Invitation.objects.get(recipient_email=message.to[0])
        assert invitation.url in message.body
        assert invitation.sent_at is not None
    assert states(batch) == [State.SENT] * 3
    batch.refresh_from_db()
    assert (batch.lease_owner, batch.lease_expires_at) == ("", None)


def test_one_connection_serves_them_all():
    batch = make()
    with patch(OPEN, return_value=False, autospec=True) as opened:
        send(batch)
    assert len({id(call.args[0]) for call in opened.call_args_list}) == 1


def test_no_log_line_holds_a_link_or_an_address(caplog):
    batch = make()
    with patch(SEND, side_effect=OSError("to ann@example.org")):
        send(batch)
    assert caplog.records
    assert "example.org" not in caplog.text
    assert "/invite/" not in caplog.text


# --- When a mail fails ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "state", "failure"),
    [
        (smtplib.SMTPRecipientsRefused({}), State.FAILED, "address"),
        (smtplib.SMTPDataError(554, b"no"), State.FAILED, "refused"),
        (smtplib.SMTPSenderRefused(550, b"no", "us"), State.FAILED, "refused"),
        (ValueError("a bad address"), State.FAILED, "address"),
        (smtplib.SMTPServerDisconnected("gone"), State.UNCLEAR, "cut"),
        (TimeoutError(), State.UNCLEAR, "cut"),
        (ConnectionResetError(), State.UNCLEAR, "cut"),
    ],
)
def test_one_that_fails_says_why_and_the_others_go_out(error, state, failure):
    batch = make()
    real = EmailBackend.send_messages

    def sometimes(self, messages):
        if messages[0].to == ["bob@example.org"]:
            raise error
        return real(self, messages)

    with patch(SEND, sometimes):
        send(batch)

    assert states(batch) == [State.SENT, state, State.SENT]
    bob = batch.deliveries.get(position=2)
    assert (bob.failure, bob.invitation.sent_at) == (failure, None)
    assert bob.failure_words == bulk.FAILURES[failure]
    assert reached() == ["ann@example.org", "cy@example.org"]


def test_a_failed_one_is_sent_again_and_the_others_are_not():
    batch = make()
    with patch(SEND, side_effect=smtplib.SMTPRecipientsRefused({})):
        send(batch)
    assert batch.deliveries.filter(position=1).send_again() == 1

    send(batch)

    assert states(batch) == [State.SENT, State.FAILED, State.FAILED]
    assert reached() == ["ann@example.org"]
    assert batch.deliveries.get(position=1).attempts == 2


def test_what_is_sent_is_never_sent_again():
    batch = make()
    send(batch)

    assert batch.deliveries.send_again() == 0


@pytest.mark.parametrize(
    "change",
    [{"revoked_at": timezone.now()}, {"expires_at": timezone.now()}, {"recipient_email": ""}],
)
def test_one_that_was_closed_meanwhile_is_not_sent(change):
    batch = make("ann@example.org")
    Invitation.objects.update(**change)

    send(batch)

    assert states(batch) == [State.FAILED]
    assert mail.outbox == []


def test_a_mail_that_cannot_be_written_stops_no_other():
    batch = make()
    with patch("invitations.sending.message", side_effect=RuntimeError):
        send(batch)
    assert states(batch) == [State.FAILED] * 3


def test_a_deleted_invitation_stops_no_other():
    batch = make()
    real = sending._reached

    def delete_bob(mailer):
        Invitation.objects.filter(recipient_email="bob@example.org").delete()
        return real(mailer)

    with patch("invitations.sending._reached", delete_bob):
        send(batch)
    assert states(batch) == [State.SENT] * 2


# --- When more than a mail fails -----------------------------------------------------------


def test_without_a_mail_server_nothing_is_marked_and_a_person_decides():
    batch = make()
    with patch(OPEN, side_effect=ConnectionRefusedError):
        send(batch)

    batch.refresh_from_db()
    assert (batch.halted, states(batch)) == (Halt.UNREACHABLE, [State.WAITING] * 3)
    assert sending.start(batch) is None
    assert not Batch.objects.unfinished().exists()

    batch.go_on()
    send(batch)
    assert reached() == sorted(WHO)


def test_staff_stop_it_between_two_mails():
    batch = make()
    real = EmailBackend.send_messages

    def then_stop(self, messages):
        batch.halt()
        return real(self, messages)

    with patch(SEND, then_stop):
        send(batch)

    assert states(batch) == [State.SENT, State.WAITING, State.WAITING]
    batch.refresh_from_db()
    assert batch.halted == Halt.STOPPED


def test_a_process_that_ends_finishes_its_mail_and_leaves_the_others():
    batch = make()
    with patch("invitations.sending._may_go_on", side_effect=[True, False]):
        send(batch)

    assert states(batch) == [State.SENT, State.WAITING, State.WAITING]
    assert Batch.objects.unfinished().get() == batch


def die_in_the_middle(batch):
    """A sender that is killed while the second mail is on its way."""
    assert batch.lease("dead")
    for _ in range(2):
        claimed = batch.deliveries.claim_next()
        if claimed.position == 1:
            claimed.finish(State.SENT)


def test_after_a_crash_the_others_go_out_and_the_one_in_the_middle_is_a_persons_choice():
    batch = make()
    die_in_the_middle(batch)

    assert not Batch.objects.unfinished().exists()
    assert Delivery.objects.give_up_lost() == 0
    long_ago = timezone.now() - timedelta(minutes=4)
    Batch.objects.update(lease_expires_at=long_ago)
    Delivery.objects.exclude(begun_at=None).update(begun_at=long_ago)
    assert Delivery.objects.give_up_lost() == 1
    assert Batch.objects.unfinished().get() == batch
    send(batch)

    assert reached() == ["cy@example.org"]
    assert states(batch) == [State.SENT, State.UNCLEAR, State.SENT]
    batch.deliveries.filter(position=2).send_again()
    send(batch)
    assert reached() == ["bob@example.org", "cy@example.org"]


def test_who_decides_that_it_arrived_is_believed():
    batch = make()
    die_in_the_middle(batch)
    Delivery.objects.filter(position=2).update(state=State.UNCLEAR)

    assert batch.deliveries.take_as_sent() == 1
    assert states(batch) == [State.SENT, State.SENT, State.WAITING]


def test_a_late_sender_writes_over_nobodys_decision():
    batch = make("ann@example.org")
    late = batch.deliveries.claim_next()
    Delivery.objects.update(state=State.UNCLEAR)
    batch.deliveries.send_again()
    send(batch)

    assert not late.finish(State.FAILED, "cut")
    assert states(batch) == [State.SENT]


def test_the_database_knows_only_these_states():
    batch = make("ann@example.org")
    with pytest.raises(Exception, match="delivery_states_known"):
        batch.deliveries.update(state="half")


# --- Threads -------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_it_is_sent_in_the_background_once_it_is_stored():
    offer = Batch(scenario=making.scenario(), quota={"tokens": 9}, created_by=making.staff())

    batch, _ = sending.begin(offer, read("\n".join(WHO)))
    for thread in threading.enumerate():
        if thread.name == f"batch-{batch.pk}":
            thread.join(20)

    assert reached() == sorted(WHO)
    assert states(batch) == [State.SENT] * 3


@pytest.mark.django_db(transaction=True)
def test_whoever_looks_next_goes_on_with_what_was_not_begun():
    batch = make()
    Batch.objects.update(lease_owner="dead", lease_expires_at=timezone.now() - timedelta(1))

    for thread in sending.resume():
        thread.join(20)

    assert reached() == sorted(WHO)
    assert states(batch) == [State.SENT] * 3
    assert sending.resume() == []


@pytest.mark.django_db(transaction=True)
def test_two_servers_that_take_up_at_once_send_each_mail_once():
    batch = make()
    Batch.objects.update(lease_owner="dead", lease_expires_at=timezone.now() - timedelta(1))
    together = threading.Barrier(2)

    def server():
        together.wait(20)
        try:
            for thread in sending.resume():
                thread.join(20)
        finally:
            connection.close()

    servers = [threading.Thread(target=server) for _ in range(2)]
    for one in servers:
        one.start()
    for one in servers:
        one.join()

    assert reached() == sorted(WHO)
    assert states(batch) == [State.SENT] * 3


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("minutes", [None, 1, 5])
def test_lists_and_rows_agree_on_how_a_mail_stands(state, minutes):
    if minutes is None and state == State.SENDING:
        return  # The database refuses it.
    batch = make("ann@example.org")
    begun_at = timezone.now() - timedelta(minutes=minutes) if minutes else None
    batch.deliveries.update(state=state, begun_at=begun_at)

    counted = Batch.objects.with_counts().get()
    standing = batch.deliveries.get().standing

    assert {one for one in State if getattr(counted, one)} == {standing}
    is_lost = state == State.SENDING and minutes == 5
    assert standing == (State.UNCLEAR if is_lost else state)


@pytest.mark.django_db(transaction=True)
def test_the_sweep_sends_to_the_end():
    make()

    call_command("sweep", stdout=(out := StringIO()))

    assert "sent on: 1" in out.getvalue()
    assert reached() == sorted(WHO)


@pytest.mark.django_db(transaction=True)
def test_eight_senders_at_once_send_nothing_twice():
    who = [f"p{number}@example.org" for number in range(24)]
    batch = make(*who)
    together = threading.Barrier(8)

    def work(number):
        together.wait(20)
        try:
            sending.send_waiting(batch, f"sender {number}")
        finally:
            connection.close()

    # As if each thought that all others were dead.
    with patch.object(Batch, "lease", return_value=True):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert reached() == sorted(who)
    assert states(batch) == [State.SENT] * 24
    assert set(batch.deliveries.values_list("attempts", flat=True)) == {1}


@pytest.mark.django_db(transaction=True)
def test_one_batch_has_one_sender():
    batch = make()
    taken = []

    def work(number):
        try:
            taken.append(batch.lease(f"sender {number}"))
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == [False] * 7 + [True]


@pytest.mark.parametrize("state", [State.WAITING, State.FAILED, State.UNCLEAR, "lost"])
def test_one_that_was_sent_by_hand_meanwhile_is_not_sent_again(state):
    batch = make("ann@example.org")
    batch.halt()
    long_ago = timezone.now() - timedelta(hours=1)
    lost = {"state": State.SENDING, "begun_at": long_ago}
    batch.deliveries.update(**(lost if state == "lost" else {"state": state, "failure": "cut"}))

    Invitation.objects.get().send()
    batch.deliveries.send_again()
    batch.go_on()
    send(batch)

    assert reached() == ["ann@example.org"]
    delivery = batch.deliveries.get()
    assert (delivery.state, delivery.failure) == (State.SENT, "")


def test_one_that_a_sender_is_at_is_left_to_it_when_sent_by_hand():
    batch = make("ann@example.org")
    delivery = batch.deliveries.claim_next()

    Invitation.objects.get().send()

    assert delivery.finish(State.FAILED, "refused")


def test_a_mail_by_hand_whose_link_was_replaced_meanwhile_leaves_the_new_one_to_send():
    batch = make("ann@example.org")
    old = Invitation.objects.get()
    Invitation.objects.get().new_link()

    old.send()

    assert states(batch) == [State.WAITING]


@pytest.mark.parametrize("begun", [True, False])
def test_one_that_is_said_to_have_arrived_was_sent_when_it_was_begun(begun):
    batch = make("ann@example.org", "bob@example.org")
    then = timezone.now() - timedelta(hours=1)
    batch.deliveries.update(state=State.UNCLEAR, failure="cut", begun_at=then if begun else None)
    earlier = then - timedelta(hours=1)
    Invitation.objects.filter(recipient_email="bob@example.org").update(sent_at=earlier)

    assert batch.deliveries.take_as_sent() == 2

    ann, bob = Invitation.objects.order_by("recipient_email")
    assert ann.sent_at == then if begun else ann.sent_at > then
    assert bob.sent_at == earlier
    assert ann.status == Status.SENT


@pytest.mark.django_db(transaction=True)
def test_a_server_takes_up_a_few_and_the_sweep_all(monkeypatch):
    """A hundred that a crash has left need not be a hundred threads at once."""
    for number in range(sending.MOST_RESUMED + 3):
        make(f"p{number}@example.org")
    gate, most = threading.Event(), []
    held = sending.send_waiting

    def slow(batch, owner):
        gate.wait(20)
        most.append(sum(t.name.startswith(sending.THREAD) for t in threading.enumerate()))
        held(batch, owner)

    monkeypatch.setattr(sending, "send_waiting", slow)
    threads = sending.resume()
    assert len(threads) == sending.MOST_RESUMED
    assert sending.resume() == []
    gate.set()
    for thread in threads:
        thread.join(20)
    call_command("sweep", stdout=(out := StringIO()))
    assert "sent on: 3" in out.getvalue()
    assert max(most) <= sending.MOST_RESUMED
    assert len(reached()) == sending.MOST_RESUMED + 3


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_breaks_each_time_ends_the_sweep(monkeypatch):
    make()

    def broken(batch, owner):
        batch.release(owner)
        raise RuntimeError

    monkeypatch.setattr(sending, "send_waiting", broken)
    call_command("sweep", stdout=(out := StringIO()))
    assert "sent on: 1" in out.getvalue()
