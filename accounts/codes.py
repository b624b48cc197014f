"""The codes that are mailed: three tries each, however many arrive at once.

Allauth counts them in the session, which requests at the same moment read before any writes.
"""

from typing import Any, Final

from allauth.account.adapter import get_adapter
from allauth.account.forms import (
    BaseConfirmCodeForm,
    ConfirmEmailVerificationCodeForm,
    ConfirmLoginCodeForm,
    ConfirmPasswordResetCodeForm,
)
from django.utils.crypto import salted_hmac

from config.limits import Limit

# Far longer than a code lives, so that none gets more tries as time goes by.
TRIES: Final = Limit("code-tries", 3, 24 * 60 * 60)


class ThreeTries(BaseConfirmCodeForm):
    """Judges no fourth try at a code, right or wrong; its words are a wrong one's."""

    def clean_code(self) -> Any:
        # Without one to expect, which a page must not tell, every try is wrong anyway.
        key = salted_hmac("accounts.codes", self.expected_code or "", algorithm="sha256")
        if self.expected_code and not TRIES.take(key.hexdigest()):
            raise get_adapter().validation_error("incorrect_code")
        return super().clean_code()


class LoginCodeForm(ThreeTries, ConfirmLoginCodeForm):
    pass


class AddressCodeForm(ThreeTries, ConfirmEmailVerificationCodeForm):
    pass


class PasswordCodeForm(ThreeTries, ConfirmPasswordResetCodeForm):
    pass
