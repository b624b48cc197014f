"""Sessions held ids until now, so that browsers keep what they hold."""

from django.db import migrations
from django.db.models import F


def fill(apps, schema_editor):
    invitations = apps.get_model("invitations", "Invitation").objects
    invitations.filter(held_as=None).update(held_as=F("id"))
    invitations.filter(opened_at=None).exclude(claimed_at=None).update(opened_at=F("claimed_at"))


class Migration(migrations.Migration):
    dependencies = [("invitations", "0003_life_of_a_link")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
