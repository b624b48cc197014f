from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from allauth.account.decorators import secure_admin_login
        from allauth.account.signals import email_confirmed
        from django.contrib import admin
        from django.contrib.auth.signals import user_logged_in

        from accounts import former, fresh
        from accounts.models import record_sign_in
        from accounts.signed_in import note_sign_in

        user_logged_in.connect(record_sign_in, dispatch_uid="accounts.record_sign_in")
        user_logged_in.connect(fresh.note_sign_in, dispatch_uid="accounts.fresh.note_sign_in")
        user_logged_in.connect(note_sign_in, dispatch_uid="accounts.note_sign_in")
        email_confirmed.connect(former.remember, dispatch_uid="accounts.former.remember")
        # One way in for everybody: the admin's own page knows neither codes nor rate limits.
        admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
