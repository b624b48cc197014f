"""People and groups in the admin."""

from typing import Any, ClassVar

from allauth.account.admin import EmailAddressAdmin
from allauth.account.models import EmailAddress
from allauth.mfa.base.internal.flows import delete_dangling_recovery_codes
from allauth.mfa.models import Authenticator
from allauth.socialaccount.admin import SocialAccountAdmin
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django import forms
from django.contrib import admin
from django.contrib.admin.options import InlineModelAdmin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from accounts.models import Role, User
from config.admin import DeskAdmin, PersonalAdmin, RecordAdmin, badge, number, when

TONES = {Role.GUEST: "quiet", Role.USER: "good", Role.POWER_USER: "busy", Role.ADMIN: "warning"}
# What makes somebody staff, or more than that.
POWERS = ("role", "is_staff", "is_superuser", "groups", "user_permissions")

# Google is set up by environment alone: a second app in the database would clash with it, and
# nobody needs to read anybody's tokens.
admin.site.unregister([Authenticator, SocialApp, SocialToken])
admin.site.unregister([Group, EmailAddress, SocialAccount])


class NewUserForm(AdminUserCreationForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ("email", "name", "role")
        field_classes = {"email": forms.EmailField}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["usable_password"]
        field.label = "Sign in with a password"
        field.help_text = "Without one they sign in by a code sent to their address."

    def clean_email(self) -> str:
        return User.objects.normalize_email(self.cleaned_data["email"])


@admin.register(User)
class UserAdmin(DeskAdmin, DjangoUserAdmin):  # type: ignore[type-arg]
    add_form = NewUserForm
    carried = ("usage.Hold", "usage.PersonalAllowance", "mfa.Authenticator", "accounts.Device")
    told: tuple[str, ...] = ("role", "is_active", "is_staff")
    # Apps that keep something about people add theirs.
    inlines: ClassVar[list[type[InlineModelAdmin]]] = []  # type: ignore[type-arg]
    list_display = ["email", "name", "role_badge", "is_staff", "is_active", "last_seen"]
    list_filter = ["role", "is_staff", "is_active", "groups"]
    search_fields = ["email", "name", "=id"]
    search_help_text = "Address or name; or the whole id of a user."
    ordering = ["email"]
    date_hierarchy = "created_at"
    readonly_fields = ["id", "google_id", "avatar_url", "last_login_at", "created_at", "updated_at"]
    fieldsets = [
        (None, {"fields": ["email", "name", "password"]}),
        (
            "What they may do",
            {
                "fields": ["is_active", "role", "is_staff", "groups", "user_permissions"],
                "description": "An administrator may do everything. Other staff may do what "
                "their groups and permissions say, once “Staff” opens the admin to them.",
            },
        ),
        ("Account", {"fields": [*readonly_fields], "classes": ["collapse"]}),
    ]
    add_fieldsets = [
        (
            None,
            {
                "fields": ["email", "name", "role", "usable_password", "password1", "password2"],
            },
        )
    ]

    @admin.display(description="Last signed in", ordering="last_login_at")
    def last_seen(self, user: User) -> str:
        return when(user.last_login_at)

    @admin.display(description="Role", ordering="role")
    def role_badge(self, user: User) -> SafeString:
        return badge(user.get_role_display(), TONES[Role(user.role)])

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What somebody wrote for themselves is named to administrators alone."""
        found, counts, lacking, protected = super().get_deleted_objects(objs, request)
        if not _is_administrator(request):
            found, protected = [str(obj) for obj in objs], [""] * len(protected)
        return found, counts, lacking, protected

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        return self.inlines if obj else []

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if _is_administrator(request):
            return fieldsets
        hidden = "role" if obj is None else "password"
        return [
            (title, {**options, "fields": [f for f in options["fields"] if f != hidden]})
            for title, options in fieldsets
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Only administrators hand out powers: otherwise staff could promote themselves.

        An address is where codes go: who changes it could read what was said as its owner.
        """
        if _is_administrator(request):
            return self.readonly_fields
        return [*self.readonly_fields, *POWERS, *(["email"] if obj else [])]

    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        """For administrators alone, for the same reason."""
        if not _is_administrator(request):
            raise PermissionDenied
        return super().user_change_password(request, id, form_url)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Staff accounts are for administrators: a changed address or password opens them."""
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or _is_administrator(request) or not _has_powers(obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not staff, whose doings stand in the history, nor somebody whose reply is under way."""
        allowed = super().has_delete_permission(request, obj)
        return allowed and (
            obj is None or not (_has_powers(obj) or obj.holds.filter(settled_at=None).exists())
        )


@admin.register(Authenticator)
class SecondFactorAdmin(RecordAdmin, PersonalAdmin):
    """For the day when phone and codes are lost. What is secret in it nobody reads."""

    list_display = ["user", "type", "created", "used"]
    list_filter = ["type"]
    list_select_related = ["user"]
    search_fields = ["user__email", "user__name"]
    search_help_text = "Address or name."
    fields = ["user", "type", "created_at", "last_used_at"]
    secret = ("data",)

    @admin.display(description="Added", ordering="created_at")
    def created(self, authenticator: Any) -> str:
        return when(authenticator.created_at)

    @admin.display(description="Last used", ordering="last_used_at")
    def used(self, authenticator: Any) -> str:
        return when(authenticator.last_used_at)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_administrator(request)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Recovery codes go with the last of what they stand in for."""
        super().delete_model(request, obj)
        delete_dangling_recovery_codes(obj.user)


class ForAdministrators(DeskAdmin):
    """What opens an account or hands out powers: others may look, as their permissions say.

    A proven address or a Google account signs in to whomever it is given to.
    """

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_administrator(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_administrator(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_administrator(request)


@admin.register(EmailAddress)
class AddressAdmin(ForAdministrators, PersonalAdmin, EmailAddressAdmin):
    @admin.action(description="Mark selected email addresses as verified", permissions=["change"])
    def make_verified(self, request: HttpRequest, queryset: QuerySet[EmailAddress]) -> None:
        """Allauth's own asks for no permission."""
        super().make_verified(request, queryset)


@admin.register(SocialAccount)
class GoogleAccountAdmin(ForAdministrators, PersonalAdmin, SocialAccountAdmin):
    pass


@admin.register(Group)
class GroupAdmin(ForAdministrators, DjangoGroupAdmin):
    list_display = ["name", "members", "powers"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return (
            super()
            .get_queryset(request)
            .annotate(
                members_count=Count("user", distinct=True),
                powers_count=Count("permissions", distinct=True),
            )
        )

    @admin.display(description="Members", ordering="members_count")
    def members(self, group: Any) -> str:
        return number(group.members_count)

    @admin.display(description="Permissions", ordering="powers_count")
    def powers(self, group: Any) -> str:
        return number(group.powers_count)


def _is_administrator(request: HttpRequest) -> bool:
    user = request.user
    return isinstance(user, User) and (user.is_superuser or user.role == Role.ADMIN)


def _has_powers(user: User) -> bool:
    return user.is_staff or user.is_superuser or user.role == Role.ADMIN
