"""Types of settings as pydantic's locations walk through them: fields, members of unions, items."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence

from pydantic import BaseModel
from pydantic.fields import FieldInfo

UNION_MEMBERS = (  # how pydantic's name of a union's member begins, its types, and its description
    (("literal[",), (typing.Literal,), ""),
    (("dict[", "constrained-dict"), (dict, Mapping), "a block such as {name: value}"),
    (("list[", "constrained-list", "tuple["), (list, tuple, Sequence), "a list such as [a, b]"),
    (("int", "constrained-int"), (int,), "a whole number"),
    (("float", "constrained-float"), (float,), "a number"),
    (("bool",), (bool,), "true or false"),
    (("str", "constrained-str"), (str,), "a text"),
    (("none",), (type(None),), "null"),
)


def fields_of(owner: object) -> Mapping[str, FieldInfo]:
    """Return the settings of a block, by name; nothing for other types."""
    return owner.model_fields if isinstance(owner, type) and issubclass(owner, BaseModel) else {}


def field_names(owner: object) -> list[str]:
    """Return the names of a block's settings as YAML has them."""
    return [info.alias or name for name, info in fields_of(owner).items()]


def block_name(owner: object) -> str:
    """Return the value by which a block is told apart in its union; empty for a block that stands in none."""
    tags = (info.default for info in fields_of(owner).values() if typing.get_args(info.annotation) == (info.default,))
    return next((tag for tag in tags if isinstance(tag, str)), "")


def tags_of(annotation: object) -> tuple[str, list[str]]:
    """Return the field whose value selects a block of a union, and its values; nothing for other types."""
    members = [member for member in union_members(annotation) if member is not type(None)]
    for name in fields_of(members[0]) if members else ():
        values = [
            typing.get_args(fields_of(member)[name].annotation) for member in members if name in fields_of(member)
        ]
        tags = [str(value[0]) for value in values if len(value) == 1 and isinstance(value[0], str)]
        if len(tags) == len(members):
            return name, tags
    return "", []


def union_members(annotation: object) -> list[object]:
    """Return the members of a union; none for other types."""
    annotation = bare_type(annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [bare_type(member) for member in typing.get_args(annotation)]
    return []


def bare_type(annotation: object) -> object:
    """Return the type without Annotated and without "or None", neither of which appears in pydantic's locations."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(annotation) if member is not type(None)]
        if len(members) == 1:
            return bare_type(members[0])
    return annotation


def member_named(union: object, part: int | str) -> object:
    """Return the member of a union that pydantic calls `part`: by its tag, if its blocks have tags."""
    members, (_, tags) = union_members(union), tags_of(union)
    if part in tags:
        return [member for member in members if member is not type(None)][tags.index(str(part))]
    return next((member for member in members if _answers_to(member, part)), None)


def _answers_to(member: object, part: int | str) -> bool:
    """Return whether `part` is pydantic's name of the union member: its class, its tag, or its type."""
    if getattr(member, "__name__", None) == part or str(member) == part:
        return True
    if any(part in typing.get_args(info.annotation) for info in fields_of(member).values()):
        return True
    return any(str(part).startswith(names) and is_one_of(member, kinds) for names, kinds, _ in UNION_MEMBERS)


def is_one_of(member: object, kinds: tuple[object, ...]) -> bool:
    """Return whether a union's member is one of these types, or a generic one of them."""
    return member in kinds or typing.get_origin(member) in kinds


def type_inside(annotation: object, part: int | str) -> object:
    """Return the type of the value under a name, or at a position of a list."""
    for name, info in fields_of(annotation).items():
        if part in (name, info.alias):
            return info.annotation
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) in (list, tuple, Sequence) and arguments:
        return arguments[0]
    if typing.get_origin(annotation) in (dict, Mapping) and len(arguments) == 2:
        return arguments[1]
    return None
