"""Bulk invitations in the admin: paste or upload, look, send, and watch them go out."""

from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from config.admin import DeskAdmin, RecordAdmin, badge, number, when
from invitations import sending
from invitations.admin_bulk_form import BulkForm
from invitations.admin_offers import AsInvitations
from invitations.bulk import Batch, DeliveryQuerySet, Halt, State
from invitations.exports import deliveries_csv
from invitations.preview import Preview

FIELDSETS: Final = [
    ("Who", {"fields": ["recipients", "file"]}),
    ("What", {"fields": ["scenario", "preset", "tokens", "expires_at", "personal_note"]}),
]


class BatchAdmin(AsInvitations, DeskAdmin):
    list_display = ["made", "scenario", "progress", "created_by"]
    list_display_links = ["made"]
    list_filter = [
        ("scenario", admin.RelatedOnlyFieldListFilter),
        ("created_by", admin.RelatedOnlyFieldListFilter),
    ]
    search_fields = ["scenario__name", "created_by__email", "=id"]
    search_help_text = "Scenario or inviter; or the whole id of a bulk invitation."
    list_select_related = ["scenario", "created_by"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Batch]:
        return Batch.objects.with_counts()

    @admin.display(description="Made", ordering="created_at")
    def made(self, batch: Batch) -> str:
        return when(batch.created_at)

    @admin.display(description="Sent")
    def progress(self, batch: Any) -> SafeString:
        words = f"{number(batch.sent)} of {number(batch.total)}"
        troubled = batch.failed + batch.unclear
        trouble = badge(f"{troubled} not", "warning") if troubled else ""
        return format_html("{} {}", words, trouble)

    # --- A new one ---------------------------------------------------------------------------

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The form, and under *Look first* what it would do; only then can it be sent."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        assert request.user.is_authenticated
        form = BulkForm(request.POST or None, request.FILES or None)
        form.instance.created_by = request.user
        preview = None
        if request.method == "POST" and form.is_valid():
            if "_send" in request.POST and (batch := self._send(request, form)):
                return see(batch)
            preview = form.preview()
            form = form.with_list(preview)
        return self._form_page(request, form, preview)

    @transaction.atomic
    def _send(self, request: HttpRequest, form: BulkForm) -> Batch | None:
        """The batch that the form makes or made; None where it is not what was looked at."""
        _one_at_a_time()
        if batch := self._sent_already(form):
            return batch
        preview = form.preview()
        if request.POST.get("seen") != preview.digest:
            words = "Nothing was sent: it is not what you looked at any more. Look again."
            messages.warning(request, words)
            return None
        return self._begin(request, form, preview) if preview.people else None

    def _sent_already(self, form: BulkForm) -> Batch | None:
        """The batch of a button that was pressed twice."""
        mine = Batch.objects.filter(created_by=form.instance.created_by)
        return mine.filter(key=form.instance.key).first()

    def _begin(self, request: HttpRequest, form: BulkForm, preview: Preview) -> Batch:
        batch, is_new = sending.begin(form.instance, preview.people)
        if is_new:
            self.log_addition(request, batch, f"Invited {number(len(preview.people))} people.")
            for words in preview.left_out:
                messages.warning(request, words)
        return batch

    def _form_page(
        self, request: HttpRequest, form: BulkForm, preview: Preview | None
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": "Invite many people",
            "opts": self.opts,
            "form": form,
            "adminform": helpers.AdminForm(form, FIELDSETS, {}, model_admin=self),
            "errors": helpers.AdminErrorList(form, []),
            "preview": preview,
            "media": self.media + form.media,
        }
        return TemplateResponse(request, "admin/invitations/batch/add.html", context)

    # --- One that is under way ---------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """How far it is. Looking sends nothing; a button does."""
        # The same answer for every id, so that it tells nothing of which there are.
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_queryset(request).select_related("scenario", "created_by")
        batch: Any = found.filter(pk=object_id).first()
        if batch is None:
            raise Http404
        if request.method == "POST":
            return self._act(request, batch)
        if "csv" in request.GET:
            return self._csv(batch)
        return self._progress_page(request, batch)

    def _progress_page(self, request: HttpRequest, batch: Any) -> HttpResponse:
        is_due = batch.waiting and not batch.halted
        running = bool(batch.sending or (is_due and batch.is_leased))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Bulk invitation: {batch.scenario or 'any scenario'}",
            "opts": self.opts,
            "batch": batch,
            "rows": batch.deliveries.select_related("invitation"),
            "done": batch.sent + batch.failed + batch.unclear,
            "running": running,
            # Its sender is gone; a server takes it up again, unless a person does before.
            "interrupted": bool(is_due and not running),
            "may_change": self.has_change_permission(request, batch),
            "unreachable": batch.halted == Halt.UNREACHABLE,
        }
        return TemplateResponse(request, "admin/invitations/batch/progress.html", context)

    def _act(self, request: HttpRequest, batch: Batch) -> HttpResponse:
        """What a button of the progress page asks for."""
        if not self.has_change_permission(request, batch):
            raise PermissionDenied
        batch.deliveries.give_up_lost()
        deliveries = chosen(batch, request.POST.get("delivery", ""))
        match request.POST.get("action"):
            case "stop":
                batch.halt()
                self.log_change(request, batch, "Stopped sending.")
            case "go-on":
                batch.go_on()
                self.log_change(request, batch, "Went on sending.")
            case "again":
                count = deliveries.send_again()
                batch.go_on()
                self.log_change(request, batch, f"Had {count} sent again.")
            case "arrived":
                count = deliveries.take_as_sent()
                self.log_change(request, batch, f"Took {count} unclear ones as sent.")
        batch.refresh_from_db()
        sending.start(batch)
        return see(batch)

    def _csv(self, batch: Batch) -> HttpResponse:
        response = HttpResponse(deliveries_csv(batch), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="invitations.csv"'
        return response


class DeliveryAdmin(RecordAdmin):
    """Reached from its bulk invitation; it has no place of its own on the desk."""

    list_display = ["invitation", "batch", "state"]
    list_select_related = ["invitation", "batch__scenario"]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("invitations.view_invitation")

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        return {}


def _one_at_a_time() -> None:
    """Until the transaction ends, let nobody else invite many.

    So that of forms sent at once, by whomever, each sees whom the one before has invited. The row
    is that of the model: it is always there, and what refers to it goes on.
    """
    locked = ContentType.objects.select_for_update(no_key=True)
    locked.get(app_label="invitations", model="batch")


def chosen(batch: Batch, which: str) -> DeliveryQuerySet:
    """The deliveries that a button is about: all that failed, all unclear ones, or one."""
    deliveries: DeliveryQuerySet = batch.deliveries.all()
    if which in (State.FAILED, State.UNCLEAR):
        return deliveries.in_state(State(which))
    is_id = which.isdecimal() and len(which) < 19
    return deliveries.filter(pk=int(which)) if is_id else deliveries.none()


def see(batch: Batch) -> HttpResponse:
    """Lead to the progress page, by GET."""
    url = reverse("admin:invitations_batch_change", args=[batch.pk])
    return HttpResponseRedirect(url, status=303)
