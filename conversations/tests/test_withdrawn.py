"""An invitation to what is not offered any more: its holder chooses, on the same budget."""

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Role
from accounts.tests.people import person
from conversations.models import ConversationSession
from conversations.starting import means
from invitations.models import GroupLink, Invitation
from scenarios.models import Scenario

pytestmark = pytest.mark.django_db


@pytest.fixture
def other(scenario) -> Scenario:
    """Another scenario, which is offered; the invitation's own is not."""
    Scenario.objects.update(is_active=False)
    return Scenario.objects.create(name="A raise", slug="raise", partner_persona="Morgan")


@pytest.fixture
def url(invitation) -> str:
    return invitation.get_absolute_url()


def text(response) -> str:
    return " ".join(response.content.decode().split())


def test_its_page_says_so_and_names_what_it_does_not_open(client, invitation, other, url):
    page = text(client.get(url))
    assert "not offered any more. You choose another" in page
    assert invitation.scenario.name not in page


def test_a_guest_chooses_and_it_pays(client, invitation, other, url):
    assert client.post(url)["Location"] == "/scenarios/"
    assert "Start the conversation" in text(client.get("/scenarios/raise/"))
    assert client.post("/scenarios/raise/").status_code == 302
    conversation = ConversationSession.objects.get()
    assert (conversation.invitation, conversation.scenario) == (invitation, other)


def test_an_account_chooses_and_its_own_allowance_is_not_touched(client, invitation, other, url):
    dana = person("dana@example.com")
    client.force_login(dana)
    client.post(url)
    client.post("/scenarios/raise/")
    conversation = ConversationSession.objects.get()
    assert (conversation.invitation, conversation.user) == (invitation, dana)


def test_a_group_does_the_same(client, invitation, other):
    group = GroupLink.objects.create(
        label="Nursing",
        scenario=invitation.scenario,
        quota={"tokens": 25_000},
        places=3,
        created_by=invitation.created_by,
    )
    url = group.get_absolute_url()
    page = client.get(url)
    assert "not offered any more. You choose another" in text(page)
    assert client.post(url, {"key": page.context["key"]})["Location"] == "/scenarios/"
    client.post("/scenarios/raise/")
    assert ConversationSession.objects.get().invitation == Invitation.objects.get(group=group)


def test_home_leads_to_the_choice(client, other, url):
    client.post(url)
    page = text(client.get("/"))
    assert "A conversation of your choice" in page
    assert "A dinner" not in page
    assert "/scenarios/a-dinner/" not in page


def test_what_was_begun_before_goes_on(client, url, scenario):
    begun = client.post(url)["Location"]
    scenario.is_active = False
    scenario.save()
    assert "Continue the conversation" in text(client.get(url))
    assert client.post(url)["Location"] == begun
    assert client.get(begun).status_code == 200


def test_after_its_end_another_is_chosen(client, url, other):
    ConversationSession.begin(other, user=None, invitation=Invitation.objects.get())
    ConversationSession.objects.update(status="ended", ended_at=timezone.now())
    assert client.post(url)["Location"] == "/scenarios/"


def test_the_mail_promises_no_more_than_the_page(invitation, other, mailoutbox):
    invitation.refresh_from_db()
    invitation.recipient_email = "rita@example.com"
    invitation.send()
    assert "You choose the situation" in mailoutbox[-1].body
    assert "A dinner" not in f"{mailoutbox[-1].subject}{mailoutbox[-1].body}"


def test_one_that_is_private_is_offered_to_nobody_not_even_its_writer(client, invitation, url):
    """Though no form of the admin lets an invitation be to one."""
    kim = person("kim@example.com", role=Role.POWER_USER)
    Scenario.objects.update(owner=kim)
    invitation.refresh_from_db()
    assert invitation.offered_scenario is None
    group = GroupLink(scenario=invitation.scenario)
    assert group.offered_scenario is None
    for browser in (client, signed_in(kim)):
        assert "A dinner" not in text(browser.get(url))
        assert browser.post(url)["Location"] == "/scenarios/"
    assert not ConversationSession.objects.exists()
    assert Invitation.objects.get().linked_user == kim
    assert means(kim, [], invitation.scenario).invitation is None


def signed_in(user) -> Client:
    client = Client()
    client.force_login(user)
    return client
