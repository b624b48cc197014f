"""Windows longer than ten years, which no page could count back, become as long as that."""

from django.db import migrations

LONGEST = 10 * 365 * 24


def shorten(apps, schema_editor):
    for name in ("Allowance", "PersonalAllowance"):
        rows = apps.get_model("usage", name).objects
        rows.filter(window_hours__gt=LONGEST).update(window_hours=LONGEST)


class Migration(migrations.Migration):
    dependencies = [("usage", "0010_no_hold_is_lost")]

    operations = [migrations.RunPython(shorten, migrations.RunPython.noop)]
