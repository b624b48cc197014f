"""Erasing people in the admin: an account in a week or now, and what a guest left behind."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import ActionLocation
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from accounts import leaving
from accounts.admin import UserAdmin
from accounts.models import User
from config.admin import DeskAdmin, warning_list
from conversations import erasure
from conversations.belongings import Belongings
from conversations.entrance import lacks_budget, newest
from conversations.models import ConversationSession
from conversations.shortage import LearnersStatusFilter, short
from conversations.viewings import Viewing
from invitations.admin import InvitationAdmin
from invitations.models import Invitation, Status

EVERYWHERE = [ActionLocation.CHANGE_LIST, ActionLocation.CHANGE_FORM]
Deleted = tuple[list[Any], dict[str, int], set[str], list[Any]]

admin.site.unregister([User, Invitation])


@admin.register(User)
class PersonAdmin(UserAdmin):
    actions = ["erase_later"]
    readonly_fields = [*UserAdmin.readonly_fields, "erase_at"]
    fieldsets = [*UserAdmin.fieldsets, ("Erasure", {"fields": ["erase_at"]})]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Of somebody erased only a row is left, for records to point to."""
        gone = obj is not None and obj.is_erased
        return not gone and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        gone = obj is not None and obj.is_erased
        return not gone and super().has_delete_permission(request, obj)

    @admin.action(
        description="Erase in a week…",
        description_plural="Erase selected users in a week…",
        permissions=["delete"],
        location=EVERYWHERE,
    )
    def erase_later(self, request: HttpRequest, users: QuerySet[User]) -> HttpResponse | None:
        """The same that people may ask for themselves, with the same mail and the same week."""
        if "confirmed" not in request.POST:
            return ask(self, request, users, "erase_later", "Erase in a week?")
        for user in users:
            if not self.has_delete_permission(request, user):
                messages.error(request, f"{user} was left: you may not erase them.")
                continue
            leaving.ask(user)
            self.log_change(request, user, "Asked for the erasure.")
            messages.success(request, f"{user} will be erased on {user.erase_at:%d %B %Y}.")
        return None

    def get_deleted_objects(self, objs: Iterable[Any], request: HttpRequest) -> Deleted:
        """What an erasure takes: not what Django's cascade would reach."""
        people = list(objs)
        counts = {"users": len(people), "conversations": 0, "invitations emptied": 0}
        for user in people:
            mine = Belongings(user)
            counts["conversations"] += mine.conversations.count()
            counts["invitations emptied"] += mine.received.count()
        allowed = all(self.has_delete_permission(request, user) for user in people)
        lacking = set() if allowed else {str(self.opts.verbose_name)}
        return [str(user) for user in people], counts, lacking, []

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        erasure.erase(obj.pk)


@admin.register(Invitation)
class GuestAdmin(InvitationAdmin):
    actions = [*InvitationAdmin.actions, "erase_guest"]

    list_filter = [LearnersStatusFilter, *InvitationAdmin.list_filter[1:]]
    readonly_fields = [*InvitationAdmin.readonly_fields, "shortage"]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """With what its learners read of each row on the page."""
        changes = super().get_changelist_instance(request)
        rows = list(changes.result_list)
        known = [one.ids for one in changes.filter_specs if isinstance(one, LearnersStatusFilter)]
        on_page = Invitation.objects.filter(pk__in=[row.pk for row in rows])
        ids = next((ids for ids in known if ids is not None), None) or short(on_page)
        for row in rows:
            row.lacks_budget = row.pk in ids
        changes.result_list = rows
        return changes

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Before the rest that its holder can say no more, though tokens are left."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or obj.status == Status.USED_UP or not obj.is_open:
            return fieldsets
        is_short = obj.lacks_budget = lacks_budget(obj, newest(obj))
        return [(None, {"fields": ["shortage"]}), *fieldsets] if is_short else fieldsets

    def standing_of(self, invitation: Invitation) -> Status:
        lacks = getattr(invitation, "lacks_budget", False)
        return Status.USED_UP if lacks else invitation.status

    @admin.display(description="Budget")
    def shortage(self, invitation: Invitation) -> str:
        words = "What is left is not enough for another exchange: its holder reads that it is"
        return warning_list([f"{words} used up. Add tokens to let them go on."])

    def record_sight(self, request: HttpRequest, invitation: Invitation) -> None:
        """As a reading too, of all that the link opens: its learner may ask who read."""
        opened = list(guests_conversations([invitation]).values_list("pk", flat=True))
        if Viewing.record_link(opened, request.user):
            super().record_sight(request, invitation)

    def has_erase_permission(self, request: HttpRequest) -> bool:
        """Who may delete conversations may erase what guests left."""
        return request.user.has_perm("conversations.delete_conversationsession")

    @admin.action(
        description="Erase the guest…",
        description_plural="Erase the guests…",
        permissions=["erase"],
        location=EVERYWHERE,
    )
    def erase_guest(
        self, request: HttpRequest, invitations: QuerySet[Invitation]
    ) -> HttpResponse | None:
        """What was said without an account, and to whom the invitation went."""
        if "confirmed" not in request.POST:
            return ask(self, request, invitations, "erase_guest", "Erase the guest?")
        for invitation in invitations:
            try:
                count = erasure.erase_guest(invitation)
            except ValueError:
                messages.error(request, f"{invitation} belongs to an account: erase that instead.")
                continue
            invitation.refresh_from_db()
            self.log_change(request, invitation, "Erased the guest.")
            messages.success(request, f"Erased, with conversations: {count}.")
        return None

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What a guest said goes with their invitation: that is another permission."""
        if not super().has_delete_permission(request, obj):
            return False
        return (
            obj is None
            or self.has_erase_permission(request)
            or not guests_conversations([obj]).exists()
        )

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """Says what the account that took it up may go on with, and out of what."""
        mine = ConversationSession.objects.active().filter(invitation=object_id)
        goes_on = mine.exclude(user=None).count()
        return super().delete_view(request, object_id, {"goes_on": goes_on} | (extra_context or {}))

    def get_deleted_objects(self, objs: Iterable[Any], request: HttpRequest) -> Deleted:
        """As Django's, with the conversations that go, which it would only unlink."""
        rows = list(objs)
        found, counts, lacking, protected = super().get_deleted_objects(rows, request)
        if count := guests_conversations(rows).count():
            counts = {**counts, "conversations": count}
        return found, counts, lacking, protected

    def delete_model(self, request: HttpRequest, obj: Invitation) -> None:
        """Without its invitation nobody could say any more whose a guest's conversation is."""
        if not obj.linked_user_id:
            erasure.erase_guest(obj)
        super().delete_model(request, obj)


def guests_conversations(invitations: Iterable[Invitation]) -> QuerySet[ConversationSession]:
    """What guests said on `invitations`, which no account owns and nobody could find any more."""
    return ConversationSession.objects.filter(invitation__in=list(invitations), user=None)


def ask(
    page: DeskAdmin, request: HttpRequest, rows: QuerySet[Any], action: str, title: str
) -> HttpResponse:
    """The page that asks before an erasure; it posts the same action once more."""
    on_form = f"{ActionLocation.CHANGE_FORM.value}-action" in request.POST
    context = {
        **page.admin_site.each_context(request),
        "title": title,
        "opts": page.opts,
        "rows": rows,
        "action": action,
        "action_field": "CHANGE_FORM-action" if on_form else "action",
    }
    return TemplateResponse(request, "admin/conversations/erase.html", context)
