"""What the admin's rows of the access matrix are asked about: things of Olive's, and others'."""

from typing import TYPE_CHECKING, Any

from allauth.account.models import EmailAddress

from config.tests.access_desk import THINGS
from config.tests.desk import make_invitation

if TYPE_CHECKING:
    from config.tests.access_world import World

Subjects = dict[str, dict[str, Any]]


def subjects(world: "World") -> Subjects:
    """By what a row says that it is about; see `World.subjects`."""
    found: Subjects = {"object": {"any": {"object_id": "none"}}}
    first = world.objects()
    for thing in THINGS:
        found[thing.about] = {"any": {"object_id": first[thing.model]}}
    for about, row in _others(world).items():
        found[about] = {"any": {"object_id": row.pk}}
    _own(world, found)
    for which in ("a learner", "one of the staff", "an administrator", "oneself"):
        found[f"id of {which}"] = _by_id(found[f"accounts_user {which}"])
    for app in ("scenarios", "accounts"):
        found[f"app of {app}"] = {"any": {"app_label": app}}
    choices = {"scenario": ("invitations", "invitation"), "user": ("usage", "personalallowance")}
    for field, (app, model) in choices.items():
        query = f"?app_label={app}&model_name={model}&field_name={field}"
        about = f"choices of a {'person' if field == 'user' else field}"
        found[about] = {"any": {"?": query}}
    return found


def _others(world: "World") -> dict[str, Any]:
    """Those that are not the first of their kind."""
    secret = world.private.sessions.get()
    admins = EmailAddress.objects.get(user=world.users["admin"])
    return {
        "accounts_user one of the staff": world.users["bare"],
        "accounts_user an administrator": world.chief,
        "account_emailaddress a learner's": EmailAddress.objects.get(user=world.olive),
        "account_emailaddress an administrator's": admins,
        "scenarios_scenario private": world.private,
        "scenarios_scenario an administrator's own": world.own_private["admin"],
        "invitations_invitation that nobody took up": make_invitation(world.chief),
        "conversations_conversationsession private": secret,
        "conversations_message": world.conversation.messages.first(),
        "conversations_message private": secret.messages.first(),
    }


def _own(world: "World", found: Subjects) -> None:
    """Each of the staff's."""
    people = world.users.items()
    invitations = {name: make_invitation(user) for name, user in people}
    for about, rows in (
        ("accounts_user oneself", world.users),
        ("invitations_invitation of one's own", invitations),
    ):
        own = {name: {"object_id": row.pk} for name, row in rows.items()}
        found[about] = {"own": own, "others": []}


def _by_id(subject: dict[str, Any]) -> dict[str, Any]:
    """The same under the name that the page of a password has for it."""
    if "any" in subject:
        return {"any": {"id": subject["any"]["object_id"]}}
    own = {name: {"id": where["object_id"]} for name, where in subject["own"].items()}
    return {"own": own, "others": []}
