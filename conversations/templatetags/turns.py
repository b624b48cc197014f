"""Template filters for messages."""

from django import template
from django.utils.safestring import SafeString

from conversations.markdown import plain, render
from conversations.models import Message

register = template.Library()


@register.filter
def said(message: Message) -> SafeString:
    """The text of a message as safe HTML: Markdown for replies that ended, else as typed."""
    if message.is_reply and not message.is_streaming:
        return render(message.content)
    return plain(message.content)
