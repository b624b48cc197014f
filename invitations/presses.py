"""Buttons that are pressed twice: what they do is done once.

A page carries a key beside its button, made anew each time that the page is shown. A browser that
presses twice sends the same key twice, and the database decides which press was the first.
"""

from typing import Any, Final
from uuid import UUID, uuid4

from django import forms
from django.contrib import messages
from django.contrib.admin import helpers
from django.contrib.admin.options import ActionLocation
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from accounts.models import User
from config.admin import DeskAdmin

NAMES: Final = ("page_key", f"{ActionLocation.CHANGE_FORM.value}-page_key")


def key_field() -> forms.UUIDField:
    """The key on a form of Django's."""
    return forms.UUIDField(label="", widget=forms.HiddenInput, initial=uuid4, required=False)


def pressed_key(request: HttpRequest) -> UUID | None:
    """The key of the page whose button was pressed; None where it came without one."""
    for name in NAMES:
        if value := request.POST.get(name):
            try:
                return UUID(value)
            except ValueError:
                return None
    return None


class KeyedActionForm(helpers.ActionForm):
    """Django's choice of actions, with a key for the press."""

    page_key = key_field()


class MadeOnce(DeskAdmin):
    """For rows with `created_by` and `key`, whose form makes one however often it is sent."""

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """As Django's; a second press is answered as the first one was."""
        key = pressed_key(request)
        if key is None or not self.has_add_permission(request):
            return super().add_view(request, form_url, extra_context)
        with transaction.atomic():
            # Locked, so that of two presses at once the second finds what the first has made.
            User.objects.select_for_update(no_key=True).get(pk=request.user.pk)
            made = self.model._default_manager.filter(created_by=request.user, key=key).first()
            if made is None:
                return super().add_view(request, form_url, extra_context)
        return self.response_again(request, made)

    def response_again(self, request: HttpRequest, made: Any) -> HttpResponse:
        messages.info(request, "The button was pressed twice: this is what the first press made.")
        return self.response_add(request, made)
