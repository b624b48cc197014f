"""Addresses in the admin that somebody has edited: an answer, never a failure."""

import re

import pytest

from accounts.tests.people import staff
from config.tests.desk import admin_url

pytestmark = pytest.mark.django_db

LISTS = {
    "usage.usagelog": "timestamp",
    "usage.hold": "created_at",
    "accounts.user": "created_at",
    "invitations.invitation": "expires_at",
    "conversations.conversationsession": "started_at",
    "conversations.message": "timestamp",
}
FORMS = {
    "invitations.invitation": "expires_at",
    "usage.personalallowance": "expires_at",
    "usage.price": "valid_from",
}


@pytest.fixture
def desk(client):
    client.force_login(staff(), backend="accounts.backends.RoleBackend")
    return client


@pytest.mark.parametrize("year", ["0", "-5", "9999", "99999", "9" * 22, "x"])
@pytest.mark.parametrize(("model", "field"), LISTS.items())
def test_a_year_that_no_calendar_has_lists_nothing(desk, model, field, year):
    response = desk.get(admin_url(model, "changelist"), {f"{field}__year": year})
    if response.status_code == 200:
        assert response.context["cl"].result_count == 0
    else:
        assert (response.status_code, response["Location"][-4:]) == (302, "?e=1")


@pytest.mark.parametrize("lookup", ["year", "iso_year"])
def test_nor_does_its_export(desk, lookup):
    response = desk.get(admin_url("usage.usagelog", "export"), {f"timestamp__{lookup}": "99999"})
    assert (response.status_code, response["Location"]) == (302, "/admin/usage/usagelog/")


@pytest.mark.parametrize("given", ["zzz", "99999-01-01", "", "0001-01-01T00:00+14:00", "0"])
@pytest.mark.parametrize(("model", "field"), FORMS.items())
def test_a_date_that_is_none_leaves_the_form_as_it_is(desk, model, field, given):
    url = admin_url(model, "add")
    forms = [desk.get(url, query).context["adminform"].form for query in ({}, {field: given})]
    plain, filled = (str(form[field]) for form in forms)
    assert re.sub(r"\d\d:\d\d:\d\d", "", filled) == re.sub(r"\d\d:\d\d:\d\d", "", plain)


@pytest.mark.parametrize("given", ["2030-05-06T07:08", "2030-05-06T09:08+02:00"])
def test_a_date_in_the_address_fills_the_form(desk, given):
    html = desk.get(admin_url("invitations.invitation", "add"), {"expires_at": given}).content
    assert b'value="2030-05-06"' in html
    assert b'value="07:08:00"' in html
