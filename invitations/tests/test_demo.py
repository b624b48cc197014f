"""The demo: an account and a link for a laptop, and for nothing else."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from accounts.models import Role, User
from invitations import demo
from invitations.models import Invitation
from invitations.tests.making import scenario

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _folder_of_its_own(settings, tmp_path):
    settings.VAR_DIR = tmp_path


def run(command, **options) -> str:
    out = StringIO()
    call_command(command, stdout=out, **options)
    return out.getvalue()


def test_it_prints_both_ways_in():
    lines = run("demo").splitlines()
    assert lines[0].startswith("Learner:  http://localhost:8000/invite/")
    assert lines[1].startswith("Staff:    http://localhost:8000/admin/  staff@parley.localhost  ")


def test_the_link_and_the_account_work(client):
    access = demo.prepare()
    assert client.get(access.learner_link.removeprefix("http://localhost:8000")).status_code == 200
    response = client.post(
        "/accounts/login/",
        {"login": access.email, "password": access.password, "next": "/admin/"},
        follow=True,
    )
    assert response.request["PATH_INFO"] == "/admin/"
    assert response.status_code == 200


def test_the_account_is_an_administrator_with_a_password_of_its_own(tmp_path):
    first = demo.prepare()
    user = User.objects.get()
    assert (user.role, user.is_staff) == (Role.ADMIN, True)
    path = tmp_path / "staff-password"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().strip() == first.password
    Invitation.objects.all().delete()
    User.objects.all().delete()
    path.unlink()
    assert demo.prepare().password != first.password


def test_a_second_run_changes_nothing():
    first = demo.prepare()
    assert demo.prepare() == first
    Invitation.objects.get().open_page()
    assert demo.prepare() == first
    assert Invitation.objects.count() == User.objects.count() == 1


def test_a_claimed_invitation_is_followed_by_another():
    first = demo.prepare()
    Invitation.objects.get().claim()
    second = demo.prepare()
    assert second.learner_link != first.learner_link
    assert second.password == first.password


def test_a_password_that_somebody_chose_stays_and_is_not_printed():
    demo.prepare()
    user = User.objects.get()
    user.set_password("my own")
    user.save()
    assert demo.prepare().password == demo.CHANGED
    user.refresh_from_db()
    assert user.check_password("my own")


def test_a_lost_password_file_brings_a_new_password(tmp_path):
    first = demo.prepare()
    (tmp_path / "staff-password").unlink()
    second = demo.prepare()
    assert second.password != first.password
    assert User.objects.get().check_password(second.password)


def test_it_invites_to_the_first_library_scenario():
    scenario(slug="own", name="Own")
    library = scenario(slug="library", name="Library", library_digest="abc")
    demo.prepare()
    assert Invitation.objects.get().scenario == library


def test_a_fresh_link_is_alone_on_its_line():
    demo.prepare()
    link = run("demo_link").strip()
    assert link.startswith("http://localhost:8000/invite/")
    assert Invitation.objects.count() == 2


@pytest.mark.parametrize("site", ["https://parley.example", "http://localhost.evil.example"])
@pytest.mark.parametrize("command", ["demo", "demo_link"])
def test_it_refuses_on_a_site_that_others_can_reach(settings, site, command):
    settings.SITE_URL = site
    with pytest.raises(CommandError, match="no place there"):
        run(command)
    assert not User.objects.exists()
    assert "Learner" in run("demo", anywhere=True)


@pytest.mark.parametrize("site", ["http://127.0.0.1:9", "http://[::1]:9", "http://a.localhost"])
def test_it_agrees_on_this_machine(settings, site):
    settings.SITE_URL = site
    assert demo.prepare().learner_link.startswith(site + "/invite/")
