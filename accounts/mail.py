"""Mail without a mail server: every message becomes a file that any mail program opens."""

import contextlib
import email
import email.policy
import re
import secrets
import sys
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.filebased import EmailBackend
from django.utils.encoding import punycode

from accounts.naming import naming


class FolderBackend(EmailBackend):
    """Writes one .eml file per message to `file_path` and prints its text to the console.

    For a laptop only: whoever reads the console or the folder can use what was mailed.
    """

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Write and print the messages; return how many."""
        for message in email_messages:
            path = Path(self.file_path) / file_name(message)
            with path.open("xb") as file:
                file.write(message.message().as_bytes())
            print(as_text(message, path), file=sys.stdout, flush=True)
        return len(email_messages)

    def open(self) -> bool:
        """Nothing to open: Django's would begin a file for all messages of a connection."""
        return False

    def close(self) -> None:
        pass

    def write_message(self, message: Any) -> None:
        raise NotImplementedError("Messages go to files of their own.")


def file_name(message: EmailMessage) -> str:
    """Return a name that sorts by time and says what the message is about."""
    now = datetime.now(UTC)
    words = re.sub(r"[^a-z0-9]+", "-", str(message.subject).lower()).strip("-")[:48]
    return f"{now:%Y%m%d-%H%M%S-%f}-{words or 'mail'}-{secrets.token_hex(2)}.eml"


def as_text(message: EmailMessage, path: Path) -> str:
    """Return what the console shows: recipients, subject, file and the text part."""
    return "\n".join(
        [
            "",
            f"Mail to:  {', '.join(readable(to) for to in message.recipients())}",
            f"Subject:  {message.subject}",
            f"File:     {path}",
            "",
            str(message.body).rstrip(),
            "-" * 72,
        ]
    )


def readable(header: str) -> str:
    """Return a header's text as people write it: "Zoë", not "=?utf-8?q?Zo=C3=AB?="."""
    return str(make_header(decode_header(header)))


def forget(words: Collection[str]) -> None:
    """Delete the files of all mail that went to one of `words`, or names one: addresses, or ids.

    Does nothing where mail goes to a server.
    """
    mailer: dict[str, Any] = settings.MAILERS["default"]
    folder = mailer.get("OPTIONS", {}).get("file_path")
    named = naming({*words, *map(for_machines, words)})
    for path in Path(folder).glob("*.eml") if folder else ():
        if named.search(_words(path.read_bytes())):
            # Another process may be at it too.
            path.unlink(missing_ok=True)


def for_machines(address: str) -> str:
    """An address as a header has it: a domain in other letters than ASCII's is encoded."""
    mailbox, at, domain = address.rpartition("@")
    return f"{mailbox}{at}{punycode(domain)}" if at else address


def _words(data: bytes) -> str:
    """Headers and texts of a message, decoded."""
    message = email.message_from_bytes(data, policy=email.policy.default)
    found = [str(value) for value in message.values()]
    for part in message.walk():
        if part.get_content_maintype() == "text":
            with contextlib.suppress(LookupError):  # an unknown character set
                found.append(str(part.get_content()))
    return "\n".join(found)
