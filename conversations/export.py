"""Everything that is a person's, as a ZIP of JSON for machines and HTML for people.

`docs/privacy.md` describes its shape, which `VERSION` numbers. One conversation is in memory
at a time, and the ZIP grows in a file.
"""

import json
import zipfile
from collections.abc import Iterator
from datetime import datetime
from typing import IO, Any, Final

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialToken
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.text import slugify

from accounts.models import User
from conversations.belongings import Belongings
from conversations.models import ConversationSession, Kind, Message
from conversations.transcript import entries, sections
from invitations.models import Invitation
from usage.models import Hold, UsageLog

FORMAT: Final = "parley-export"
VERSION: Final = 1
Row = dict[str, Any]

# What hangs on an account and is told elsewhere, or not at all: holds end as usage.
TOLD_ELSEWHERE: Final = (Hold, LogEntry, ConversationSession, Invitation, SocialToken)
# They would open something, or are the machinery's own.
NEVER: Final = frozenset(
    {"password", "data", "key", "secret", "session_key", "token", "token_secret", "user"}
)


def write(user: User, to: IO[bytes]) -> None:
    """Write the export of `user` to the file `to`."""
    mine = Belongings(user)
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        index: list[Row] = []
        for conversation in mine.conversations.order_by("pk").iterator(chunk_size=50):
            index.append(_write_conversation(archive, conversation))
        told = account(mine)
        _add(archive, "account.json", _as_json({**told, "conversations": index}))
        page = {"account": told, "conversations": index}
        _add(archive, "index.html", render_to_string("conversations/export/index.html", page))


def _write_conversation(archive: zipfile.ZipFile, conversation: ConversationSession) -> Row:
    messages = list(conversation.messages.all())
    for message in messages:
        message.session = conversation
    told = told_conversation(conversation, messages)
    name = f"conversations/{conversation.pk}-{slugify(conversation.scenario_name)[:40]}".rstrip("-")
    _add(archive, f"{name}.json", _as_json(told))
    report = next((m for m in reversed(messages) if m.kind == Kind.DEBRIEF and m.content), None)
    page = {
        "conversation": conversation,
        "entries": entries(messages),
        "debrief": report,
        "sections": sections(report),
        "told": told,
    }
    html = render_to_string("conversations/export/conversation.html", page)
    _add(archive, f"{name}.html", html)
    return {
        "id": conversation.pk,
        "scenario": conversation.scenario_name,
        "persona": conversation.partner_persona,
        "started_at": conversation.started_at,
        "messages": len(messages),
        "html": f"{name}.html",
        "json": f"{name}.json",
    }


def _add(archive: zipfile.ZipFile, name: str, text: str) -> None:
    # A lone surrogate cannot be encoded; nothing that was said may keep the rest from going out.
    archive.writestr(name, text.encode("utf-8", "replace"))


def _as_json(value: Row) -> str:
    head = {"format": FORMAT, "version": VERSION}
    return json.dumps(head | value, cls=DjangoJSONEncoder, ensure_ascii=False, indent=2)


# --- What is told ---------------------------------------------------------------------------


def account(mine: Belongings) -> Row:
    """The account itself, invitations, and usage that belongs to no conversation."""
    user = mine.user
    received = mine.received.select_related("scenario", "created_by").order_by("created_at")
    return {
        "made_at": timezone.now(),
        "profile": {
            **_fields(user),
            "groups": list(user.groups.values_list("name", flat=True)),
        },
        "records": {model._meta.label_lower: rows for model, rows in _hanging_on(user)},
        "invitations_received": [told_invitation(one) for one in received],
        "invitations_taken_by_others": [
            _address(one) for one in mine.taken_by_others.select_related("created_by")
        ],
        "invitations_sent": [
            told_sent(one) for one in mine.sent.select_related("scenario").order_by("created_at")
        ],
        "usage_elsewhere": [told_call(call) for call in mine.calls_without_conversation()],
        "history": _history(User, user.pk),
    }


def _hanging_on(user: User) -> Iterator[tuple[type[models.Model], list[Row]]]:
    """Whatever other tables keep with an account, today and later: addresses, Google, devices."""
    for relation in User._meta.related_objects:
        model = relation.related_model
        if model not in TOLD_ELSEWHERE:
            rows = model._base_manager.filter(**{relation.field.name: user}).order_by("pk")
            yield model, [_fields(row) for row in rows]


def _fields(row: models.Model) -> Row:
    told = {
        field.attname: field.value_from_object(row)
        for field in row._meta.concrete_fields
        if field.name not in NEVER
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
        "history": _history(ConversationSession, conversation.pk),
        "read_by_staff": [
            {"at": viewing.started_at, "how": viewing.get_kind_display()}
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
        "audio_url": message.audio_url,
        "metadata": message.metadata,
    }


def told_invitation(invitation: Invitation) -> Row:
    """An invitation to the account; never its link, which lets people in."""
    return _address(invitation) | _outline(invitation)


def _address(invitation: Invitation) -> Row:
    return {
        "to_name": invitation.recipient_name,
        "to_address": invitation.recipient_email,
        "from": str(invitation.created_by),
        "note": invitation.personal_note,
        "history": _history(Invitation, invitation.pk),
    }


def told_sent(invitation: Invitation) -> Row:
    """An invitation by the account. To whom is the other person's, and stays out."""
    return {"note": invitation.personal_note, **_outline(invitation)}


def _outline(invitation: Invitation) -> Row:
    return {
        "id": invitation.pk,
        "scenario": invitation.scenario and invitation.scenario.name,
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
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "cache_write_tokens": call.cache_write_tokens,
        "cache_read_tokens": call.cache_read_tokens,
        "is_estimate": call.is_estimate,
        "stop_reason": call.stop_reason,
        "duration_ms": call.duration_ms,
    }


def _history(model: type[models.Model], pk: Any) -> list[Row]:
    """What staff did with a row, and when: not who, which is their own."""
    kind = ContentType.objects.get_for_model(model)
    found = LogEntry.objects.filter(content_type=kind, object_id=str(pk)).order_by("action_time")
    return [
        {"at": entry.action_time, "what": entry.get_change_message(), "on": entry.object_repr}
        for entry in found
    ]


def file_name(at: datetime) -> str:
    """What the download is called."""
    return f"parley-{at:%Y-%m-%d}.zip"
