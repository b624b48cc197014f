"""`load_scenarios`: adds, follows the library, and leaves alone what staff changed."""

from dataclasses import replace
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from scenarios.library import LIBRARY, LibraryError, LibraryScenario, read_library
from scenarios.management.commands import load_scenarios
from scenarios.models import Scenario

pytestmark = pytest.mark.django_db
SLUG = "holiday-dinner"
SCENARIOS = read_library()


@pytest.fixture(autouse=True)
def _read_once(monkeypatch):
    """Parsing six files takes longer than the rest of a test."""
    monkeypatch.setattr(load_scenarios, "read_library", lambda: SCENARIOS)


def load() -> dict[str, str]:
    out = StringIO()
    call_command("load_scenarios", stdout=out)
    return dict(line.split(": ") for line in out.getvalue().splitlines())


@pytest.fixture
def newer(monkeypatch):
    """A later version of the library, in which one scenario's name is another."""

    def read() -> list[LibraryScenario]:
        return [replace(s, name="Dinner, again") if s.slug == SLUG else s for s in SCENARIOS]

    def publish() -> None:
        monkeypatch.setattr(load_scenarios, "read_library", read)

    return publish


def test_it_adds_the_library_to_an_empty_database():
    assert set(load().values()) == {"added"}
    assert Scenario.objects.active().count() == len(list(LIBRARY.glob("*.toml")))
    ray = Scenario.objects.get(slug=SLUG)
    assert (ray.partner_persona, ray.partner_opens) == ("Uncle Ray", True)


def test_a_second_run_changes_nothing():
    load()
    before = list(Scenario.objects.values())
    assert set(load().values()) == {"unchanged"}
    assert list(Scenario.objects.values()) == before


def test_it_follows_the_library_while_nobody_changed_the_row(newer):
    load()
    newer()
    assert load()[SLUG] == "updated"
    assert Scenario.objects.get(slug=SLUG).name == "Dinner, again"
    assert load()[SLUG] == "unchanged"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Ours"},
        {"description": "Ours"},
        {"partner_persona": "Aunt May"},
        {"partner_opens": False},
        {"partner_system_prompt": "Ours"},
        {"coach_system_prompt": "Ours"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_it_keeps_what_staff_changed(newer, change):
    load()
    Scenario.objects.filter(slug=SLUG).update(**change)
    before = Scenario.objects.filter(slug=SLUG).values().get()
    assert load()[SLUG] == "kept, changed here"
    newer()
    assert load()[SLUG] == "kept, changed here"
    assert Scenario.objects.filter(slug=SLUG).values().get() == before


def test_a_row_of_the_staffs_own_under_a_library_slug_stays():
    Scenario.objects.create(slug=SLUG, name="Ours", partner_persona="May")
    assert load()[SLUG] == "kept, changed here"
    assert Scenario.objects.get(slug=SLUG).name == "Ours"


def test_a_row_changed_back_follows_the_library_again(newer):
    load()
    Scenario.objects.filter(slug=SLUG).update(library_digest=None)
    assert load()[SLUG] == "unchanged"
    newer()
    assert load()[SLUG] == "updated"


def test_an_update_leaves_activity_and_models_to_the_staff(newer):
    load()
    Scenario.objects.filter(slug=SLUG).update(is_active=False, partner_model="own-model")
    newer()
    assert load()[SLUG] == "updated"
    row = Scenario.objects.get(slug=SLUG)
    assert (row.is_active, row.partner_model) == (False, "own-model")


def test_a_deactivated_scenario_stays_off():
    load()
    Scenario.objects.update(is_active=False)
    assert set(load().values()) == {"unchanged"}
    assert not Scenario.objects.active().exists()


def test_a_broken_file_loads_nothing_and_says_why(monkeypatch):
    def broken() -> list[LibraryScenario]:
        raise LibraryError("x.toml: name: a text is required.")

    monkeypatch.setattr(load_scenarios, "read_library", broken)
    with pytest.raises(CommandError, match=r"x\.toml: name"):
        load()
    assert not Scenario.objects.exists()
