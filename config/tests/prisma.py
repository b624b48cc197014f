"""Reads the Prisma schema that the product's models are built from."""

import re
from dataclasses import dataclass, field
from pathlib import Path

REFERENCE = Path(__file__).with_name("schema-reference.md")


@dataclass(frozen=True)
class Field:
    model: str
    name: str
    type: str
    optional: bool
    many: bool
    attributes: str

    @property
    def snake(self) -> str:
        return re.sub(r"(?<!^)(?=[A-Z])", "_", self.name).lower()

    @property
    def default(self) -> str | None:
        found = re.search(r"@default\(((?:[^()]|\(\))*)\)", self.attributes)
        return found[1] if found else None

    @property
    def relation(self) -> str | None:
        """The scalar field that a relation stands on; None for its other end and for scalars."""
        found = re.search(r"@relation\(.*fields: \[(\w+)\]", self.attributes)
        return found[1] if found else None

    @property
    def on_delete(self) -> str:
        found = re.search(r"onDelete: (\w+)", self.attributes)
        return found[1] if found else ("SetNull" if self.optional else "Restrict")

    def has(self, attribute: str) -> bool:
        return re.search(rf"@{re.escape(attribute)}(?![\w.])", self.attributes) is not None

    def __str__(self) -> str:
        return f"{self.model}.{self.name}"


@dataclass
class Model:
    name: str
    fields: list[Field] = field(default_factory=list)
    indexes: list[list[str]] = field(default_factory=list)


@dataclass
class Schema:
    models: dict[str, Model] = field(default_factory=dict)
    enums: dict[str, list[str]] = field(default_factory=dict)


def read() -> Schema:
    """Return the models and enumerations of the reference."""
    schema = Schema()
    text = re.search(r"```prisma\n(.*?)```", REFERENCE.read_text(encoding="utf-8"), re.DOTALL)
    assert text
    for kind, name, body in re.findall(r"^(model|enum) (\w+) \{\n(.*?)^\}", text[1], re.M | re.S):
        lines = [line.split("//")[0].strip() for line in body.splitlines()]
        lines = [line for line in lines if line]
        if kind == "enum":
            schema.enums[name] = lines
            continue
        model = schema.models[name] = Model(name)
        for line in lines:
            if index := re.match(r"@@index\(\[(.+)\]\)", line):
                model.indexes.append([part.strip() for part in index[1].split(",")])
                continue
            parts = re.match(r"(\w+)\s+(\w+)(\[\])?(\?)?\s*(.*)$", line)
            assert parts, line
            model.fields.append(
                Field(name, parts[1], parts[2], bool(parts[4]), bool(parts[3]), parts[5])
            )
    return schema
