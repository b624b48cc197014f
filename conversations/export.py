"""Everything that is a person's, as a ZIP of JSON for machines and HTML for people.

`docs/privacy.md` describes its shape, which `VERSION` numbers. One conversation is in memory
at a time, and the ZIP grows in a file.
"""

import json
import zipfile
from datetime import datetime
from typing import IO, Final

from django.core.serializers.json import DjangoJSONEncoder
from django.template.loader import render_to_string
from django.utils.text import slugify

from accounts.models import User
from conversations.belongings import Belongings
from conversations.models import ConversationSession, Kind
from conversations.told import Row, account, told_conversation
from conversations.transcript import entries, sections

FORMAT: Final = "parley-export"
VERSION: Final = 1


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


def file_name(at: datetime) -> str:
    """What the download is called."""
    return f"parley-{at:%Y-%m-%d}.zip"
