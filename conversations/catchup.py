"""What a page has missed, from the database: on every (re)connect, and after a gap.

Each running reply gives a chunk frame, an empty one where the database holds nothing new.
"""

from conversations import frames
from conversations.models import ConversationSession, Message


def since(conversation_id: int, newest: int, held: dict[int, int]) -> list[frames.Frame]:
    """Frames that bring a page up to date.

    `newest` is the highest message id that it shows; `held` gives, for each reply that it
    shows as running, how many code points it has.
    """
    conversation = ConversationSession.objects.get(pk=conversation_id)
    new = list(conversation.messages.filter(pk__gt=newest).select_related("session"))
    answer, before = [], newest
    for message in new:
        answer.append(frames.turn(message, conversation, after=before))
        before = message.pk
    answer += _rest(conversation, {message.pk: 0 for message in new if message.is_streaming})
    answer += _rest(conversation, held)
    running = dict(conversation.messages.streaming().values_list("role", "pk"))
    return [*answer, frames.state(conversation, running), {"type": "synced"}]


def missing(conversation_id: int, held: dict[int, int]) -> list[frames.Frame]:
    """What is missing of replies of which a page has the first so many code points."""
    return _rest(ConversationSession.objects.get(pk=conversation_id), held)


def _rest(conversation: ConversationSession, held: dict[int, int]) -> list[frames.Frame]:
    rows = Message.objects.filter(session=conversation, pk__in=held).select_related("session")
    answer: list[frames.Frame] = []
    for row in rows:
        if not row.is_streaming:
            answer.append(frames.turn(row, conversation))
        else:
            answer.append(frames.chunk(row.pk, held[row.pk], row.content[held[row.pk] :]))
    return answer
