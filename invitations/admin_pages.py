"""Pages with an invitation's link on them: the mail before it is sent, and a sheet to print.

A link is a secret, so that these are for staff who may see it on the form too; no cache keeps
them, and no other site learns their address.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final
from uuid import uuid4

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.csp import CSP
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.csp import csp_override
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from accounts.mail import readable
from invitations.admin_actions import InvitationActions
from invitations.csrf import refuse_forgery
from invitations.mailing import message
from invitations.models import Invitation
from invitations.qr import qr_svg

# A mail has its styles inline. It is shown in a frame that runs, loads and sends nothing.
MAIL_POLICY: Final = {
    "default-src": [CSP.NONE],
    "style-src": [CSP.UNSAFE_INLINE],
    "base-uri": [CSP.NONE],
    "form-action": [CSP.NONE],
    "frame-ancestors": [CSP.SELF],
    "sandbox": ("",),
}

Page = Callable[..., HttpResponse]


def of_a_secret(view: Page) -> Page:
    """Find the invitation, for staff who may see its link, and keep the page to them."""

    @wraps(view)
    def wrapped(admin: "InvitationPages", request: HttpRequest, object_id: str) -> HttpResponse:
        # The same answer for every id, so that it tells nothing of which there are.
        if not admin.has_change_permission(request):
            raise PermissionDenied
        found = admin.get_queryset(request).select_related("scenario", "created_by")
        invitation = found.filter(pk=object_id).first()
        if invitation is None:
            raise Http404
        if not admin.may_see_link(request, invitation):
            raise PermissionDenied
        if request.method == "GET" and invitation.opens_what_was_said:
            admin.record_sight(request, invitation)
        response = view(admin, request, invitation)
        response["Referrer-Policy"] = "no-referrer"
        response["Cache-Control"] = "no-store"
        return response

    return wrapped


class InvitationPages(InvitationActions):
    """The preview and the sheet, beside the form."""

    def get_urls(self) -> list[Any]:
        pages = {
            "preview/": require_http_methods(["GET", "HEAD", "POST"])(self.preview),
            "preview/html/": require_safe(self.preview_html),
            "sheet/": require_safe(self.sheet),
        }
        return [
            path(
                f"<path:object_id>/{tail}",
                self.admin_site.admin_view(view),
                name=f"invitations_invitation_{tail.strip('/').replace('/', '_')}",
            )
            for tail, view in pages.items()
        ] + super().get_urls()

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """Offers the mail to look at where it may be seen: it holds the link."""
        invitation = kwargs.get("obj")
        may_see = invitation is None or self.may_see_link(request, invitation)
        return super().render_change_form(
            request, context | {"may_see_mail": may_see}, *args, **kwargs
        )

    def record_sight(self, request: HttpRequest, invitation: Invitation) -> None:
        """Note that somebody of the staff saw a link that opens what was said."""
        self.log_change(request, invitation, "Looked at the link, which opens what was said.")

    # Its own check of forgeries: under `no-referrer` a browser keeps its origin to itself.
    @csrf_exempt
    def preview(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The mail as the recipient will see it; POST sends it."""
        return refuse_forgery(request) or self._preview(request, object_id)

    @of_a_secret
    def _preview(self, request: HttpRequest, invitation: Invitation) -> HttpResponse:
        if request.method == "POST":
            self.send_later(request, [invitation])
            return HttpResponseRedirect(self.form_url(invitation), status=303)
        mail = message(invitation)
        context = {
            **self.admin_site.each_context(request),
            "title": "The mail",
            "opts": self.opts,
            "invitation": invitation,
            "original": invitation,
            "mail": mail,
            "to": [readable(one) for one in mail.to],
            "reply_to": [readable(one) for one in mail.reply_to],
            "page_key": uuid4(),
        }
        return TemplateResponse(request, "admin/invitations/invitation/preview.html", context)

    @xframe_options_sameorigin
    @csp_override(MAIL_POLICY)
    @of_a_secret
    def preview_html(self, request: HttpRequest, invitation: Invitation) -> HttpResponse:
        """The mail's HTML, for the frame in `preview`."""
        html = str(message(invitation).alternatives[0][0])
        # A new window is what the sandbox forbids: the button is there to look at.
        return HttpResponse(html.replace("<head>", '<head><base target="_blank">', 1))

    @of_a_secret
    def sheet(self, request: HttpRequest, invitation: Invitation) -> HttpResponse:
        """One page to print: who invites to what, until when, the link as text and as a QR code."""
        if not invitation.is_open:
            return HttpResponseRedirect(self.form_url(invitation))
        context = {
            "invitation": invitation,
            "scenario": invitation.offered_scenario,
            "qr": qr_svg(invitation.url),
        }
        return TemplateResponse(request, "admin/invitations/invitation/sheet.html", context)

    def to_preview(self, invitation: Invitation) -> HttpResponse:
        url = reverse("admin:invitations_invitation_preview", args=[invitation.pk])
        return HttpResponseRedirect(url, status=303)

    def form_url(self, invitation: Invitation) -> str:
        return reverse("admin:invitations_invitation_change", args=[invitation.pk])
