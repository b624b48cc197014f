"""A step as it is taken in a thread of the database, with what pages are told of it."""

import logging
from collections.abc import Callable

from conversations import frames
from conversations.database import AWAY
from conversations.lanes import Step

logger = logging.getLogger(__name__)


def take(work: Callable[[], Step | None]) -> Step | None:
    """Take a step and render what pages are told of it, once it is stored."""
    step = work()
    if step is not None:
        try:
            step.news = _news(step)
        except Exception as error:  # whatever it is: what is stored is carried out
            level = logging.WARNING if isinstance(error, AWAY) else logging.ERROR
            logger.log(level, "A change was not told: %s", type(error).__name__)
            step.news = [frames.resync()]
    return step


def _news(step: Step) -> list[frames.Frame]:
    conversation = step.conversation
    rows = ([step.message] if step.message else []) + [reply.message for reply in step.replies]
    # Only the end of a call moves the budget that a page shows.
    moved = not conversation.is_active or bool(step.message and step.message.is_reply)
    turns = [frames.turn(row, conversation, step.after.get(row.pk)) for row in rows]
    return [*turns, frames.state(conversation, step.running, with_budget=moved)]
