"""Three budgets to begin with; what staff have made themselves stays as it is."""

from django.db import migrations

PRESETS = [
    (
        "Quick chat",
        "A few lines to try it out, or one hard sentence to practise.",
        10_000,
    ),
    (
        "Short conversation",
        "One difficult conversation from the first word to the last.",
        25_000,
    ),
    (
        "Deep dive",
        "A long conversation, or the same one again in another way.",
        50_000,
    ),
]


def seed(apps, schema_editor):
    QuotaPreset = apps.get_model("invitations", "QuotaPreset")
    has_default = QuotaPreset.objects.filter(is_default=True).exists()
    for order, (name, description, tokens) in enumerate(PRESETS, start=1):
        QuotaPreset.objects.get_or_create(
            name=name,
            defaults={
                "label": name,
                "description": description,
                "quota": {"tokens": tokens, "label": name},
                "is_default": name == "Short conversation" and not has_default,
                "sort_order": order * 10,
            },
        )


def unseed(apps, schema_editor):
    """Take away those that are still as they were made."""
    QuotaPreset = apps.get_model("invitations", "QuotaPreset")
    for name, description, tokens in PRESETS:
        for preset in QuotaPreset.objects.filter(name=name, description=description):
            if preset.quota == {"tokens": tokens, "label": name}:
                preset.delete()


class Migration(migrations.Migration):
    dependencies = [("invitations", "0001_initial")]

    operations = [migrations.RunPython(seed, unseed)]
