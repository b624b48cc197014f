"""The product holds every model and field of the reference schema, with the same meaning."""

import json

import pytest
from django.apps import apps
from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.models import Role
from config.tests import prisma

SCHEMA = prisma.read()
MODELS = {
    model.__name__: model for model in apps.get_models() if model.__module__.count(".models") == 1
}
FIELDS = [field for model in SCHEMA.models.values() for field in model.fields]
SCALARS = [field for field in FIELDS if field.type not in SCHEMA.models]
RELATIONS = [field for field in FIELDS if field.relation]
REVERSES = [field for field in FIELDS if field.many]
INDEXES = [(model.name, index) for model in SCHEMA.models.values() for index in model.indexes]

# The reference names a model that its provider has retired; the settings name one that answers.
DEFAULT_FROM_SETTINGS = {
    "Scenario.partnerModel": "PARTNER_MODEL",
    "Scenario.coachModel": "COACH_MODEL",
}
FAMILIES = {
    "String": (models.CharField, models.TextField),
    "Int": (models.IntegerField,),
    "Boolean": (models.BooleanField,),
    "DateTime": (models.DateTimeField,),
    "Json": (models.JSONField,),
    "Role": (models.CharField,),
}
DELETE_RULES = {
    "SetNull": models.SET_NULL,
    "Restrict": models.RESTRICT,
    "Cascade": models.CASCADE,
}


def ours(field: prisma.Field) -> models.Field:
    """Our field of that name; for the scalar under a relation, the foreign key."""
    return next(
        own
        for own in MODELS[field.model]._meta.concrete_fields
        if field.snake in (own.name, own.attname)
    )


def test_the_reference_is_read_in_full():
    assert len(SCHEMA.models) == 7
    assert (len(SCALARS), len(RELATIONS), len(REVERSES), len(INDEXES)) == (66, 8, 7, 10)
    assert len(FIELDS) == len(SCALARS) + len(RELATIONS) + len(REVERSES)
    assert [str(field) for field in SCALARS if field.default == "cuid()"] == [
        "User.id",
        "Invitation.id",
        "QuotaPreset.id",
        "UsageLog.id",
    ]


def test_every_model_is_here():
    assert set(SCHEMA.models) <= set(MODELS)


def test_roles_are_the_same():
    assert SCHEMA.enums == {"Role": list(Role.values)}


@pytest.mark.parametrize("field", SCALARS, ids=str)
def test_a_field_has_its_type(field):
    own = ours(field)
    if own.is_relation:
        target = own.target_field
        assert any(relation.relation == field.name for relation in RELATIONS), (
            f"{field} is a plain value in the reference"
        )
    else:
        target = own
    assert isinstance(target, FAMILIES[field.type])
    if field.has("db.Text"):
        assert isinstance(own, models.TextField)


@pytest.mark.parametrize("field", SCALARS, ids=str)
def test_a_field_is_as_optional_and_as_unique(field):
    own = ours(field)
    assert own.null == field.optional
    assert own.primary_key == field.has("id")
    assert own.unique == (field.has("id") or field.has("unique"))


@pytest.mark.parametrize("field", [f for f in SCALARS if f.default or f.has("updatedAt")], ids=str)
def test_a_field_has_its_default(field):
    own = ours(field)
    name = DEFAULT_FROM_SETTINGS.get(str(field))
    if name:
        assert own.get_default() == getattr(settings, name)
    elif field.has("updatedAt"):
        assert own.auto_now
    elif field.default == "autoincrement()":
        assert isinstance(own, models.AutoField)
    elif field.default == "now()":
        assert own.default is timezone.now
    elif field.default == "cuid()":
        made = {own.get_default() for _ in range(50)}
        assert len(made) == 50
        assert all(20 <= len(key) <= own.max_length for key in made)
    else:
        assert own.get_default() == literal(field)


def literal(field: prisma.Field) -> object:
    """A default that is written out, as the Python value it stands for."""
    if field.type == "Role":
        return field.default
    value = json.loads(field.default)
    return json.loads(value) if field.type == "Json" else value


@pytest.mark.parametrize("field", RELATIONS, ids=str)
def test_a_relation_leads_to_its_model_under_its_delete_rule(field):
    own = MODELS[field.model]._meta.get_field(field.snake)
    assert own.many_to_one
    assert own.related_model is MODELS[field.type]
    assert own.null == field.optional
    assert own.remote_field.on_delete is DELETE_RULES[field.on_delete]
    assert own.attname == prisma.Field("", field.relation, "", False, False, "").snake


@pytest.mark.parametrize("field", REVERSES, ids=str)
def test_a_relation_can_be_followed_back(field):
    back = MODELS[field.model]._meta.get_field(field.snake)
    assert back.one_to_many
    assert back.related_model is MODELS[field.type]


@pytest.mark.parametrize(("model", "fields"), INDEXES, ids=str)
def test_an_index_is_here(model, fields):
    wanted = [ours(next(f for f in SCHEMA.models[model].fields if f.name == n)) for n in fields]
    found = [index.fields for index in MODELS[model]._meta.indexes if index.condition is None]
    assert [field.name for field in wanted] in found


def test_the_exception_is_still_needed():
    defaults = {str(field): field.default for field in SCALARS}
    for name in DEFAULT_FROM_SETTINGS:
        assert defaults[name] == '"claude-sonnet-4-20250514"'
