"""Whether the provider would answer, asked for the staff's desk before a learner finds out."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

import anthropic
import httpx2
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.cache import cache

from conversations import wire
from scenarios.models import Scenario

logger = logging.getLogger(__name__)

# Seconds: how long an answer is good for, and how long the desk waits for one.
GOOD_FOR: Final = 300
PATIENCE: Final = 3
# Why no list of models came, in words for staff. Servers of one's own may have no such list.
WORDS: Final = {
    "key": "The provider refuses the key, so that no reply will come. Check ANTHROPIC_API_KEY.",
    "unreachable": "The provider cannot be reached just now, so that no reply will come.",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the provider said: a kind of trouble, or the models it offers (none: it lists none)."""

    trouble: str = ""
    models: frozenset[str] = frozenset()


def provider_problems() -> list[str]:
    """Sentences on what will keep replies from coming; asks at most once in five minutes."""
    if wire.is_understudy():
        return []
    standing: Standing | None = cache.get(_key())
    if standing is None:
        standing = async_to_sync(_ask)()
        cache.set(_key(), standing, GOOD_FOR)
    if standing.trouble:
        return [words] if (words := WORDS.get(standing.trouble)) else []
    if not standing.models:
        return []
    missing = sorted(_asked_for() - standing.models)
    return [f"The provider does not offer “{model}”: its replies will fail." for model in missing]


def _key() -> str:
    # Another key or address is another question.
    return f"provider:{hash((settings.ANTHROPIC_API_KEY, settings.ANTHROPIC_BASE_URL))}"


def _asked_for() -> set[str]:
    """The models that conversations started now would ask for."""
    chosen = Scenario.objects.filter(is_active=True).values_list("partner_model", "coach_model")
    return {model for pair in chosen for model in pair}


async def _ask() -> Standing:
    try:
        async with asyncio.timeout(PATIENCE):
            offered = [model.id async for model in wire.client().models.list(limit=1000)]
    except (anthropic.AuthenticationError, anthropic.PermissionDeniedError):
        return Standing("key")
    except (TimeoutError, anthropic.APIConnectionError, httpx2.HTTPError):
        return Standing("unreachable")
    except Exception as error:  # whatever a server of one's own makes of the question
        logger.info("The provider lists no models: %s", type(error).__name__)
        return Standing()
    return Standing(models=frozenset(offered))
