"""A person of whom every text field of every table sings, to hear what was forgotten.

Rows are made from `apps.get_models()`. A text field that a model gains is filled without a line
here, and has to be in the export and to go with its person. A new model has to be placed: in
`NOBODYS`, or, where it does not hang on an account by a foreign key, in `Cast.rows`.
"""

import json
import zipfile
from datetime import timedelta
from io import BytesIO
from itertools import count
from typing import Any

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection, models
from django.utils import timezone

from accounts.ids import new_id
from accounts.models import Role, User
from accounts.tests.people import moved
from conversations.models import ConversationSession, Message
from invitations.bulk import Batch
from invitations.groups import GroupLink
from invitations.models import Invitation
from invitations.tokens import new_token
from scenarios.models import Scenario
from usage.models import Hold, UsageLog

TEXT = (
    models.CharField,
    models.TextField,
    models.JSONField,
    models.FileField,
    models.BinaryField,
    models.GenericIPAddressField,
)

# Tables that tell nothing of any one person.
NOBODYS = {
    "auth.Permission": "what staff may do",
    "auth.Group": "names that administrators give",
    "auth.Group_permissions": "numbers",
    "contenttypes.ContentType": "names of models",
    "socialaccount.SocialApp": "settings of sign-in",
    "invitations.QuotaPreset": "sizes of budgets",
    "invitations.Delivery": "where a mail stands",
    "usage.Allowance": "sizes of budgets",
    "usage.Price": "what models cost",
    "usage.ReportedDay": "days",
    "usage.DayUsage": "sums of everybody's",
    "accounts.User_groups": "numbers",
    "accounts.User_user_permissions": "numbers",
}
# Text that a person neither wrote nor is told by: words of the machinery, in rows that stay.
PLAIN = {
    "accounts.User.role": "USER",
    "usage.Hold.model": "a-model",
    "usage.UsageLog.model": "a-model",
    "usage.UsageLog.stop_reason": "end_turn",
    "invitations.Invitation.usage": {},
    "invitations.Invitation.quota": {"tokens": 25_000, "label": "Short"},
    "invitations.GroupLink.quota": {"tokens": 25_000, "label": "Short"},
    "invitations.Batch.quota": {"tokens": 25_000, "label": "Short"},
    "invitations.Batch.lease_owner": "",
}
# What goes with its person, but does not go out to them.
NOT_EXPORTED = {
    "accounts.User.password": "a hash, which a thief could try passwords against",
    "account.EmailConfirmation.key": "opens something",
    "socialaccount.SocialToken.token": "opens something",
    "socialaccount.SocialToken.token_secret": "opens something",
    "sessions.Session.session_data": "opens something",
    "accounts.Device.session_key": "opens something",
    "invitations.Invitation.token": "opens something",
    "invitations.Invitation.recipient_email about another": "whoever it was to has not taken it up",
    "invitations.Invitation.recipient_name about another": "whoever it was to has not taken it up",
    "invitations.Invitation.personal_note about another": "it was written to somebody else",
    "admin.LogEntry.object_repr about an invitation": "it may have been somebody else's then",
    "invitations.Invitation.held_as": "what a browser holds it by",
    "invitations.GroupLink.token": "opens something",
    "conversations.ConversationSession.partner_system_prompt": "never reaches a browser",
    "conversations.ConversationSession.coach_system_prompt": "never reaches a browser",
    "conversations.Message.lease_owner": "names a process",
}


class Cast:
    """One person, everywhere. `canaries` are what stands of them in the tables, by field."""

    def __init__(self, name: str, host: User, *, staff: bool = False) -> None:
        self.name, self.host, self.staff = name, host, staff
        self.canaries: dict[str, list[str]] = {}
        self._numbers = count(1)
        self.user = self.make(User, role=Role.USER, is_active=True, is_staff=staff)
        self.scenario = Scenario.objects.get(slug="a-dinner")
        self.private = self.make(Scenario, owner=self.user)
        address = {"email": self.user.email, "verified": True, "primary": True}
        self.address = self.make(EmailAddress, user=self.user, **address)
        self.google = self.make(SocialAccount, user=self.user, provider="google")
        self.hanging = [self.private, self.address, self.google]
        self.invited()
        self.moved()
        if staff:
            self.offered()
        self.talked()
        for model in apps.get_models(include_auto_created=True):
            self.hang(model)
        self.signed_in()
        self.looked_at()

    # --- Their rows ---

    def invited(self) -> None:
        base = {"created_by": self.host, "scenario": self.scenario}
        # Whose address it is to, and so whose name, is another's as far as anybody knows.
        field = "invitations.Invitation.recipient"
        to = {
            "recipient_email": self.new(f"{field}_email about another", "@canary.example"),
            "recipient_name": self.new(f"{field}_name about another"),
            "personal_note": self.new("invitations.Invitation.personal_note about another"),
        }
        self.claimed = self.make(Invitation, linked_user=self.user, **to, **base)
        self.addressed = self.make(Invitation, recipient_email=self.user.email.upper(), **base)

    def moved(self) -> None:
        """From an address to which they were invited; what they said there they said as a guest."""
        email = self.new("accounts.FormerAddress.email", "@canary.example")
        base = {"created_by": self.host, "scenario": self.scenario, "recipient_email": email}
        self.at_former = self.make(Invitation, **base)
        moved(self.address, before=email)

    def offered(self) -> None:
        for model in (GroupLink, Batch):
            self.make(model, created_by=self.user)

    def talked(self) -> None:
        base = {"scenario": self.scenario, "status": "active"}
        self.conversations = [
            self.make(ConversationSession, user=self.user, **base),
            self.make(ConversationSession, user=self.user, invitation=self.claimed, **base),
            self.make(ConversationSession, user=None, invitation=self.addressed, **base),
            self.make(ConversationSession, user=None, invitation=self.at_former, **base),
        ]
        for conversation in self.conversations:
            for role, kind in VOICES:
                self.make(Message, session=conversation, role=role, kind=kind)
            paid = {"session": conversation, "tokens": 9, "max_tokens": 3, **purse(conversation)}
            self.make(Hold, **paid)  # its call still runs
            self.make(Hold, state="settled", settled_at=timezone.now(), **paid)
            self.make(UsageLog, session=conversation, **call(conversation))
            # Of a conversation that is gone, on a scenario of theirs, on a day that is over.
            long_ago = timezone.now() - timedelta(days=3)
            self.make(
                UsageLog,
                scenario_id=self.private.pk,
                timestamp=long_ago,
                **call(conversation),
            )

    def hang(self, model: type[models.Model]) -> None:
        """A row of whatever else hangs on an account."""
        if model._meta.label in {*NOBODYS, *PLACED}:
            return
        owners = {
            User: self.user,
            SocialAccount: self.google,
            EmailAddress: self.address,
            Invitation: self.claimed,
            ConversationSession: self.conversations[0],
        }
        keys = {field.name: field.related_model for field in model._meta.concrete_fields}
        known = {name: owners[kind] for name, kind in keys.items() if kind in owners}
        assert known, f"Say in canaries.py whose a row of {model._meta.label} is."
        row = self.make(model, **known)
        if self.user in known.values():
            self.hanging.append(row)

    def signed_in(self) -> None:
        label = "sessions.Session.session_data"
        for data in (
            {"_auth_user_id": self.user.pk, "next": self.new(label)},
            {"account_login": {"email": self.user.email, "name": self.new(label)}},
            {"account_login": {"email": self.at_former.recipient_email}},
        ):
            session = SessionStore()
            session.update(data)
            session.create()

    def looked_at(self) -> None:
        invitations = [self.claimed, self.addressed, self.at_former]
        rows = [self.user, *invitations, *self.conversations, *self.hanging]
        for row in [*rows, Message.objects.filter(session=self.conversations[0]).first()]:
            end = " about an invitation" if isinstance(row, Invitation) else ""
            LogEntry.objects.create(
                user=self.host,
                content_type=ContentType.objects.get_for_model(row),
                object_id=row.pk,
                action_flag=CHANGE,
                object_repr=self.new(f"admin.LogEntry.object_repr{end}"),
                change_message=self.new("admin.LogEntry.change_message"),
            )
        for email in (self.user.email, self.at_former.recipient_email):
            LogEntry.objects.create(
                user=self.host,
                action_flag=CHANGE,
                object_repr="Somebody's",
                change_message=f"Wrote to {email} of it.",
            )

    def is_invited(self, by: User, **fields: Any) -> Invitation:
        """To their address. The note is the two's together, and nobody's canary."""
        invitation = self.make(
            Invitation,
            created_by=by,
            recipient_email=self.user.email,
            personal_note=NOTE,
            token=new_token(),
            held_as=new_id(),
            **fields,
        )
        LogEntry.objects.create(
            user=by,
            content_type=ContentType.objects.get_for_model(Invitation),
            object_id=invitation.pk,
            action_flag=CHANGE,
            object_repr=self.new("admin.LogEntry.object_repr about an invitation"),
        )
        return invitation

    # --- Their songs ---

    def make(self, model: type[models.Model], /, **base: Any) -> Any:
        """A row with `base`, and something to hear in every text field beside."""
        row = model(**base)
        for field in model._meta.concrete_fields:
            label = f"{model._meta.label}.{field.name}"
            if label in PLAIN and field.name not in base:
                setattr(row, field.name, PLAIN[label])
            elif self.is_to_sing(field) and field.name not in base:
                setattr(row, field.name, self.song(label, field))
            elif field.name not in base and is_empty(field):
                setattr(row, field.name, something(field))
        row.save(force_insert=True)
        return row

    def is_to_sing(self, field: models.Field) -> bool:
        return isinstance(field, TEXT) and not (
            field.choices or field.is_relation or field.primary_key
        )

    def song(self, label: str, field: models.Field) -> Any:
        if isinstance(field, models.JSONField):
            return {"name": self.new(label)}
        if isinstance(field, models.GenericIPAddressField):
            ip = f"203.0.113.{next(self._numbers) + (100 if self.name < 'm' else 0)}"
            self.canaries.setdefault(label, []).append(ip)
            return ip
        if isinstance(field, models.BinaryField):
            return self.new(label).encode()
        if isinstance(field, models.EmailField):
            return self.new(label, "@canary.example")
        if isinstance(field, models.URLField):
            return f"https://canary.example/{self.new(label)}"
        return self.new(label)

    def new(self, label: str, end: str = "") -> str:
        """A word that stands nowhere else."""
        word = f"{self.name}{next(self._numbers):04}x{end}"
        self.canaries.setdefault(label, []).append(word)
        return word

    def all(self, *, exported: bool = False) -> dict[str, str]:
        """Every canary, with the field that it sits in; or those that an export has to have."""
        return {
            word: label
            for label, words in self.canaries.items()
            for word in words
            if not (exported and label in NOT_EXPORTED)
        }


NOTE = "a note of one to the other"
VOICES = (
    ("user", "turn"),
    ("partner", "turn"),
    ("coach", "note"),
    ("user", "aside"),
    ("coach", "aside"),
    ("coach", "debrief"),
)
# Models whose rows `Cast` makes by hand.
PLACED = {
    "accounts.User",
    "account.EmailAddress",
    "socialaccount.SocialAccount",
    "invitations.Invitation",
    "invitations.GroupLink",
    "invitations.Batch",
    "conversations.ConversationSession",
    "conversations.Message",
    "usage.UsageLog",
    "usage.PayerUsage",  # a sum of it
    "usage.Hold",
    "sessions.Session",
    "admin.LogEntry",
    "scenarios.Scenario",
}


def purse(conversation: ConversationSession) -> dict[str, Any]:
    """Who paid, as a hold says it."""
    if conversation.invitation_id:
        return {"invitation_id": conversation.invitation_id}
    return {"user_id": conversation.user_id}


def call(conversation: ConversationSession) -> dict[str, Any]:
    """What is logged of a model call for a conversation."""
    return {
        "user_id": conversation.user_id,
        "invitation_id": conversation.invitation_id,
        "stream_type": "partner",
        "input_tokens": 7,
        "output_tokens": 5,
        "model": "a-model",
        "stop_reason": "end_turn",
        "hold_id": new_id(),
    }


def is_empty(field: models.Field) -> bool:
    return not (field.null or field.has_default() or field.primary_key or field.is_relation)


def something(field: models.Field) -> Any:
    """A value for a field that must have one and is not text."""
    if field.choices:
        return field.choices[0][0]
    if isinstance(field, models.DateTimeField):
        return timezone.now() + timedelta(days=1)
    return 1


# --- Where to listen --------------------------------------------------------------------------


def dump() -> str:
    """Every column of every row of every table; what sessions hold, decoded."""
    return "\n".join(text for _, text in tables())


def tables() -> list[tuple[str, str]]:
    """The name of each table and all that stands in it."""
    found = []
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names(cursor)):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            cells = [cell_text(cell) for row in cursor.fetchall() for cell in row]
            found.append((table, "\n".join(cells)))
    sessions = [json.dumps(session.get_decoded()) for session in Session.objects.all()]
    return [*found, ("what sessions hold", "\n".join(sessions))]


def cell_text(cell: Any) -> str:
    if isinstance(cell, bytes | memoryview):
        return bytes(cell).decode("utf-8", "replace")
    return str(cell).lower()


def unpacked(data: bytes) -> dict[str, str]:
    """The files of a ZIP."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}
