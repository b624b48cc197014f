"""Signing in and up: a sign-up that waits for its code keeps nobody from signing in.

Whoever signs up with an address that has an account gets no code but a mail that says so, since
the page must not. What it advises, to sign in, has to work in the same browser.
"""

from typing import Any

from allauth.account.internal.flows.email_verification_by_code import (
    EMAIL_VERIFICATION_CODE_SESSION_KEY,
)
from allauth.account.internal.stagekit import clear_login
from allauth.account.mixins import RedirectAuthenticatedUserMixin
from allauth.account.stages import LoginStage
from allauth.account.views import LoginView, RequestLoginCodeView, SignupView
from allauth.mfa.webauthn.views import LoginWebAuthnView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.generic import FormView


class DespiteSignUp(RedirectAuthenticatedUserMixin, FormView):  # type: ignore[type-arg]
    """For the ways to sign in: allauth would send who is signing up back to the code they lack.

    Merely to look ends nothing; the first of the two that gets through ends the other.
    """

    def _redirect_to_pending_stage(
        self, request: HttpRequest, stage: LoginStage
    ) -> HttpResponseRedirect | None:
        if stage.login.signup:
            return None
        return super()._redirect_to_pending_stage(request, stage)

    def form_valid(self, form: Any) -> HttpResponse:
        session = self.request.session
        if EMAIL_VERIFICATION_CODE_SESSION_KEY in session:
            del session[EMAIL_VERIFICATION_CODE_SESSION_KEY]
            clear_login(self.request)
        return super().form_valid(form)


class SignInView(DespiteSignUp, LoginView):
    pass


class SignInByCodeView(DespiteSignUp, RequestLoginCodeView):
    pass


class SignInByPasskeyView(DespiteSignUp, LoginWebAuthnView):
    pass


class SignUpView(SignupView):
    """As allauth's, but the page that asks for the code knows where one came from."""

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        page = reverse("account_email_verification_sent")
        if response.headers.get("Location") == page:
            response["Location"] = self.passthrough_next_url(page)
        return response
