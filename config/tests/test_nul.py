"""A NUL in an address finds nothing, on either database."""

import pytest
from django.urls import reverse

from accounts.models import Role, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def signed_in(client):
    ada = User.objects.create_user("ada@example.org", role=Role.ADMIN, is_staff=True)
    client.force_login(ada, backend="accounts.backends.RoleBackend")
    return client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/account/devices/%00/sign-out/"),
        ("get", "/invite/own/%00/"),
        ("get", "/admin/invitations/invitation/%00/preview/"),
        ("get", "/admin/invitations/batch/%00/change/"),
        ("get", "/%00"),
    ],
)
def test_a_path_with_one_leads_nowhere(signed_in, method, path):
    response = getattr(signed_in, method)(path)
    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()


@pytest.mark.parametrize("query", ["model=%00", "q=a%00b", "%00=1", "stream_type__exact=%00"])
def test_a_query_with_one_makes_no_sense(signed_in, query):
    response = signed_in.get(f"/admin/usage/usagelog/?{query}")
    assert response.status_code == 400
    assert "We could not read that" in response.content.decode()


def test_a_percent_sign_is_none(signed_in):
    assert signed_in.get("/admin/usage/usagelog/?model=%2500").status_code == 200


def test_a_form_with_one_is_shown_again(signed_in):
    url = reverse("admin:auth_group_add")
    response = signed_in.post(url, {"name": "a\0b"})
    assert response.status_code == 200
    assert "Null characters are not allowed." in response.content.decode()


async def test_a_server_that_is_asynchronous_says_the_same(async_client):
    assert (await async_client.get("/accounts/login/?next=%00")).status_code == 400
    assert (await async_client.get("/%00")).status_code == 404
