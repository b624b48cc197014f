"""What the tests of the admin stand on: named people, rows to list, inert pages."""

import re
from datetime import date
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Permission
from django.db import connection
from django.http import HttpResponse
from django.test import TestCase, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Role, User
from conversations.models import ConversationSession, Kind, Message, MessageRole
from invitations.models import Invitation
from scenarios.models import Scenario
from usage.models import Price, UsageLog

PLAIN_FILES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# What `script-src 'self'; style-src 'self'` forbids.
INLINE = re.compile(
    r"<style\b|\sstyle\s*=|<[^>]+\son\w+\s*=|javascript:"
    r"|<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")",
    re.IGNORECASE,
)


@override_settings(STORAGES=PLAIN_FILES)
class DeskTestCase(TestCase):
    """Ada administers, Sten is staff without any permission, Lena learns."""

    ada: User
    sten: User
    lena: User
    scenario: Scenario

    @classmethod
    def setUpTestData(cls) -> None:
        create = User.objects.create_user
        cls.ada = create("ada@example.org", name="Ada", role=Role.ADMIN, is_staff=True)
        cls.sten = create("sten@example.org", name="Sten", role=Role.USER, is_staff=True)
        cls.lena = create("lena@example.org", name="Lena", role=Role.USER)
        cls.scenario = make_scenario()

    def setUp(self) -> None:
        self.client.force_login(self.ada, backend="accounts.backends.RoleBackend")

    def sign_in(self, user: User, *permissions: str) -> None:
        """Sign `user` in, with `permissions` ("app.verb_model") given to them first."""
        for name in permissions:
            app, codename = name.split(".")
            user.user_permissions.add(
                Permission.objects.get(content_type__app_label=app, codename=codename)
            )
        self.client.force_login(user, backend="accounts.backends.RoleBackend")

    def page(self, url: str, **query: Any) -> str:
        """The HTML of a page that works and holds nothing that the policy forbids."""
        response = self.client.get(url, query)
        assert response.status_code == 200, url
        html = response.content.decode()
        assert INLINE.search(html) is None, f"{url}: {INLINE.search(html)}"
        return html

    def queries(self, url: str, **query: Any) -> int:
        """How many queries a page takes, once caches are warm."""
        self.client.get(url, query)
        with CaptureQueriesContext(connection) as captured:
            self.client.get(url, query)
        return len(captured)

    def act(self, model: str, action: str, *objects: Any, **extra: str) -> HttpResponse:
        """Run an action of a list on `objects`."""
        return self.client.post(
            admin_url(model, "changelist"),
            {"action": action, "_selected_action": [obj.pk for obj in objects], **extra},
        )

    def said(self, response: HttpResponse) -> str:
        """The messages that a response, or the page that it leads to, shows."""
        moved = response.status_code in (302, 303)
        page = self.client.get(response["Location"]) if moved else response
        return " ".join(str(message) for message in page.context["messages"])


def admin_url(model: str, page: str, *args: Any) -> str:
    """`admin_url("invitations.invitation", "change", pk)`."""
    return reverse(f"admin:{model.replace('.', '_')}_{page}", args=args)


def make_scenario(slug: str = "dinner", **fields: Any) -> Scenario:
    values = {
        "name": "The dinner",
        "description": "At your uncle's.",
        "partner_persona": "Uncle Ray",
        "partner_system_prompt": "You are Ray.",
        "coach_system_prompt": "Look for open questions.",
    }
    return Scenario.objects.create(slug=slug, **(values | fields))


def make_invitation(by: User, **fields: Any) -> Invitation:
    values = {"quota": {"tokens": 25_000, "label": "Short conversation"}}
    return Invitation.objects.create(created_by=by, **(values | fields))


def make_conversation(scenario: Scenario, **fields: Any) -> ConversationSession:
    values = {"user": None, "invitation": None}
    return ConversationSession.begin(scenario, **(values | fields))


def say(conversation: ConversationSession, role: MessageRole, text: str, **fields: Any) -> Message:
    kind = fields.pop("kind", Kind.NOTE if role == MessageRole.COACH else Kind.TURN)
    return Message.objects.create(
        session=conversation, role=role, content=text, kind=kind, **fields
    )


def make_log(**fields: Any) -> UsageLog:
    values = {
        "model": "claude-sonnet-5-5",
        "stream_type": "partner",
        "input_tokens": 1000,
        "output_tokens": 100,
    }
    return UsageLog.objects.create(**(values | fields))


def make_price(model: str = "claude-sonnet-5-5", **fields: Any) -> Price:
    """The first price of the model, unless `fields` say another; it may be there already."""
    values = {
        "input_price": 2,
        "output_price": 10,
        "cache_write_price": Decimal("2.5"),
        "cache_read_price": Decimal("0.1"),
    } | fields
    since = values.pop("valid_from", date(2026, 1, 1))
    price, _ = Price.objects.update_or_create(model=model, valid_from=since, defaults=values)
    return price
