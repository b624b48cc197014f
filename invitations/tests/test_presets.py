"""The presets that a new database comes with."""

from importlib import import_module

import pytest
from django.apps import apps

from invitations.models import QuotaPreset

pytestmark = pytest.mark.django_db

migration = import_module("invitations.migrations.0002_presets")


@pytest.fixture(autouse=True)
def _seeded():
    """Transactional tests empty the tables, the presets included."""
    QuotaPreset.objects.all().delete()
    run(migration.seed)


def run(step):
    step(apps, None)


def test_there_are_three_and_the_short_one_is_the_default():
    found = QuotaPreset.objects.values_list("name", "label", "quota__tokens", "is_default")
    assert list(found) == [
        ("Quick chat", "Quick chat", 10_000, False),
        ("Short conversation", "Short conversation", 25_000, True),
        ("Deep dive", "Deep dive", 50_000, False),
    ]
    assert all(preset.description for preset in QuotaPreset.objects.all())


def test_seeding_again_overwrites_nothing():
    QuotaPreset.objects.filter(name="Quick chat").update(quota={"tokens": 7}, label="Tiny")
    run(migration.seed)
    assert QuotaPreset.objects.get(name="Quick chat").quota == {"tokens": 7}
    assert QuotaPreset.objects.count() == 3


def test_seeding_leaves_the_default_that_staff_chose():
    QuotaPreset.objects.all().delete()
    QuotaPreset.objects.create(name="Mine", label="Mine", quota={"tokens": 5}, is_default=True)
    run(migration.seed)
    assert QuotaPreset.objects.get(is_default=True).name == "Mine"
    assert QuotaPreset.objects.count() == 4


def test_reversing_takes_away_only_what_is_as_it_was_made():
    QuotaPreset.objects.filter(name="Quick chat").update(quota={"tokens": 7})
    run(migration.unseed)
    assert [preset.name for preset in QuotaPreset.objects.all()] == ["Quick chat"]
