"""What the export says of each row of a person's: all but what opens something.

What staff did with a row, and when, is told; not who, which is their own.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

from allauth.account.models import EmailConfirmation
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialToken
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils import timezone

from accounts.models import User
from conversations.belongings import Belongings
from conversations.models import ConversationSession, Message
from conversations.viewings import Viewing
from invitations.mailing import INVITER
from invitations.models import Delivery, Invitation
from usage.models import Hold, UsageLog

Row = dict[str, Any]

# What hangs on an account and is told elsewhere, or not at all: holds end as usage.
TOLD_ELSEWHERE: Final = (Hold, LogEntry, ConversationSession, Invitation, SocialToken)
# Of whose conversation a member of staff read is the other person's.
OTHERS: Final[dict[type[models.Model], frozenset[str]]] = {
    Viewing: frozenset({"conversation", "number"})
}
# They would open something, or are the machinery's own.
NEVER: Final = frozenset(
    {"password", "data", "key", "secret", "session_key", "token", "token_secret", "user"}
    | {"lease_owner", "lease_expires_at"}
)


def account(mine: Belongings) -> Row:
    """The account itself, invitations, and usage that belongs to no conversation."""
    user = mine.user
    received = mine.received.select_related("scenario", "created_by", "group", "delivery")
    sent = mine.sent.select_related("scenario", "group").order_by("created_at")
    return {
        "made_at": timezone.now(),
        "profile": {
            **_fields(user),
            "groups": list(user.groups.values_list("name", flat=True)),
            "permissions": list(user.user_permissions.values_list("codename", flat=True)),
        },
        "records": {model._meta.label_lower: rows for model, rows in _hanging_on(user)},
        "invitations_received": [
            told_invitation(one, mine) for one in received.order_by("created_at")
        ],
        "invitations_taken_by_others": [
            _address(one, mine) for one in mine.taken_by_others.select_related("created_by")
        ],
        "invitations_sent": [told_sent(one) for one in sent],
        "usage_elsewhere": [told_call(call) for call in mine.calls_without_conversation()],
        "history": _history(User, [user.pk]),
        "done_as_staff": [_deed(entry) for entry in _by(user)],
    }


def _hanging_on(user: User) -> Iterator[tuple[type[models.Model], list[Row]]]:
    """Whatever other tables keep with an account, today and later: addresses, Google, devices."""
    for relation in User._meta.related_objects:
        model = relation.related_model
        if model not in TOLD_ELSEWHERE:
            rows = model._base_manager.filter(**{relation.field.name: user}).order_by("pk")
            yield model, _with_history(model, rows)
    codes = EmailConfirmation.objects.filter(email_address__user=user).order_by("pk")
    yield EmailConfirmation, [_fields(code) for code in codes]


def _with_history(model: type[models.Model], rows: Iterable[models.Model]) -> list[Row]:
    told = {str(row.pk): _fields(row) for row in rows}
    for entry in _entries(model, told):
        told[str(entry.object_id)].setdefault("history", []).append(_line(entry))
    return list(told.values())


def _fields(row: models.Model) -> Row:
    told = {
        field.attname: field.value_from_object(row)
        for field in row._meta.concrete_fields
        if field.name not in NEVER | OTHERS.get(type(row), frozenset())
    }
    if isinstance(row, Authenticator):
        # What a passkey is called; the rest of its data opens something.
        told["name"] = row.data.get("name")
    return told


def told_conversation(conversation: ConversationSession, messages: list[Message]) -> Row:
    """A conversation with every message, what it cost, and when staff looked at it."""
    calls = UsageLog.objects.filter(session=conversation).order_by("timestamp")
    return {
        "id": conversation.pk,
        "scenario": conversation.scenario_name,
        "description": conversation.scenario_description,
        "persona": conversation.partner_persona,
        "models": {"partner": conversation.partner_model, "coach": conversation.coach_model},
        "invitation": conversation.invitation_id,
        "status": conversation.status,
        "started_at": conversation.started_at,
        "ended_at": conversation.ended_at,
        "duration_seconds": conversation.duration_seconds,
        "messages": [told_message(message) for message in messages],
        "usage": [told_call(call) for call in calls],
        "history": _history(ConversationSession, [conversation.pk])
        + _history(Message, [message.pk for message in messages]),
        "read_by_staff": [
            {
                "at": viewing.started_at,
                "how": viewing.get_kind_display(),
                "until": viewing.seen_until,
            }
            for viewing in conversation.viewings.order_by("started_at")
        ],
    }


def told_message(message: Message) -> Row:
    """A message; `about` is the id of the one that it follows or comments on."""
    return {
        "id": message.pk,
        "about": message.parent_id,
        "role": message.role,
        "kind": message.kind,
        "status": message.status,
        "failure": message.failure,
        "text": message.content,
        "at": message.timestamp,
        "finished_at": message.finished_at,
        "stop_asked_at": message.stop_requested_at,
        "audio_url": message.audio_url,
        "metadata": message.metadata,
    }


def told_invitation(invitation: Invitation, mine: Belongings) -> Row:
    """An invitation to the account; never its link, which lets people in."""
    mailing = getattr(invitation, "delivery", None)
    return _address(invitation, mine) | _outline(invitation) | _mailing(mailing)


def _address(invitation: Invitation, mine: Belongings) -> Row:
    """To whom it was sent, and the note to them, only where that is the person.

    Others take up invitations as well. What was written to no address is for whoever got the link.
    """
    is_mine = mine.was_written_to(invitation)
    is_for_me = is_mine or not invitation.recipient_email
    return {
        "to_name": invitation.recipient_name if is_mine else "",
        "to_address": invitation.recipient_email if is_mine else "",
        "from": invitation.created_by.name or INVITER,
        "note": invitation.personal_note if is_for_me else "",
        "history": [
            # Whom it was for when a line was written may have been somebody else.
            {name: value for name, value in line.items() if name != "on"}
            for line in _history(Invitation, [invitation.pk])
        ],
    }


def _mailing(delivery: Delivery | None) -> Row:
    """Where the mail of a bulk invitation stands."""
    if delivery is None:
        return {}
    told = {"state": delivery.get_state_display(), "begun_at": delivery.begun_at}
    return {"mailed_with_many_others": told}


def told_sent(invitation: Invitation) -> Row:
    """An invitation by the account. To whom is the other person's, and stays out."""
    return {"note": invitation.personal_note, **_outline(invitation)}


def _outline(invitation: Invitation) -> Row:
    return {
        "id": invitation.pk,
        "scenario": invitation.scenario and invitation.scenario.name,
        "group": invitation.group and invitation.group.label,
        "status": invitation.status,
        "quota": invitation.quota,
        "usage": invitation.usage,
        "created_at": invitation.created_at,
        "sent_at": invitation.sent_at,
        "opened_at": invitation.opened_at,
        "claimed_at": invitation.claimed_at,
        "asked_for_time_at": invitation.time_asked_at,
        "asked_for_budget_at": invitation.budget_asked_at,
        "expires_at": invitation.expires_at,
        "revoked_at": invitation.revoked_at,
    }


def told_call(call: UsageLog) -> Row:
    """One call of a model that was made for the account."""
    return {
        "id": call.pk,
        "at": call.timestamp,
        "model": call.model,
        "for": call.stream_type,
        "invitation": call.invitation_id,
        "scenario": call.scenario_id,
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "cache_write_tokens": call.cache_write_tokens,
        "cache_read_tokens": call.cache_read_tokens,
        "is_estimate": call.is_estimate,
        "stop_reason": call.stop_reason,
        "first_token_ms": call.first_token_ms,
        "duration_ms": call.duration_ms,
    }


def _history(model: type[models.Model], ids: Collection[Any]) -> list[Row]:
    """What staff did with rows, and when."""
    return [_line(entry) for entry in _entries(model, map(str, ids))]


def _entries(model: type[models.Model], ids: Iterable[str]) -> models.QuerySet[LogEntry]:
    kind = ContentType.objects.get_for_model(model)
    about = LogEntry.objects.filter(content_type=kind, object_id__in=list(ids))
    return about.order_by("action_time")


def _line(entry: LogEntry) -> Row:
    return {"at": entry.action_time, "what": entry.get_change_message(), "on": entry.object_repr}


def _by(user: User) -> models.QuerySet[LogEntry]:
    """What the account did in the admin."""
    mine = LogEntry.objects.filter(user=user).select_related("content_type")
    return mine.order_by("action_time")


def _deed(entry: LogEntry) -> Row:
    """When, and to what sort of thing: which one, and what of it, is other people's."""
    kind = entry.content_type and entry.content_type.name
    return {"at": entry.action_time, "did": entry.get_action_flag_display(), "to": kind}
