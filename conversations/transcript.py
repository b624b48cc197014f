"""A conversation to read again: turns with the notes on them, the debrief, a plain text."""

from dataclasses import dataclass, field

from django.utils import timezone

from conversations.models import (
    ConversationSession,
    Kind,
    Message,
    MessageRole,
    MessageStatus,
)


@dataclass(slots=True)
class Entry:
    """A turn of the conversation and what the coach, or a private question, said about it."""

    message: Message | None
    notes: list[Message] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a debrief: its heading and points."""

    title: str
    points: list[str]


def entries(messages: list[Message]) -> list[Entry]:
    """Turns in order, each with the coaching whose parent it is.

    What was asked before the first turn stands in an entry of its own, without a turn.
    """
    found: dict[int | None, Entry] = {}
    for message in messages:
        if message.kind == Kind.TURN:
            found[message.pk] = Entry(message)
    questions = {m.pk: m.parent_id for m in messages if m.kind == Kind.ASIDE and not m.is_reply}
    before = Entry(None)
    for message in messages:
        if message.kind not in (Kind.NOTE, Kind.ASIDE):
            continue
        about = message.parent_id
        if message.is_reply and message.kind == Kind.ASIDE:
            about = questions.get(about or 0)
        found.get(about, before).notes.append(message)
    return ([before] if before.notes else []) + list(found.values())


def sections(debrief: Message | None) -> list[Section]:
    """The two parts of a finished debrief; empty where it does not keep to the form."""
    if debrief is None or debrief.status != MessageStatus.COMPLETE:
        return []
    found: list[Section] = []
    for line in debrief.content.splitlines():
        text = line.strip().strip("*# ").strip()
        if text.rstrip(":").casefold() in ("what went well", "what to try next"):
            found.append(Section(text.rstrip(":"), []))
        elif text and found:
            found[-1].points.append(text.removeprefix("-").removeprefix("•").strip())
    return found if len(found) == 2 and all(section.points for section in found) else []


def as_text(conversation: ConversationSession, messages: list[Message]) -> str:
    """The whole conversation as plain text, notes indented under the turns they are about."""
    started = timezone.localtime(conversation.started_at)
    lines = [conversation.scenario_name, f"Started {started:%d %B %Y, %H:%M} (UTC)", ""]
    debrief = next((m for m in reversed(messages) if m.kind == Kind.DEBRIEF and m.content), None)
    if debrief:
        lines += [debrief.content, "", "—" * 40, ""]
    for entry in entries(messages):
        if entry.message:
            lines += _spoken(entry.message, conversation.partner_persona, "")
        for note in entry.notes:
            lines += _spoken(note, conversation.partner_persona, "    ")
    return "\n".join(lines).rstrip() + "\n"


def _spoken(message: Message, persona: str, indent: str) -> list[str]:
    who = {MessageRole.USER: "You", MessageRole.COACH: "Coach"}.get(
        MessageRole(message.role), persona
    )
    if message.kind == Kind.ASIDE and message.role == MessageRole.USER:
        who = "You, to the coach"
    mark = "" if message.status == MessageStatus.COMPLETE else f" [{message.status}]"
    first, *rest = message.content.splitlines() or [""]
    return [f"{indent}{who}{mark}: {first}", *(f"{indent}  {line}" for line in rest), ""]
