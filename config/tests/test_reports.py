import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from config import reports

LINK = "http://localhost:8000/invite/Zm9v-secret:signature/"


@pytest.fixture
def sent(monkeypatch):
    """What would have gone to Sentry."""
    kept = []

    class Kept(Transport):
        def capture_envelope(self, envelope: Envelope) -> None:
            kept.append(envelope.serialize().decode())

    init = sentry_sdk.init
    monkeypatch.setattr(
        "config.reports.sentry_sdk.init", lambda **options: init(transport=Kept(), **options)
    )
    reports.start("http://key@127.0.0.1:9/1")
    yield kept
    sentry_sdk.get_client().close()
    init(dsn=None)


def fail(said):
    assert said
    raise ValueError(f"cannot open {LINK}")


def test_a_report_holds_no_link_and_nothing_that_was_said(sent):
    sentry_sdk.add_breadcrumb(message=f"GET {LINK}")
    try:
        fail(" ".join(["something", "private"]))  # a report quotes its source
    except ValueError as error:
        sentry_sdk.capture_exception(error)
    sentry_sdk.flush()
    (report,) = [text for text in sent if "ValueError" in text]
    assert "cannot open http://localhost:8000/invite/" in report
    assert "GET http://localhost:8000/invite/" in report
    assert "secret" not in report
    assert "something private" not in report
