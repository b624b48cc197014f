"""Private scenarios: written by power users, found by nobody else, on no way."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Role, User
from config.tests.desk import make_invitation, make_scenario
from conversations.models import ConversationSession
from conversations.starting import means
from scenarios.catalogue import RETIRED
from scenarios.models import Scenario
from scenarios.private_forms import MOST_SCENARIOS, PrivateScenarioForm

pytestmark = pytest.mark.django_db


@pytest.fixture
def kim(db):
    return User.objects.create_user("kim@example.org", name="Kim", role=Role.POWER_USER)


@pytest.fixture
def browser(kim):
    return signed_in(kim)


@pytest.fixture
def mine(kim):
    return make_scenario("my-mother-x7", name="My mother", owner=kim)


def signed_in(user):
    client = Client()
    client.force_login(user, backend="accounts.backends.RoleBackend")
    return client


def somebody(role=Role.USER, email="else@example.org", **fields):
    return User.objects.create_user(email, role=role, **fields)


def written(**changes):
    return {
        "name": "My mother",
        "description": "You tell her that you move out.",
        "partner_persona": "Mum",
        "partner_system_prompt": "You are Mum.",
        "partner_model": "claude-sonnet-5-5",
        "coach_system_prompt": "Look for guilt.",
        "coach_model": "claude-haiku-5-5",
    } | changes


def edit(scenario):
    return reverse("my_scenarios:edit", args=[scenario.slug])


def detail(scenario):
    return reverse("scenarios:detail", args=[scenario.slug])


# --- Writing ---


def test_a_power_user_writes_one_and_starts_it(browser, kim):
    response = browser.post(reverse("my_scenarios:new"), written())
    scenario = Scenario.objects.get()
    assert (scenario.owner, response["Location"]) == (kim, detail(scenario))
    assert "Start the conversation" in browser.get(detail(scenario)).content.decode()
    browser.post(detail(scenario))
    assert ConversationSession.objects.get().user == kim


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("partner_persona", "x" * 201),
        ("partner_system_prompt", "x" * 8_001),
        ("description", "nul\0"),
        ("partner_model", "gpt-99"),
        ("coach_model", next(iter(RETIRED))),
    ],
)
def test_what_makes_no_scenario_is_said(browser, field, value):
    response = browser.post(reverse("my_scenarios:new"), written(**{field: value}))
    assert response.status_code == 200
    assert field in response.context["form"].errors
    assert not Scenario.objects.exists()


def test_neither_owner_nor_address_nor_library_can_be_posted(browser, kim):
    other = somebody()
    extra = {"owner": other.pk, "slug": "chosen", "library_digest": "x"}
    browser.post(reverse("my_scenarios:new"), written(**extra))
    scenario = Scenario.objects.get()
    assert scenario.owner == kim
    assert scenario.slug.startswith("my-mother-")
    assert scenario.library_digest is None


def test_there_is_a_most(kim):
    for number in range(MOST_SCENARIOS):
        make_scenario(f"s{number}", owner=kim)
    form = PrivateScenarioForm(written(), instance=Scenario(owner=kim))
    assert "which is the most" in str(form.errors)


def test_a_server_of_ones_own_offers_its_own_models(settings):
    settings.PARTNER_MODEL = settings.COACH_MODEL = "llama"
    form = PrivateScenarioForm(instance=Scenario())
    assert form.fields["partner_model"].choices == [("llama", "llama")]


def test_it_is_edited_put_away_and_taken_up(browser, mine):
    browser.post(edit(mine), written(name="Mother"))
    mine.refresh_from_db()
    assert mine.name == "Mother"
    browser.post(edit(mine), {"action": "put-away"})
    assert browser.get(detail(mine)).status_code == 404
    assert "Put away" in browser.get(reverse("my_scenarios:list")).content.decode()
    browser.post(edit(mine), {"action": "take-up"})
    assert browser.get(detail(mine)).status_code == 200


def test_it_is_deleted_unless_there_are_conversations_on_it(browser, mine, kim):
    started = ConversationSession.begin(mine, user=kim, invitation=None)
    response = browser.post(edit(mine), {"action": "delete"}, follow=True)
    assert "so it stays" in response.content.decode()
    started.delete()
    browser.post(edit(mine), {"action": "delete"})
    assert not Scenario.objects.exists()


def test_other_methods_are_refused(browser, mine):
    for url in (reverse("my_scenarios:new"), edit(mine)):
        assert browser.delete(url).status_code == 405
    assert browser.post(reverse("my_scenarios:list")).status_code == 405


def test_the_list_takes_as_many_queries_for_many(browser, kim, django_assert_max_num_queries):
    for number in range(20):
        make_scenario(f"s{number}", owner=kim)
    with django_assert_max_num_queries(6):
        browser.get(reverse("my_scenarios:list"))


# --- Nobody else ---


@pytest.mark.parametrize("role", list(Role))
def test_nobody_else_finds_it(mine, role):
    other = somebody(role, is_staff=role == Role.ADMIN)
    client = signed_in(other)
    assert client.get(detail(mine)).status_code == 404
    assert client.post(detail(mine)).status_code == 404
    assert client.get(edit(mine)).status_code == 404
    assert client.post(edit(mine), {"action": "delete"}).status_code == 404
    for page in ("/", reverse("scenarios:list")):
        assert mine.name not in client.get(page).content.decode()
    assert Scenario.objects.filter(pk=mine.pk).exists()


def test_a_visitor_without_account_does_not_either(client, mine):
    assert client.get(detail(mine)).status_code == 404
    assert client.get(edit(mine)).status_code == 404
    assert client.post(edit(mine), {"action": "delete"}).status_code == 404


def test_those_who_may_write_none_have_no_such_pages():
    client = signed_in(somebody())
    assert client.get(reverse("my_scenarios:list")).status_code == 404
    assert client.post(reverse("my_scenarios:new"), written()).status_code == 404


def test_an_invitation_never_opens_one(client, mine, kim):
    invitation = make_invitation(somebody(Role.ADMIN), scenario=mine, linked_user=kim)
    client.post(invitation.get_absolute_url())
    assert not ConversationSession.objects.exists()
    assert means(kim, [], mine).invitation is None


def test_an_invitation_of_ones_choice_does_not_pay_for_one(mine, kim):
    make_invitation(somebody(Role.ADMIN), linked_user=kim)
    assert means(kim, []).invitation
    how = means(kim, [], mine)
    assert (how.can_start, how.invitation) == (True, None)


# --- After a demotion ---


@pytest.fixture
def demoted(mine, kim):
    User.objects.filter(pk=kim.pk).update(role=Role.USER)
    return signed_in(kim)


def test_who_writes_no_more_reads_and_deletes(demoted, mine):
    assert mine.name in demoted.get(reverse("my_scenarios:list")).content.decode()
    html = demoted.get(edit(mine)).content.decode()
    assert mine.partner_system_prompt in html
    assert "Save</button>" not in html
    assert demoted.post(edit(mine), {"action": "delete"}).status_code == 303
    assert not Scenario.objects.exists()


def test_who_writes_no_more_neither_starts_nor_changes(demoted, mine):
    assert demoted.get(detail(mine)).status_code == 404
    assert demoted.post(detail(mine)).status_code == 404
    assert demoted.post(edit(mine), written(name="New")).status_code == 404
    mine.refresh_from_db()
    assert mine.name == "My mother"


def test_a_conversation_under_way_goes_on_but_not_again(demoted, mine, kim):
    own = ConversationSession.begin(mine, user=kim, invitation=None)
    assert demoted.get(own.get_absolute_url()).status_code == 200
    assert not means(User.objects.get(pk=kim.pk), [], mine).can_start
