"""PostgreSQL learns which models answer for which stream.

Taken for independent, a pair that never occurs is thought to be a quarter of all calls, and the
list of it to be found by reading them all from the newest on.
"""

from django.db import migrations

NAME = "usagelog_stream_model"


def learn(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            f"CREATE STATISTICS IF NOT EXISTS {NAME} (mcv) ON stream_type, model FROM usage_usagelog"
        )
        schema_editor.execute("ANALYZE usage_usagelog")


def forget(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP STATISTICS IF EXISTS {NAME}")


class Migration(migrations.Migration):
    dependencies = [("usage", "0008_stream_model_index")]

    operations = [migrations.RunPython(learn, forget)]
