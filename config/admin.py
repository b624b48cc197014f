"""What the lists and forms of all apps have in common in the admin."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import EmptyResultSet, PermissionDenied, ValidationError
from django.db.models import DateField, QuerySet, TimeField
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from config.history import change_message, forget_names, tell_owner

# Reading what somebody said is more than seeing that they did; administrators have it by role.
READS_TRANSCRIPTS = "conversations.view_transcript"


def is_administrator(request: HttpRequest) -> bool:
    """Whether the admin is open to the visitor without a limit."""
    return bool(getattr(request.user, "is_administrator", False))


def in_this_zone(value: Any) -> Any:
    """A time in the zone that forms are filled in; what has no zone is of it already."""
    if isinstance(value, datetime) and timezone.is_aware(value):
        return timezone.localtime(value)
    return value


class DeskList(ChangeList):
    """As Django's, which takes dates that no calendar has from an address and then breaks."""

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: Any = None
    ) -> "QuerySet[Any, Any]":
        try:
            found = super().get_queryset(request, exclude_parameters)
            found.query.get_compiler(found.db).as_sql()
        except (ValueError, OverflowError) as error:
            raise IncorrectLookupParameters(error) from error
        except EmptyResultSet:
            pass
        return found


class DeskAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The base of all.

    `carried`: the models of records that a deletion takes along. `told`: fields, inlines' too,
    of which the history says what they were and what they became. `secret`: fields that nobody
    finds out by the addresses of lists, which Django lets ask for any.
    """

    list_per_page = 50
    empty_value_display = "–"
    view_on_site = False
    carried: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        field = lookup.partition("__")[0]
        return field not in self.secret and super().lookup_allowed(lookup, value, request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return DeskList

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """As Django's; a date that the address gives is read, and left out where it is none."""
        initial = super().get_changeform_initial_data(request)
        for field in self.opts.concrete_fields:
            if field.name in initial and isinstance(field, DateField | TimeField):
                given = initial.pop(field.name)
                with suppress(ValidationError, OverflowError):
                    initial[field.name] = in_this_zone(field.to_python(given))
        return initial

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        title = capfirst(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> list[dict[str, Any]]:
        message = super().construct_change_message(request, form, formsets, add)
        return message if add else change_message(message, form, formsets, self.told)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """As Django's, which tells whoever may see none of these whether there is this one."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return super().history_view(request, object_id, extra_context)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """As Django's, but records that nobody may delete by themselves go with their owner."""
        found, counts, lacking, protected = super().get_deleted_objects(objs, request)
        names = {str(apps.get_model(label)._meta.verbose_name) for label in self.carried}
        return found, counts, {name for name in lacking if str(name) not in names}, protected


class PersonalAdmin(DeskAdmin):
    """For rows that are one person's. In the history no name outlives its row.

    Rows that their owner, too, may delete are named there at no time: `nameless`.
    """

    nameless = True

    def owner_of(self, row: Any) -> Any:
        """The account that a row belongs to; None where it is nobody's."""
        return row.user

    def is_personal(self, row: Any) -> bool:
        return True

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return self._logged(super().log_addition(request, obj, message), obj)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return self._logged(super().log_change(request, obj, message), obj)

    def _logged(self, entry: Any, row: Any) -> Any:
        if self.nameless and self.is_personal(row):
            forget_names([row])
        return entry

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """As Django's; whoever it belonged to finds the deletion in their own history."""
        rows = list(queryset)
        logged = super().log_deletions(request, queryset)
        personal = [row for row in rows if self.is_personal(row)]
        forget_names(personal)
        for row in personal:
            if owner := self.owner_of(row):
                tell_owner(request.user, owner, row)
        return logged


class RecordAdmin(DeskAdmin):
    """For what is a record: nobody adds, changes or deletes it here."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def badge(text: object, tone: str = "quiet") -> SafeString:
    """A word with a colour: `good`, `busy`, `warning`, `bad` or `quiet`."""
    return format_html('<span class="badge badge-{}">{}</span>', tone, text)


def number(value: int | None) -> str:
    """A count with thousands separated by commas; a dash where there is none."""
    return "–" if value is None else f"{value:,}"


def when(moment: datetime | None, *, time: bool = True) -> str:
    """A day, and the time unless a list is short of room; a dash where there is none."""
    if moment is None:
        return "–"
    local = timezone.localtime(moment)
    day = f"{local.day} {local:%b %Y}"
    words = f"{day}, {local:%H:%M}" if time else day
    html = '<time datetime="{}" class="when">{}</time>'
    return format_html(html, local.isoformat(), words)


def warning_list(texts: Iterable[object]) -> SafeString:
    """Warnings under one another."""
    return format_html_join("", '<p class="field-warning">{}</p>', ((text,) for text in texts))
