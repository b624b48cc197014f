"""People that the tests of budgets name."""

import pytest

from accounts.models import Role, User


@pytest.fixture
def staff(db: None) -> User:
    return User.objects.create_user("staff@example.org", role=Role.ADMIN)
