from django.apps import AppConfig
from django.db.models.signals import post_migrate

from usage import triggers


class UsageConfig(AppConfig):
    name = "usage"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(triggers.install, sender=self)
