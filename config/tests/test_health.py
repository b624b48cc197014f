import pytest
from django.db import DatabaseError
from django.urls import reverse


def test_healthz_answers_without_a_database(client):
    answer = client.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")


@pytest.mark.django_db
def test_readyz_answers_where_the_database_does(client):
    assert client.get("/readyz").status_code == 200


def test_readyz_says_when_the_database_is_gone(client, monkeypatch):
    def refuse():
        raise DatabaseError("connection to db.example refused for user parley")

    monkeypatch.setattr("config.health.connection.cursor", refuse)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert b"parley" not in answer.content


@pytest.mark.parametrize("name", ["healthz", "readyz"])
@pytest.mark.django_db
def test_pages_carry_the_policy(client, name):
    policy = client.get(reverse(name)).headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "unsafe" not in policy
