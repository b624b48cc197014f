"""Named people for tests."""

from allauth.account.models import EmailAddress

from accounts.models import Role, User

PASSWORD = "a long enough password"


def person(email: str = "dana@example.com", *, verified: bool = True, **fields) -> User:
    """A user with `PASSWORD`, whose address is proven unless told otherwise."""
    user = User.objects.create_user(email, PASSWORD, **{"role": Role.USER} | fields)
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=verified)
    return user


def staff(email: str = "sam@example.com", **fields) -> User:
    return person(email, **{"role": Role.ADMIN, "is_staff": True, "name": "Sam Staff"} | fields)
