"""A stand-in model: speaks the Messages wire format in-process, with no key, network or service.

It knows nothing of the product. It gets lines by persona, works out what the learner did with
each turn, keeps a temper for the partner, and chooses lines; the coach's notes name the same
move. Everything is replayed from the request, so the same request always gets the same reply.
"""

from conversations.understudy.wire import MODEL, Understudy

__all__ = ["MODEL", "Understudy"]
