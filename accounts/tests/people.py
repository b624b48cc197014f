"""Named people for tests."""

from allauth.account.internal.flows.email_verification import verify_email
from allauth.account.models import EmailAddress
from allauth.core.context import request_context
from django.contrib.auth.models import AnonymousUser
from django.contrib.messages.storage import default_storage
from django.contrib.sessions.backends.db import SessionStore
from django.test import RequestFactory

from accounts.models import Role, User

PASSWORD = "a long enough password"


def person(email: str = "dana@example.com", *, verified: bool = True, **fields) -> User:
    """A user with `PASSWORD`, whose address is proven unless told otherwise."""
    user = User.objects.create_user(email, PASSWORD, **{"role": Role.USER} | fields)
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=verified)
    return user


def staff(email: str = "sam@example.com", **fields) -> User:
    return person(email, **{"role": Role.ADMIN, "is_staff": True, "name": "Sam Staff"} | fields)


def moved(address: EmailAddress, before: str) -> None:
    """Have the owner of `address` prove it, who had `before` until then, as allauth has them."""
    EmailAddress.objects.create(user=address.user, email=before, verified=True)
    EmailAddress.objects.filter(pk=address.pk).update(verified=False, primary=False)
    address.refresh_from_db()
    request = RequestFactory().get("/")
    request.session, request.user = SessionStore(), AnonymousUser()
    request._messages = default_storage(request)
    with request_context(request):
        assert verify_email(request, address)
