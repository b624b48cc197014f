"""What every page says about the model that speaks."""

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest

from conversations import wire
from scenarios.catalogue import CATALOGUE


@dataclass(frozen=True, slots=True)
class OnStage:
    """Who plays the other person: the understudy, or a model by its display name."""

    understudy: bool
    name: str


def on_stage() -> OnStage:
    """Who speaks under the present configuration."""
    if wire.is_understudy():
        return OnStage(understudy=True, name="the understudy")
    info = CATALOGUE.get(settings.PARTNER_MODEL)
    return OnStage(understudy=False, name=info.name if info else settings.PARTNER_MODEL)


def model_on_stage(request: HttpRequest) -> dict[str, OnStage]:
    return {"on_stage": on_stage()}
