"""People: learners and staff, signed in by email."""

from datetime import datetime
from typing import Any, ClassVar

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.ids import new_id

# Where the addresses of erased people's rows end; nobody can ever have one there (RFC 2606).
ERASED_DOMAIN = "erased.invalid"


class Role(models.TextChoices):
    GUEST = "GUEST", "Guest"
    USER = "USER", "User"
    POWER_USER = "POWER_USER", "Power user"
    ADMIN = "ADMIN", "Administrator"


class UserManager(BaseUserManager["User"]):
    use_in_migrations = True

    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """Return the address in lower case: mailboxes that differ only in case are one person."""
        return (email or "").strip().lower()

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=self.normalize_email(username))

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create a user; without a password they sign in by emailed code."""
        if not email:
            raise ValueError("A user needs an email address.")
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create an administrator: every permission, and the admin open."""
        return self.create_user(
            email, password, **{"role": Role.ADMIN, "is_staff": True, "is_superuser": True} | fields
        )


class User(AbstractBaseUser, PermissionsMixin):
    id = models.CharField(primary_key=True, max_length=32, default=new_id, editable=False)
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200, blank=True)
    avatar_url = models.URLField(max_length=500, null=True, blank=True)
    google_id = models.CharField(max_length=255, unique=True, null=True, blank=True)
    role = models.CharField(max_length=16, choices=Role, default=Role.GUEST)
    is_staff = models.BooleanField(
        "staff", default=False, help_text="May open the admin, as far as their permissions go."
    )
    is_active = models.BooleanField(
        "active", default=True, help_text="Turn this off instead of deleting somebody."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    last_login_at = models.DateTimeField(null=True, blank=True, editable=False)
    # `accounts.leaving` sets it; from then on whoever looks carries the erasure out.
    erase_at = models.DateTimeField("erased on", null=True, blank=True, editable=False)
    # Sessions of an earlier era are over, whatever they say.
    session_era = models.PositiveIntegerField(default=0, editable=False)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        ordering = ["email"]
        indexes = [
            models.Index(fields=["google_id"], name="user_google_id"),
            models.Index(
                fields=["erase_at"],
                condition=models.Q(erase_at__isnull=False),
                name="user_erase_at",
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="user_role_known")
        ]

    def __str__(self) -> str:
        return self.name or self.email

    @property
    def last_login(self) -> datetime | None:
        """Django's name for `last_login_at`; password reset tokens read it."""
        return self.last_login_at

    @last_login.setter
    def last_login(self, value: datetime | None) -> None:
        self.last_login_at = value

    def clean(self) -> None:
        self.email = type(self).objects.normalize_email(self.email)

    @property
    def is_administrator(self) -> bool:
        """Whether everything is open to them."""
        return self.is_active and (self.is_superuser or self.role == Role.ADMIN)

    @property
    def writes_scenarios(self) -> bool:
        """Whether they may write private scenarios and rehearse them."""
        return self.is_administrator or (self.is_active and self.role == Role.POWER_USER)

    @property
    def is_erased(self) -> bool:
        """Whether only a row is left, because other people's records point to it."""
        return self.email.endswith(f"@{ERASED_DOMAIN}")

    @property
    def has_left(self) -> bool:
        """Whether nobody is there any more whom one could ask for something."""
        return self.is_erased or not self.is_active

    @property
    def masked_email(self) -> str:
        """Enough of the address to know one's own by, and no more."""
        name, _, domain = self.email.partition("@")
        return f"{name[:1]}…@{domain}"

    @property
    def has_proven_email(self) -> bool:
        """Whether somebody showed, by a code or through Google, that the mailbox is theirs."""
        return EmailAddress.objects.filter(user=self, email=self.email, verified=True).exists()

    def owns(self, address: str) -> bool:
        """Whether `address` is that of the account, or another one that it has proven."""
        if address.casefold() == self.email.casefold():
            return True
        proven = EmailAddress.objects.filter(user=self, verified=True)
        return proven.filter(email__iexact=address).exists()

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """As Django's, of the password; ending all sessions changes it as well."""
        if not self.session_era:
            return super()._get_session_auth_hash(secret)  # type: ignore[misc]
        value = f"{self.password} {self.session_era}"
        return salted_hmac("accounts.session", value, secret=secret, algorithm="sha256").hexdigest()

    def end_sessions(self) -> None:
        """Sign the person out wherever they are signed in."""
        type(self).objects.filter(pk=self.pk).update(session_era=models.F("session_era") + 1)
        self.refresh_from_db(fields=["session_era"])

    def signed_in(self) -> None:
        """Record a sign-in and what it makes of the account, where its address is proven.

        The first one makes a guest a user (later ones do not: staff may have meant it), and an
        address in `ADMIN_EMAILS` becomes an administrator.
        """
        role, is_staff = self.role, self.is_staff
        if role == Role.GUEST and self.last_login_at is None and self.has_proven_email:
            role = Role.USER
        if self.email in settings.ADMIN_EMAILS and self.has_proven_email:
            role, is_staff = Role.ADMIN, True
        fields = ["last_login_at"]
        if (role, is_staff) != (self.role, self.is_staff):
            fields += ["role", "is_staff", "updated_at"]
        self.last_login_at, self.role, self.is_staff = timezone.now(), role, is_staff
        self.save(update_fields=fields)

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name.split(" ")[0] if self.name else self.email


class Device(models.Model):
    """A browser that somebody is signed in with, as they would know it again."""

    id = models.CharField(primary_key=True, max_length=32, default=new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="devices")
    session_key = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=100)
    # Never the whole address.
    network = models.CharField(max_length=40, blank=True)
    last_seen_at = models.DateTimeField()

    class Meta:
        ordering = ["-last_seen_at"]

    def __str__(self) -> str:
        return self.name


class FormerAddress(models.Model):
    """An address that somebody had proven and then gave up for another.

    Kept with the account so that what was sent there is told in its export and goes when it goes.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="former_addresses")
    email = models.EmailField()
    until = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "former addresses"
        ordering = ["until"]
        indexes = [models.Index(fields=["email"], name="formeraddress_email")]
        constraints = [
            models.UniqueConstraint(fields=["user", "email"], name="formeraddress_once"),
        ]

    def __str__(self) -> str:
        return f"Until {self.until:%d %b %Y}"


def record_sign_in(sender: object, user: User, **extra: Any) -> None:
    """Receive Django's `user_logged_in`, which every way of signing in sends."""
    user.signed_in()
