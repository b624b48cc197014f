"""What a browser holds, and what was opened and asked for."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("invitations", "0002_presets")]

    operations = [
        migrations.AddField(
            "invitation",
            "held_as",
            # Filled by the next migration; a default would be one and the same for all rows.
            models.CharField(max_length=32, unique=True, null=True, editable=False),
        ),
        migrations.AddField(
            "invitation",
            "opened_at",
            models.DateTimeField(
                blank=True,
                editable=False,
                null=True,
                help_text="When a button on its page was first pressed. Looking leaves no trace.",
            ),
        ),
        migrations.AddField(
            "invitation",
            "time_asked_at",
            models.DateTimeField("asked for more time", blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            "invitation",
            "budget_asked_at",
            models.DateTimeField("asked for more budget", blank=True, editable=False, null=True),
        ),
    ]
