"""No invitation without what a browser may hold of it."""

import accounts.ids
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("invitations", "0004_fill_held_as")]

    operations = [
        migrations.AlterField(
            "invitation",
            "held_as",
            models.CharField(
                max_length=32, unique=True, default=accounts.ids.new_id, editable=False
            ),
        ),
    ]
