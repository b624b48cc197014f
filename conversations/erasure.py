"""Erasing people: every word, name and address of theirs; figures stay, without a person.

`docs/privacy.md` says what stays and why. Rows go in one transaction, which locks the
conversations before the purses, as replies do; a reply that still runs finds its row gone.
"""

import logging
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from itertools import batched
from smtplib import SMTPException
from typing import Any, Final

from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models, transaction
from django.db.models import Q
from django.utils import timezone

from accounts import leaving, sessions
from accounts import mail as folder
from accounts.ids import new_id
from accounts.models import ERASED_DOMAIN, User
from accounts.naming import naming
from conversations.belongings import Belongings
from conversations.models import ConversationSession, Message
from invitations.bulk import Batch
from invitations.groups import GroupLink
from invitations.models import Invitation
from invitations.tokens import new_token
from scenarios.models import Scenario
from usage.holds import CallRecord, settle
from usage.models import Hold, PersonalAllowance, UsageLog

logger = logging.getLogger(__name__)

# What a person did as staff is other people's record: it keeps an empty row to point to.
STAFF_RECORDS: Final = (
    (Invitation, "created_by"),
    (GroupLink, "created_by"),
    (Batch, "created_by"),
    (LogEntry, "user"),
)
NULLED: Final = (models.SET_NULL, models.DB_SET_NULL)
NOBODY: Final = "Somebody who has left"
AT_ONCE: Final = 50


def erase_due() -> int:
    """Erase everybody whose week is over; several processes may try. Returns how many."""
    return sum(_tried(pk) for pk in leaving.due() if leaving.take_up(pk))


def _tried(pk: str) -> bool:
    try:
        return erase(pk)
    except Exception as error:  # whatever it is: the others are to be erased all the same
        # Only its kind: a database's words quote values.
        logger.error("An erasure failed, to be tried again: %s", type(error).__name__)
        return False


def erase(pk: str) -> bool:
    """Erase an account and all that is its own, now. Returns whether there was one."""
    user = User.objects.filter(pk=pk).first()
    if user is None or user.is_erased:
        return False
    mine = Belongings(user)
    _close_doors(mine)
    with transaction.atomic():
        received = mine.received.values_list("pk", flat=True)
        words = {*mine.addresses, user.email, *received}
        _erase_rows(mine)
        transaction.on_commit(partial(_afterwards, user.email, words), robust=True)
    return True


def _close_doors(mine: Belongings) -> None:
    """Let nothing new begin: sockets close within a second or two, links open nothing."""
    user = mine.user
    leaving.begin(user.pk)
    mine.received.filter(revoked_at=None).update(revoked_at=timezone.now())
    sessions.end_those_naming({user.pk, user.email, *mine.addresses})


def _erase_rows(mine: Belongings) -> None:
    conversations = _locked(mine.conversations)
    User.objects.select_for_update().get(pk=mine.user.pk)
    received = list(mine.received.select_for_update(of=("self",)).order_by("pk"))
    _forget_history(mine, conversations, received)
    _forget_scenarios(mine)
    _forget_conversations(conversations)
    _forget_usage(mine.calls, Q(user=mine.user) | Q(invitation__in=received))
    for invitation in received:
        forget_recipient(invitation)
    mine.taken_by_others.update(recipient_email="", recipient_name="", personal_note="")
    mine.sent.update(personal_note="")
    _forget_offers(mine.user)
    _forget_person(mine.user)


def _afterwards(address: str, words: Collection[str]) -> None:
    """Say goodbye, and then clear away the copies that are not rows."""
    try:
        leaving.mail(address, "erasure_done", {}).send()
    except (OSError, SMTPException) as error:
        logger.warning("Somebody could not be told of their erasure: %s", type(error).__name__)
    folder.forget(words)
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


# --- Guests ---------------------------------------------------------------------------------


@transaction.atomic
def erase_guest(invitation: Invitation) -> int:
    """Erase what was said on an invitation that no account took up, and to whom it was sent.

    Returns how many conversations went. The link opens nothing any more; what was spent stays
    on the invitation. Raises `ValueError` if an account took it up.
    """
    conversations = _locked(invitation.sessions.filter(user=None))
    invitation = Invitation.objects.select_for_update().get(pk=invitation.pk)
    if invitation.linked_user_id:
        raise ValueError("An account took it up: that is to be erased, not the invitation.")
    _forget_entries(Invitation, [invitation.pk])
    _forget_entries(ConversationSession, conversations)
    words = [invitation.pk]
    if address := invitation.recipient_email:
        _forget_mentions([address])
        words.append(address)
    transaction.on_commit(partial(folder.forget, words), robust=True)
    _forget_conversations(conversations)
    _forget_usage(Q(invitation_id=invitation.pk), Q(invitation=invitation))
    forget_recipient(invitation)
    return len(conversations)


# --- What goes, table by table --------------------------------------------------------------


def _locked(conversations: models.QuerySet[ConversationSession]) -> list[int]:
    rows = conversations.order_by("pk").select_for_update(no_key=True, of=("self",))
    return list(rows.values_list("pk", flat=True))


def _forget_conversations(ids: Iterable[int]) -> None:
    for some in batched(ids, AT_ONCE, strict=False):
        _settle(Hold.objects.filter(session__in=some))
        _unlink(UsageLog.objects.filter(session__in=some))
        Hold.objects.filter(session__in=some).delete()
        ConversationSession.objects.filter(pk__in=some).delete()


def _forget_scenarios(mine: Belongings) -> None:
    """Private ones, those too that are gone, would tell which calls were one person's."""
    private = list(mine.user.scenarios.values_list("pk", flat=True))
    UsageLog.objects.filter(scenario_id__in=private).update(scenario_id=None)
    theirs = UsageLog.objects.filter(mine.calls)
    used = theirs.order_by().values_list("scenario_id", flat=True).distinct()
    known = Scenario.objects.values_list("pk", flat=True)
    if gone := {*used} - {*known, None}:
        theirs.filter(scenario_id__in=gone).update(scenario_id=None)


def _forget_usage(calls: Q, holds: Q) -> None:
    _settle(Hold.objects.filter(holds))
    _unlink(UsageLog.objects.filter(calls))
    Hold.objects.filter(holds).delete()


def _settle(holds: "models.QuerySet[Hold]") -> None:
    """Charge calls that still run in full: nobody can log them once their rows are gone."""
    for hold in holds.filter(settled_at=None):
        settle(hold, CallRecord(hold.model, None), user_id=None)


def _unlink(calls: "models.QuerySet[UsageLog]") -> None:
    """Leave figures alone: not even a nameless id is to tell which calls were one person's."""
    calls.update(user_id=None, invitation_id=None, session=None, hold_id=None)


def forget_recipient(invitation: Invitation) -> None:
    """Leave of an invitation who sent it and what it cost; its link opens nothing any more."""
    now = timezone.now()
    blank = {
        "recipient_email": "",
        "recipient_name": "",
        "personal_note": "",
        "linked_user": None,
        "time_asked_at": None,
        "budget_asked_at": None,
        "token": new_token(),
        "held_as": new_id(),
        "place_key": None,
        "revoked_at": invitation.revoked_at or now,
    }
    Invitation.objects.filter(pk=invitation.pk).update(**blank)


def _forget_offers(user: User) -> None:
    """Close group links, since nobody is left to ask; who has a place keeps it."""
    for group in GroupLink.objects.filter(created_by=user):
        group.revoke()
        blank = {"label": "A group", "personal_note": "", "token": new_token()}
        GroupLink.objects.filter(pk=group.pk).update(**blank)
    Batch.objects.filter(created_by=user).update(personal_note="")
    groups = GroupLink.objects.filter(created_by=user).values_list("pk", flat=True)
    _forget_entries(GroupLink, {*groups, *_made_by(user, GroupLink)})


def _forget_history(mine: Belongings, conversations: list[int], received: list[Invitation]) -> None:
    """The admin's history of them: that something was done stays, on whom does not."""
    _forget_entries(ConversationSession, conversations)
    messages = Message.objects.filter(session__in=conversations).values_list("pk", flat=True)
    _forget_entries(Message, messages)
    _forget_entries(Invitation, [invitation.pk for invitation in received])
    _forget_entries(Invitation, mine.taken_by_others.values_list("pk", flat=True))
    _forget_entries(User, [mine.user.pk])
    for rows in _hanging_on(mine.user, nulled=True):
        _forget_entries(rows.model, rows.values_list("pk", flat=True))
    # An allowance that was taken back is no row any more, and bore the name.
    allowances = ContentType.objects.get_for_model(PersonalAllowance)
    named = str(PersonalAllowance(user=mine.user))
    _blank(LogEntry.objects.filter(content_type=allowances, object_repr=named))
    _forget_mentions([mine.user.email, *mine.addresses])


def _forget_entries(model: type[models.Model], ids: Iterable[Any]) -> None:
    kind = ContentType.objects.get_for_model(model)
    for some in batched(map(str, ids), 500, strict=False):
        _blank(LogEntry.objects.filter(content_type=kind, object_id__in=some))


def _forget_mentions(addresses: Iterable[str]) -> None:
    for address in addresses:
        named = naming([address])
        said = Q(object_repr__icontains=address) | Q(change_message__icontains=address)
        lines = LogEntry.objects.filter(said).values_list("pk", "object_repr", "change_message")
        ids = [pk for pk, *texts in lines if named.search(" ".join(texts))]
        LogEntry.objects.filter(pk__in=ids).update(object_repr="", change_message="")


def _made_by(user: User, model: type[models.Model]) -> models.QuerySet[LogEntry, str | None]:
    """Ids of the rows that an account made in the admin, those too that are gone."""
    kind = ContentType.objects.get_for_model(model)
    made = LogEntry.objects.filter(user=user, content_type=kind, action_flag=ADDITION)
    return made.values_list("object_id", flat=True)


def _blank(entries: "models.QuerySet[LogEntry]") -> None:
    entries.update(object_id=None, object_repr="", change_message="")


def _hanging_on(user: User, *, nulled: bool = False) -> Iterator["models.QuerySet[Any]"]:
    """The rows that go with the account, table by table: those of a new table too."""
    for relation in User._meta.related_objects:
        model, name = relation.related_model, relation.field.name
        if (model, name) not in STAFF_RECORDS and (nulled or relation.on_delete not in NULLED):
            yield model._base_manager.filter(**{name: user})


def _forget_person(user: User) -> None:
    """Delete the row and all that hangs on it, or empty it where staff's records need it."""
    records = (model._default_manager.filter(**{name: user}) for model, name in STAFF_RECORDS)
    if not any(rows.exists() for rows in records):
        user.delete()
        return
    for relation in User._meta.related_objects:
        if relation.on_delete in NULLED:
            rows = relation.related_model._base_manager.filter(**{relation.field.name: user})
            rows.update(**{relation.field.name: None})
    for rows in _hanging_on(user):
        rows.delete()
    # A new row under the old id: every field that the model has, or gets, is as in the beginning.
    husk = User(pk=user.pk, email=f"{new_id()}@{ERASED_DOMAIN}", name=NOBODY, is_active=False)
    husk.set_unusable_password()
    husk.save(force_update=True)
    husk.groups.clear()
    husk.user_permissions.clear()
