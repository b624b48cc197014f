"""A mail server that does what a test says: takes mail, refuses an address, or never answers."""

import email
import email.policy
import socketserver
import threading
from email.message import EmailMessage
from typing import Any


class MailServer:
    """Speaks as much SMTP as smtplib does. `taken` are the mails it has said yes to."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.refused: set[str] = set()
        # Recipients at whose mail it falls silent, and whether it has.
        self.silent_at: set[str] = set()
        self.is_silent = threading.Event()
        self._speak = threading.Event()
        owner = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                owner._talk(self)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"smtp://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._speak.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def recipients(self) -> list[str]:
        return [str(mail["To"].addresses[0].addr_spec) for mail in self.taken]

    def _talk(self, line: Any) -> None:
        def say(words: str) -> None:
            line.wfile.write(f"{words}\r\n".encode())

        say("220 a test's mail server")
        recipient = ""
        while command := line.rfile.readline().decode(errors="replace").strip():
            match command.split(" ")[0].upper():
                case "RCPT":
                    recipient = command.partition("<")[2].partition(">")[0]
                    say("550 unknown" if recipient in self.refused else "250 fine")
                case "DATA":
                    say("354 go on")
                    self._take(line.rfile, recipient)
                    say("250 taken")
                case "QUIT":
                    say("221 goodbye")
                    return
                case _:
                    say("250 fine")

    def _take(self, incoming: Any, recipient: str) -> None:
        data = b""
        while (row := incoming.readline()) not in (b".\r\n", b""):
            data += row
        self.taken.append(email.message_from_bytes(data, policy=email.policy.default))  # type: ignore[arg-type]
        if recipient in self.silent_at:
            self.is_silent.set()
            self._speak.wait(60)
