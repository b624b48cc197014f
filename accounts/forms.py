"""Forms of the account pages."""

from typing import TYPE_CHECKING, Any

from allauth.account.forms import RequestLoginCodeForm as BaseRequestLoginCodeForm
from allauth.account.forms import SignupForm as BaseSignupForm
from allauth.account.internal.flows.manage_email import sync_user_email_address
from allauth.socialaccount.forms import DisconnectForm as BaseDisconnectForm
from allauth.socialaccount.forms import SignupForm as BaseSocialSignupForm
from django import forms

from accounts.models import User

if TYPE_CHECKING:
    ModelFormOfUser = forms.ModelForm[User]
else:
    ModelFormOfUser = forms.ModelForm


def name_field() -> forms.CharField:
    return forms.CharField(
        label="Name",
        required=False,
        max_length=200,
        help_text="What the people who invite you see. You may leave it empty.",
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )


class SignupForm(BaseSignupForm):
    """Email, a name if one likes, and a password if one likes: codes by mail do without."""

    name = name_field()
    field_order = ["email", "name", "password1"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password1"].label = "Password (optional)"


class SocialSignupForm(BaseSocialSignupForm):
    """Asked only where Google did not say enough."""

    name = name_field()
    field_order = ["email", "name"]


class RequestLoginCodeForm(BaseRequestLoginCodeForm):
    """Also serves accounts that staff made: one code both signs in and proves the address."""

    def clean_email(self) -> str:
        email: str = super().clean_email()
        if self._user:
            sync_user_email_address(self._user)
        return email


class DisconnectForm(BaseDisconnectForm):
    """Takes what Google had filled in off the account again."""

    def save(self) -> None:
        super().save()
        User.objects.filter(
            pk=self.request.user.pk, google_id=self.cleaned_data["account"].uid
        ).update(google_id=None, avatar_url=None)


class NameForm(ModelFormOfUser):
    class Meta:
        model = User
        fields = ["name"]
        widgets = {"name": forms.TextInput(attrs={"autocomplete": "name"})}
        help_texts = {"name": "What the people who invite you see."}
