"""Staff hear of a key, a provider or a model that will not do before learners do."""

import anthropic
import httpx2
import pytest
from django.core.cache import cache

from accounts.models import Role, User
from conversations import provider, wire
from conversations.provider import provider_problems

pytestmark = pytest.mark.django_db


@pytest.fixture
def answers(monkeypatch, settings):
    """Have the provider answer as told; gives the list of what it was asked."""
    settings.ANTHROPIC_API_KEY = "sk-test"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    cache.clear()
    asked = []

    def use(answer):
        def handle(request):
            asked.append(request.url.path)
            if isinstance(answer, Exception):
                raise answer
            return answer

        def client():
            http = httpx2.AsyncClient(transport=httpx2.MockTransport(handle))
            return anthropic.AsyncAnthropic(api_key="x", max_retries=0, http_client=http)

        monkeypatch.setattr(wire, "client", client)
        return asked

    return use


def offering(*models):
    data = [{"id": model, "type": "model", "display_name": model} for model in models]
    return httpx2.Response(200, json={"data": data, "has_more": False})


def refusing(status):
    kinds = {401: "authentication_error", 404: "not_found_error"}
    error = {"type": kinds.get(status, "api_error"), "message": "no"}
    return httpx2.Response(status, json={"type": "error", "error": error})


def test_a_revoked_key_is_said(answers):
    answers(refusing(401))
    assert "refuses the key" in provider_problems()[0]


def test_a_provider_that_is_away_is_said(answers):
    answers(httpx2.ConnectError("no"))
    assert "cannot be reached" in provider_problems()[0]


def test_a_model_that_is_not_offered_is_named(answers, scenario):
    scenario.partner_model = "claude-gone"
    scenario.save()
    answers(offering(scenario.coach_model))
    assert provider_problems() == [
        "The provider does not offer “claude-gone”: its replies will fail."
    ]


def test_all_well_is_said_by_nothing_and_asked_once(answers, scenario):
    asked = answers(offering(scenario.partner_model, scenario.coach_model))
    assert provider_problems() == provider_problems() == []
    assert asked == ["/v1/models"]


@pytest.mark.parametrize("answer", [refusing(404), refusing(500), offering()])
def test_a_server_that_lists_none_is_no_problem(answers, scenario, answer):
    answers(answer)
    assert provider_problems() == []


def test_the_understudy_is_not_asked(settings):
    settings.ANTHROPIC_API_KEY = settings.ANTHROPIC_BASE_URL = ""
    assert provider_problems() == []


def test_the_desk_says_so(answers, client):
    answers(refusing(401))
    ada = User.objects.create_user("ada@example.org", role=Role.ADMIN, is_staff=True)
    client.force_login(ada, backend="accounts.backends.RoleBackend")
    assert provider.WORDS["key"] in client.get("/admin/").content.decode()
