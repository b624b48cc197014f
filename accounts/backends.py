"""Who may do what: roles stand above the permissions that staff give one by one."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.db.models import Model

from accounts.models import Role, User


class RoleBackend(ModelBackend):
    """Permissions by role: `ADMIN` has all of them."""

    def has_perm(self, user_obj: Any, perm: str, obj: Model | None = None) -> bool:
        if _is_administrator(user_obj):
            return True
        return super().has_perm(user_obj, perm, obj)

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        return _is_administrator(user_obj) or super().has_module_perms(user_obj, app_label)


def _is_administrator(user: Any) -> bool:
    return isinstance(user, User) and user.is_active and user.role == Role.ADMIN
