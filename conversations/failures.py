"""What to tell a person when a reply did not come, or not whole: what happened, what to do."""

from typing import Final

AGAIN: Final = "Press Try again."
STAYS: Final = "The conversation and the coach's notes stay here for you to read."
# The connection broke after the request was sent and before an answer came.
DROPPED: Final = "dropped"
# The same, of a reply that was begun again by itself.
ASKED_AGAIN: Final = "asked_again"

# By `Message.failure`; `{who}` is the speaker. `llm.Trouble` names most of them.
WORDS: Final = {
    "busy": "{who} could not be reached: the model is too busy just now. Wait a moment, then press "
    "Try again.",
    "unreachable": "The connection to the model failed. Wait a moment, then press Try again.",
    "slow": "The model did not begin to answer in time. " + AGAIN,
    "stalled": "The reply stopped coming before it was finished. " + AGAIN,
    "cut": "The connection broke before the reply was finished. " + AGAIN,
    DROPPED: "The connection to the model broke before it answered. " + AGAIN,
    ASKED_AGAIN: "The connection to the model broke before it answered, so it was asked again.",
    "overtime": "The reply took too long and was ended. " + AGAIN,
    "lost": "The reply was lost when a server stopped.",
    "refusal": "The model declined to answer this. Put it differently, or press Try again.",
    "empty": "The reply came back empty. " + AGAIN,
    "max_tokens": "The reply was cut short because it grew too long.",
    "too_long": "This conversation has grown too long for the model. End it and start a new one.",
    "budget": "There is not enough budget left for another reply, so none was begun. Ask for more, "
    "or end the conversation.",
    "over": "The invitation was over before another reply could be begun.",
    "key": "The model cannot be used at present. Please tell whoever invited you.",
    "model": "The model of this scenario is no longer available. Please tell whoever invited you.",
    "spend_limit": "The model cannot be used at present. Please tell whoever invited you.",
    "rejected": "The model could not take this conversation. Please tell whoever invited you.",
    "error": "Something went wrong on our side. " + AGAIN,
}

# What was not begun for want of budget or time, and what the coach then goes without, by
# `Message.kind`.
FOREGONE: Final = {
    "budget": {
        "note": "There is not enough budget left for a note on this line, so none was begun.",
        "aside": "There is not enough budget left for an answer, so none was begun.",
        "debrief": "There was not enough budget left for the coach to write this. " + STAYS,
    },
    "over": {
        "note": "The invitation was over before a note on this line could be begun.",
        "aside": "The invitation was over before an answer could be begun.",
        "debrief": "The invitation was over before the coach could write this. " + STAYS,
    },
}


def words(failure: str, who: str, kind: str = "") -> str:
    """The sentence for a failure code of `who`'s reply of a `kind`; empty where there is none."""
    if not failure:
        return ""
    sentence = FOREGONE.get(failure, {}).get(kind)
    return (sentence or WORDS.get(failure, WORDS["error"])).format(who=who)
