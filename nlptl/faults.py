"""What pydantic finds wrong with settings, told as sentences that name the place in the YAML."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence

import yaml
from pydantic import BaseModel, ValidationError

if typing.TYPE_CHECKING:
    from pydantic_core import ErrorDetails

# pydantic's names of faults, by what they expected
NO_BLOCK = ("model_type", "dict_type", "model_attributes_type")
NO_LIST = ("list_type", "tuple_type", "set_type")
NO_OPTION = ("union_tag_invalid", "literal_error", "enum")
PLAIN = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "finite_number": "a finite number",
    "string_type": "a text; put it in quotes",
}
NO_MEMBER = "no_member"  # ours: a value that no member of a union takes
OTHER_TYPE = (*NO_BLOCK, *NO_LIST, *NO_OPTION, *PLAIN, "none_required")
"""Faults that say that a value is of another type than a member of a union, and nothing more."""
MEMBERS = (  # of a union, by how pydantic's name of one begins, and how it is told
    (("literal[",), (typing.Literal,), ""),
    (("dict[", "constrained-dict"), (dict, Mapping), "a block such as {name: value}"),
    (("list[", "constrained-list", "tuple["), (list, tuple, Sequence), "a list such as [a, b]"),
    (("int", "constrained-int"), (int,), "a whole number"),
    (("float", "constrained-float"), (float,), "a number"),
    (("bool",), (bool,), "true or false"),
    (("str", "constrained-str"), (str,), "a text"),
    (("none",), (type(None),), "null"),
)

BY_GRADIENT = ("learning_rate", "epochs", "l2", "batch_size", "folds", "patience", "label_weights", "label_smoothing")
MOVED = {
    **{("finetune", name): f"moved into the block update, to the methods that learn by gradient (head with solver "
       f"iterative, partial, full, lora). Write update: {{method: ..., {name}: ...}}." for name in BY_GRADIENT},
    ("finetune", "precision"): "moved into the block update. Write update: {method: ..., precision: ...}.",
    ("contrastive", "pile"): "is called pseudo_labels now. Rename it.",
    ("auto", "pile"): "is called pseudo_labels now. Rename it.",
    ("bert", "attention"): "is gone; nlptl chooses how attention is computed. Remove it.",
    ("domain_adaptation", "permutations"): "is gone; the shift is always tested by 999 permutations. Remove it.",
    ("domain_adaptation", "shift_texts"): "is gone; the shift is always measured on 1,000 texts a domain. Remove it.",
}  # fmt: skip
"""Where a setting of an earlier version went, by the name of its block and its own."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the closest known word, or an empty string."""
    close = _closest(word, known)
    return f" Did you mean {close!r}?" if close else ""


def fault_sentences(model: type[BaseModel], error: ValidationError, where: str) -> Iterator[str]:
    """Yield a sentence for each fault of what was validated as `model`; `where` names what it stands in."""
    located = [_Fault.of(model, fault) for fault in error.errors(include_url=False)]
    for fault in _nearest([fault for fault in located if not fault.follows]):
        at = f"{where}: {'.'.join(fault.path)}" if fault.path else where
        reason = _reason(fault)
        yield f"{at}: {reason if reason.endswith(('.', '?')) else reason + '.'}"


@dataclasses.dataclass(frozen=True)
class _Choice:
    """A union whose members all refused a value."""

    depth: int
    """Length of the path to it."""
    union: object
    member: int | str
    """pydantic's name of the member that a fault is about."""


@dataclasses.dataclass(frozen=True)
class _Fault:
    """One fault, and where it stands."""

    path: tuple[str, ...]
    """In the YAML."""
    owner: object
    """Type of the block in which the last name of the path stands."""
    inside: object
    """Type of what is expected there."""
    choice: _Choice | None
    of_key: bool
    """Whether it is about a name instead of the value below it."""
    kind: str
    message: str
    found: object
    context: Mapping[str, object]

    @property
    def follows(self) -> bool:
        """Whether it only follows from others: pydantic counts as missing what it refused in a list."""
        least = self.context.get("min_length")
        return (
            self.kind == "too_short" and isinstance(self.found, list) and len(self.found) >= typing.cast("int", least)
        )

    @classmethod
    def of(cls, model: type[BaseModel], fault: ErrorDetails) -> _Fault:
        """Turn pydantic's location, which names members of unions, into the path that stands in the YAML."""
        path: list[str] = []
        annotation: object = model
        owner: object = model
        choice: _Choice | None = None
        loc = [part for part in fault["loc"] if part != "[key]"]
        for part in loc:
            annotation = _bare(annotation)
            members = _union_members(annotation)
            if members:
                if choice is None and not _tags(annotation)[1]:
                    choice = _Choice(len(path), annotation, part)
                annotation = owner = _member(annotation, part)
                continue
            owner = annotation
            path.append(str(part))
            annotation = _inside(annotation, part)
        inside = _bare(annotation)
        if path and _field_names(inside) and path[-1] not in _field_names(owner):
            owner = inside
        of_key = len(loc) < len(fault["loc"])
        context = fault.get("ctx") or {}
        return cls(
            tuple(path), owner, inside, choice, of_key, fault["type"], fault["msg"], fault["input"], context
        )  # fmt: skip


def _nearest(faults: Sequence[_Fault]) -> Iterator[_Fault]:
    """Yield the faults, but of a union those of the member that the value was meant for, or one that names all members."""
    by_union: dict[tuple[str, ...], list[_Fault]] = {}
    for fault in faults:
        if fault.choice is not None:
            by_union.setdefault(fault.path[: fault.choice.depth], []).append(fault)
    told: set[tuple[str, ...]] = set()
    for fault in faults:
        if fault.choice is None:
            yield fault
            continue
        place = fault.path[: fault.choice.depth]
        if place in told:
            continue
        told.add(place)
        yield from _of_union(by_union[place])


def _of_union(faults: Sequence[_Fault]) -> Sequence[_Fault]:
    meant = [
        fault
        for fault in faults
        if fault.choice is not None and (len(fault.path) > fault.choice.depth or fault.kind not in OTHER_TYPE)
    ]
    if meant:
        return [fault for fault in meant if fault.choice == meant[0].choice]
    if len({fault.choice for fault in faults}) == 1:
        return faults
    return [dataclasses.replace(faults[0], kind=NO_MEMBER)]


def _reason(fault: _Fault) -> str:
    return _of_name(fault) or _of_option(fault) or _of_shape(fault) or _of_value(fault)


def _of_name(fault: _Fault) -> str:
    """Tell a fault of the name of a setting; empty for other faults."""
    name, known = fault.path[-1] if fault.path else "", _field_names(fault.owner)
    if fault.of_key:
        return f"found the name {_short(fault.found)}; expected a text. Put it in quotes."
    if fault.kind in ("extra_forbidden", "invalid_key"):
        moved = MOVED.get((_block_name(fault.owner), name))
        if moved:
            return moved
        return f"no such setting.{did_you_mean(name, known)} Known here: {', '.join(known) or 'none'}."
    return "is missing; it has no default. Add it." if fault.kind == "missing" else ""


def _of_option(fault: _Fault) -> str:
    """Tell a value that is none of those, or says none of those, to choose from; empty for other faults."""
    if fault.kind in NO_OPTION:
        expected = str(fault.context.get("expected_tags") or fault.context.get("expected"))
        tag = fault.context.get("tag", fault.found)
        options = [part.strip(" '") for part in expected.replace(" or ", ",").split(",")]
        return f"found {_short(tag)}; expected one of {', '.join(options)}.{did_you_mean(str(tag), options)}"
    if fault.kind == "union_tag_not_found":
        tag = str(fault.context.get("discriminator", "")).strip("'")
        return f"found {_short(fault.found)}; expected a block that says {tag}: ... . Add that line."
    if fault.kind == NO_MEMBER and fault.choice is not None:
        return _no_member(fault.found, fault.choice.union)
    return ""


def _of_shape(fault: _Fault) -> str:
    """Tell a value where a block or a list is expected, or one of another length; empty for other faults."""
    found = _short(fault.found)
    if fault.kind in NO_BLOCK:
        return _no_block(fault.found, fault.inside)
    if fault.kind in NO_LIST:
        return f"found {found}; expected a list{_such_as(fault.found, fault.inside)}."
    if fault.kind == "too_short":
        return f"found {found}; expected a length of at least {fault.context['min_length']}."
    if fault.kind == "too_long":
        return f"found {found}; expected a length of at most {fault.context['max_length']}."
    return ""


def _of_value(fault: _Fault) -> str:
    if fault.kind == "value_error":
        return fault.message.removeprefix("Value error, ")
    told = f"expected {PLAIN[fault.kind]}" if fault.kind in PLAIN else _lower(fault.message)
    return f"found {_short(fault.found)}; {told}"


def _no_block(found: object, expected: object) -> str:
    """Tell that a value stands where a block is expected, and what that looks like."""
    name, tags = _tags(expected)
    if not tags:
        known = _field_names(expected)
        block = f"a block of settings ({', '.join(known)})" if known else "a block such as {name: value}"
        return f"found {_short(found)}; expected {block}."
    if isinstance(found, str) and found in tags:
        return f"found {_short(found)}; expected a block such as {{{name}: {found}}}."
    close = _closest(found, tags) if isinstance(found, str) else ""
    meant = f" Did you mean {{{name}: {close}}}?" if close else ""
    return f"found {_short(found)}; expected a block such as {{{name}: {tags[0]}}}.{meant}"


def _such_as(found: object, expected: object) -> str:
    """Return ", such as [...]" with what was found, or what may stand there, as the only item; empty where none is known."""
    arguments = typing.get_args(expected)
    item = _bare(arguments[0]) if arguments else None
    name, tags = _tags(item)
    example: object = None
    if isinstance(found, str) and tags:
        example = {name: found if found in tags else _closest(found, tags) or tags[0]}
    elif (isinstance(found, str) and item is str) or (isinstance(found, dict) and (tags or _field_names(item))):
        example = found
    elif tags:
        example = {name: tags[0]}
    elif typing.get_origin(item) is typing.Literal:
        options = typing.get_args(item)
        example = found if found in options else options[0]
    if example is None:
        return ""
    return f", such as {yaml.safe_dump([example], default_flow_style=True, allow_unicode=True, width=1000).strip()}"


def _no_member(found: object, union: object) -> str:
    """Tell what the members of a union are."""
    options: list[str] = []
    parts: list[str] = []
    for member in _union_members(union):
        if typing.get_origin(member) is typing.Literal:
            options = [str(option) for option in typing.get_args(member)]
            parts.append(f"one of {', '.join(options)}")
            continue
        known = _field_names(member)
        kinds = (told for _, types_, told in MEMBERS if member in types_ or typing.get_origin(member) in types_)
        parts.append(f"a block of settings ({', '.join(known)})" if known else next(kinds, "something else"))
    return f"found {_short(found)}; expected {', or '.join(parts)}.{did_you_mean(str(found), options)}"


def _closest(word: str, known: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), "")


def _lower(message: str) -> str:
    return (message[:1].lower() + message[1:]).replace("input should be", "expected", 1)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _field_names(owner: object) -> list[str]:
    if isinstance(owner, type) and issubclass(owner, BaseModel):
        return [info.alias or name for name, info in owner.model_fields.items()]
    return []


def _block_name(owner: object) -> str:
    """Return the value by which a block is told apart in its union; empty for a block that stands in none."""
    fields = owner.model_fields.values() if isinstance(owner, type) and issubclass(owner, BaseModel) else ()
    tags = (info.default for info in fields if typing.get_args(info.annotation) == (info.default,))
    return next((tag for tag in tags if isinstance(tag, str)), "")


def _tags(annotation: object) -> tuple[str, list[str]]:
    """Return the field that tells the blocks of a union apart, and its values; none where it is no such union."""
    members = _union_members(annotation)
    blocks = [member for member in members if isinstance(member, type) and issubclass(member, BaseModel)]
    if not blocks or len([member for member in members if member is not type(None)]) > len(blocks):
        return "", []
    for name in blocks[0].model_fields:
        values = [
            typing.get_args(block.model_fields[name].annotation) for block in blocks if name in block.model_fields
        ]
        told = [str(value[0]) for value in values if len(value) == 1 and isinstance(value[0], str)]
        if len(told) == len(blocks):
            return name, told
    return "", []


def _union_members(annotation: object) -> list[object]:
    annotation = _bare(annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [_bare(member) for member in typing.get_args(annotation)]
    return []


def _bare(annotation: object) -> object:
    """Return the type without what Annotated adds and without "or nothing", neither of which pydantic's locations name."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(annotation) if member is not type(None)]
        if len(members) == 1:
            return _bare(members[0])
    return annotation


def _member(union: object, part: int | str) -> object:
    """Return the member of a union that pydantic calls `part`: by its tag, if its blocks have tags."""
    members, (_, tags) = _union_members(union), _tags(union)
    if part in tags:
        return [member for member in members if member is not type(None)][tags.index(str(part))]
    return next((member for member in members if _answers_to(member, part)), None)


def _answers_to(member: object, part: int | str) -> bool:
    """Say whether pydantic calls the union member `part`: by its name, its discriminator's value, or its type."""
    if getattr(member, "__name__", None) == part or str(member) == part:
        return True
    if isinstance(member, type) and issubclass(member, BaseModel):
        return any(part in typing.get_args(info.annotation) for info in member.model_fields.values())
    return any(
        str(part).startswith(names) and (member in kinds or typing.get_origin(member) in kinds)
        for names, kinds, _ in MEMBERS
    )


def _inside(annotation: object, part: int | str) -> object:
    """Return the type of what stands under a name, or at a place of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, info in annotation.model_fields.items():
            if part in (name, info.alias):
                return info.annotation
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) in (list, tuple, Sequence) and arguments:
        return arguments[0]
    if typing.get_origin(annotation) in (dict, Mapping) and len(arguments) == 2:
        return arguments[1]
    return None
