import pytest

from accounts.naming import naming


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("ann@example.com", True),
        ("To: Ann <ANN@example.com>", True),
        ("Write to ann@example.com.", True),
        ('{"email": "ann@example.com"}', True),
        ("joann@example.com", False),
        ("mary.ann@example.com", False),
        ("ann@example.com.au", False),
        ("ann@example.community", False),
    ],
)
def test_it_finds_an_address_by_itself(text, named):
    assert bool(naming(["bob@example.com", "ann@example.com"]).search(text)) is named


def test_without_words_it_finds_nothing():
    assert not naming([]).search("anything")
