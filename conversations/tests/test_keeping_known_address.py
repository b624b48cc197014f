"""A guest who forgot that they have an account signs up with its address, and keeps it all."""

import re

import pytest

from accounts.tests.people import PASSWORD, person
from conversations.models import ConversationSession

pytestmark = pytest.mark.django_db

DANA = "dana@example.com"


@pytest.mark.parametrize("by_code", [True, False])
def test_what_the_mail_and_the_page_advise_leads_back_to_the_place(
    client, invitation, mailoutbox, by_code
):
    user = person(DANA)
    client.post(invitation.get_absolute_url())
    conversation = ConversationSession.objects.get()
    url = conversation.get_absolute_url()
    page = client.post(f"{url}keep/")["Location"]
    waits = client.post(page, {"email": DANA, "next": url})["Location"]
    sign_in = re.search(r'href="([^"]+)">Sign in to it', client.get(waits).content.decode())[1]
    if by_code:
        code_page = re.search(r"http://\S+?(/accounts/\S+)", mailoutbox[-1].body)[1]
        asked = client.post(code_page, {"email": DANA, "next": url})["Location"]
        code = re.search(r"^ +(\S+)$", mailoutbox[-1].body, re.MULTILINE)[1]
        response = client.post(asked, {"code": code, "next": url})
    else:
        response = client.post(sign_in, {"login": DANA, "password": PASSWORD})
    assert response["Location"] == url
    conversation.refresh_from_db()
    assert conversation.user == user
