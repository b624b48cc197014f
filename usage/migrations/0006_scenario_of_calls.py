"""Calls of conversations that are still there know their scenario."""

from django.db import migrations
from django.db.models import OuterRef, Subquery


def fill(apps, schema_editor):
    UsageLog = apps.get_model("usage", "UsageLog")
    Conversation = apps.get_model("conversations", "ConversationSession")
    scenario = Conversation.objects.filter(pk=OuterRef("session_id")).values("scenario_id")
    UsageLog.objects.exclude(session=None).update(scenario_id=Subquery(scenario))


class Migration(migrations.Migration):
    dependencies = [("usage", "0005_sums_of_days")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
