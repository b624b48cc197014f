"""The people and things of the access matrix, and what must not come into wrong hands."""

import time
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any, Final

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db.models import Q
from django.test import Client
from django.utils import timezone

from accounts.models import Device, Role, User
from config.tests import access_things
from config.tests.desk import make_conversation, make_invitation, make_log, make_scenario, say
from conversations.models import Kind, MessageRole
from conversations.viewings import Viewing, ViewingKind
from invitations.bulk import Batch, Delivery, State
from invitations.groups import GroupLink
from usage.models import Allowance, Hold, HoldState, PersonalAllowance

# Words that stand in Olive's things alone, and who may find them on a page.
SAID: Final = "canary-of-what-was-said"
PROMPT: Final = "canary-of-a-prompt"
PRIVATE: Final = "canary-of-a-private-scenario"
ADDRESS: Final = "canary-olive@example.org"
STAFF: Final = {"looks", "desk", "staff", "reader", "admin"}
READERS: Final = {SAID: {"reader", "admin"}, PROMPT: STAFF, PRIVATE: {"admin"}, ADDRESS: STAFF}
LEARNERS: Final = ("user", "power", "admin", "bare", "looks", "desk", "staff", "reader")
LOOKING: Final = Q(codename__startswith="view_") & ~Q(codename="view_transcript")
PERMISSIONS: Final = {
    "looks": LOOKING,
    "desk": Q(content_type__app_label="invitations")
    | LOOKING & Q(content_type__app_label__in=("scenarios", "conversations", "usage")),
    "staff": ~Q(codename="view_transcript"),
    "reader": Q(),
}
ROLES: Final = {"power": Role.POWER_USER, "admin": Role.ADMIN}


class World:
    """Somebody of every kind, each with things of their own; and Olive, whom they are not."""

    def __init__(self) -> None:
        self.scenario = make_scenario(
            partner_system_prompt=PROMPT, coach_system_prompt=f"{PROMPT} too"
        )
        self.users = {name: self._user(name) for name in LEARNERS}
        self.chief = User.objects.create_user("chief@example.org", role=Role.ADMIN, is_staff=True)
        self.olive = User.objects.create_user(ADDRESS, name="Olive", role=Role.POWER_USER)
        self.cookies = {name: self._signed_in(user) for name, user in self.users.items()}
        self.cookies["anonymous"] = SimpleCookie()
        self.invitation = make_invitation(
            self.users["admin"],
            scenario=self.scenario,
            recipient_email=ADDRESS,
            linked_user=self.olive,
            claimed_at=timezone.now(),
        )
        self.conversations = {
            name: make_conversation(self.scenario, user=user).pk
            for name, user in self.users.items()
        }
        self.conversations["guest"] = self._take_up()
        self._olives()
        self._one_of_each()
        self.subjects = self._subjects()

    def _user(self, name: str) -> User:
        user = User.objects.create_user(
            f"{name}@example.org",
            name=f"Person {name}",
            role=ROLES.get(name, Role.USER),
            is_staff=name in {"bare", *STAFF},
        )
        EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
        if name in PERMISSIONS:
            user.user_permissions.set(Permission.objects.filter(PERMISSIONS[name]))
        return user

    def _signed_in(self, user: User) -> Any:
        client = Client()
        client.force_login(user, backend="accounts.backends.RoleBackend")
        session = client.session
        # A moment ago, so that nothing asks them to prove it once more.
        session["account_authentication_methods"] = [{"method": "password", "at": time.time()}]
        session["account_authentication_methods_user"] = str(user.pk)
        session.save()
        return _session_of(client)

    def _take_up(self) -> int:
        mine = make_invitation(self.users["admin"], scenario=self.scenario)
        client = Client()
        client.post(mine.get_absolute_url())
        self.cookies["guest"] = _session_of(client)
        self.taken_up = mine.pk
        return mine.sessions.get().pk

    def _olives(self) -> None:
        self.private = make_scenario(
            "private-x7",
            name=PRIVATE,
            description=PRIVATE,
            partner_persona=PRIVATE,
            owner=self.olive,
        )
        self.own_private = {
            name: make_scenario(f"own-{name}", name="Mine", owner=self.users[name])
            for name in ("power", "admin")
        }
        self.conversation = make_conversation(
            self.scenario, user=self.olive, invitation=self.invitation
        )
        hidden = make_conversation(self.private, user=self.olive)
        self.guests = make_conversation(self.scenario, invitation=self.invitation)
        for conversation in (self.conversation, hidden, self.guests):
            line = say(conversation, MessageRole.USER, SAID)
            say(conversation, MessageRole.PARTNER, f"**{SAID}**", parent=line)
            say(conversation, MessageRole.COACH, SAID, parent=line, kind=Kind.ASIDE)
            make_log(session=conversation, user_id=self.olive.pk)

    def _one_of_each(self) -> None:
        """One object of every kind that the admin shows."""
        Group.objects.create(name="Helpers")
        EmailAddress.objects.create(user=self.olive, email=ADDRESS, verified=True, primary=True)
        SocialAccount.objects.create(user=self.olive, provider="google", uid="1")
        PersonalAllowance.objects.create(user=self.olive, tokens=9_000_000)
        Hold.objects.create(
            user=self.olive,
            session=self.conversation,
            stream_type="partner",
            model="m",
            tokens=9,
            max_tokens=1,
            state=HoldState.SETTLED,
            settled_at=timezone.now(),
        )
        Allowance.objects.update_or_create(role=Role.GUEST, defaults={"tokens": 0})
        self.passkey = Authenticator.objects.create(
            user=self.olive, type=Authenticator.Type.WEBAUTHN, data={"name": "Key"}
        )
        quota = {"tokens": 9_000, "label": "Short"}
        more = {"created_by": self.users["admin"], "scenario": self.scenario, "quota": quota}
        self.group = GroupLink.objects.create(label="A class", places=9, **more)
        batch = Batch.objects.create(**more)
        Delivery.objects.create(
            batch=batch, invitation=self.invitation, position=1, state=State.SENT
        )
        # Its sender died: nobody's look at it may send the rest, or note what was lost.
        for position, state in enumerate((State.WAITING, State.SENDING), start=2):
            another = make_invitation(self.users["admin"], recipient_email="next@example.org")
            long_ago = timezone.now() - timedelta(hours=1)
            Delivery.objects.create(
                batch=batch, invitation=another, position=position, state=state, begun_at=long_ago
            )
        self.devices = {
            name: Device.objects.create(
                user=user, session_key=f"of-{name}", name="Phone", last_seen_at=timezone.now()
            )
            for name, user in {**self.users, "olive": self.olive}.items()
        }
        self.viewings = {
            name: Viewing.record(self.conversation, self.users[name], ViewingKind.LIVE).pk
            # As if "staff" had lost the permission since.
            for name in ("staff", "reader", "admin")
        }

    def objects(self) -> dict[str, Any]:
        """An id of every kind that the admin knows, Olive's where there is a choice."""
        found: dict[str, Any] = {
            "accounts_user": self.olive.pk,
            "scenarios_scenario": self.scenario.pk,
            "invitations_invitation": self.invitation.pk,
            "conversations_conversationsession": self.conversation.pk,
        }
        for model in admin.site._registry:
            key = f"{model._meta.app_label}_{model._meta.model_name}"
            first = model._default_manager.order_by("pk").first()
            found.setdefault(key, first.pk if first else None)
        return found

    def _subjects(self) -> dict[str, dict[str, Any]]:
        """By what an address is about: one for `any`, each person's `own`, and `others`."""
        power = {name: {"slug": row.slug} for name, row in self.own_private.items()}
        own = {name: {"pk": pk} for name, pk in self.conversations.items()}
        watched = {name: {"viewing": pk} for name, pk in self.viewings.items()}
        return {
            "": {"any": {}},
            "link": {"any": {"link": self.invitation.link}},
            "invitation that one holds": {
                "own": {"guest": {"pk": self.taken_up}},
                "others": [{"pk": self.invitation.pk}],
            },
            "group link": {"any": {"link": self.group.link}},
            "device": {
                "own": {name: {"pk": self.devices[name].pk} for name in self.users},
                "others": [{"pk": self.devices["olive"].pk}],
            },
            "conversation with an inviter": {
                "own": {"guest": own["guest"]},
                "others": [{"pk": self.conversation.pk}, {"pk": self.guests.pk}],
            },
            "unknown link": {"any": {"link": self.invitation.link[:-1] + "x"}},
            "scenario": {"any": {"slug": self.scenario.slug}},
            "private scenario": {"own": power, "others": [{"slug": self.private.slug}]},
            "conversation": {
                "own": own,
                "others": [{"pk": self.conversation.pk}, {"pk": self.guests.pk}, {"pk": 99_999}],
            },
            "viewing": {"own": watched, "others": [{"viewing": "unknown"}]},
            "passkey": {"own": {}, "others": [{"pk": self.passkey.pk}]},
            "unknown": {"any": {}},
            **access_things.subjects(self),
        }


def _session_of(client: Client) -> Any:
    name = settings.SESSION_COOKIE_NAME
    return SimpleCookie({name: client.cookies[name].value})
