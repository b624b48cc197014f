"""A guest takes their own link along: to show, to scan, or by mail to an address they type.

The address is used once and kept nowhere. The link stands in the page alone, which no cache
keeps; its own address holds only the invitation's id.
"""

import logging
from smtplib import SMTPException
from typing import Any, Final
from uuid import uuid4

from django import forms
from django.contrib import messages
from django.core.mail import EmailMessage
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_http_methods

from config import addresses
from config.limits import Limit
from invitations import claims
from invitations.mailing import ABOUT, one_line
from invitations.models import Invitation
from invitations.presses import pressed_key
from invitations.qr import qr_svg

logger = logging.getLogger(__name__)

# A few typing errors' worth: nobody is to be pestered by way of somebody's invitation.
MAILS: Final = Limit("own-link-mails", 3, 24 * 60 * 60)
# Nor by way of a group's link, where each place is an invitation more.
MAILS_TO: Final = Limit("own-link-mails-to", 3, 24 * 60 * 60)
MAILS_FROM: Final = Limit("own-link-mails-from", 60, 60 * 60)


class AddressForm(forms.Form):
    email = forms.EmailField(
        label="Your email address",
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
        help_text="For this one mail; it is not kept.",
    )


@require_http_methods(["GET", "HEAD", "POST"])
def own_link(request: HttpRequest, pk: str) -> HttpResponse:
    """Show a guest the link that their browser holds; POST mails it, or replaces it."""
    if request.method == "POST" and request.POST.get("action") == "replace":
        return replace(request, pk)
    invitation = held(request.session, pk)
    form = AddressForm(request.POST if "email" in request.POST else None)
    if request.method == "POST" and form.is_valid():
        if not invitation.press(pressed_key(request)):
            messages.info(request, "You pressed that twice: one mail goes out.")
            return HttpResponseRedirect(request.path, status=303)
        if mailed(request, invitation, form):
            messages.success(request, f"Sent to {form.cleaned_data['email']}.")
            return HttpResponseRedirect(request.path, status=303)
    last = invitation.sessions.order_by("status", "-started_at").first()  # active before ended
    context = {
        "invitation": invitation,
        "conversation": last,
        "form": form,
        "page_key": uuid4(),
        "qr": qr_svg(invitation.url, "QR code of your link"),
    }
    response = render(request, "invitations/own_link.html", context)
    response["Cache-Control"] = "no-store"
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response


@transaction.atomic
def replace(request: HttpRequest, pk: str) -> HttpResponse:
    """Close every copy of the link that somebody may have, and show the guest a new one.

    Of two presses at once the second waits, and then finds what the first left in the session.
    """
    Invitation.objects.select_for_update(of=("self",)).filter(pk=pk).first()
    invitation = held(request.session.load(), pk)
    if invitation.press(pressed_key(request)):
        claims.replace_link(request, invitation)
        messages.success(request, "Every older copy of your link is closed. This is the new one.")
    return HttpResponseRedirect(request.path, status=303)


def held(session: Any, pk: str) -> Invitation:
    """The open invitation that this browser holds as a guest's. Raises `Http404` without one."""
    found = Invitation.objects.open().held_by(claims.held_invitations(session))
    invitation = found.select_related("scenario", "created_by").filter(pk=pk).first()
    if invitation is None:
        raise Http404
    return invitation


def mailed(request: HttpRequest, invitation: Invitation, form: AddressForm) -> bool:
    """Mail the link to the address of a valid form; else the form says why not."""
    if not may_mail(request, invitation, form.cleaned_data["email"]):
        form.add_error("email", "Enough mails for today. Copy the link instead, or come back.")
        return False
    try:
        message(invitation, form.cleaned_data["email"]).send()
    except (OSError, SMTPException, ValueError) as error:
        logger.warning("A guest's own link was not mailed: %s", type(error).__name__)
        form.add_error("email", "The mail could not be sent. Copy the link instead.")
        return False
    return True


def may_mail(request: HttpRequest, invitation: Invitation, email: str) -> bool:
    """Count a mail by its invitation, its address and the network that asks for it."""
    return (
        MAILS.take(invitation.pk)
        and MAILS_FROM.take(addresses.network(addresses.of_request(request)))
        and MAILS_TO.take(email.casefold())
    )


def message(invitation: Invitation, email: str) -> EmailMessage:
    """Return the mail: nothing in it was typed by whoever asks for it."""
    context = {"invitation": invitation, "scenario": invitation.scenario, "url": invitation.url}
    name = invitation.scenario.name if invitation.scenario else "your conversation"
    return EmailMessage(
        subject=one_line(f"Your own link: {name}"),
        body=render_to_string("invitations/mail/own_link.txt", context).strip() + "\n",
        to=[email],
        headers={"Auto-Submitted": "auto-generated", ABOUT: invitation.pk},
    )
