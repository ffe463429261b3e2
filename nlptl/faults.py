"""Faults that pydantic finds in settings, as sentences that name the place in the YAML file."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence

import yaml
from pydantic import BaseModel, ValidationError

from nlptl.errors import printable
from nlptl.setting_types import (
    UNION_MEMBERS,
    bare_type,
    block_name,
    field_names,
    fields_of,
    is_one_of,
    member_named,
    tags_of,
    type_inside,
    union_members,
)

if typing.TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MAX_SENTENCES = 20  # that are told at once
MAX_LOCATED = 1000  # that are looked at; of more only the number is told
MAX_SHOWN = 60  # characters of a value in a sentence
MAX_EXAMPLE = 200  # characters of a value that a sentence shows as one may write it
NO_BLOCK = ("model_type", "dict_type", "model_attributes_type")
NO_LIST = ("list_type", "tuple_type", "set_type")
NO_OPTION = ("union_tag_invalid", "literal_error", "enum")
PLAIN_VALUES = {  # what each of pydantic's faults of a plain value expects
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "finite_number": "a finite number",
    "string_type": "a text; put it in quotes",
}
PREDICATE = "predicate"  # of our own validators: the message continues the sentence that the setting's path begins
NO_SOURCE = "no_source"  # of ours: a value that is no source of data, with the message for YAML
SOURCE_IN_PYTHON = (
    "is not a source. Give the path of a file, a FileSource or a HubSource; texts in memory go to a stage's run as "
    "TextData."
)
NO_MEMBER = "no_member"  # of ours: a value that no member of a union accepts
WRONG_TYPE = (*NO_BLOCK, *NO_LIST, *NO_OPTION, *PLAIN_VALUES, "none_required")  # than that of a member of a union

BY_GRADIENT = ("learning_rate", "epochs", "l2", "batch_size", "folds", "patience", "label_weights", "label_smoothing")
MOVED = {  # where a setting of an earlier version went, by the name of its block and its own
    **dict.fromkeys((("finetune", name) for name in BY_GRADIENT), "moved into the block update, to the methods that learn "
                    "by gradient (head with solver iterative, partial, full, lora). Write {update}."),
    ("finetune", "precision"): "moved into the block update. Write {update}.",
    ("contrastive", "pile"): "is called pseudo_labels now. Rename it.",
    ("auto", "pile"): "is called pseudo_labels now. Rename it.",
    ("bert", "attention"): "is gone; nlptl chooses how attention is computed. Remove it.",
    ("domain_adaptation", "permutations"): "is gone; the shift is always tested by 999 permutations. Remove it.",
    ("domain_adaptation", "shift_texts"): "is gone; the shift is always measured on 1,000 texts a domain. Remove it.",
}  # fmt: skip


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the closest known word, or nothing."""
    close = _closest(word, known)
    return f" Did you mean {close!r}?" if close else ""


def shown(value: object) -> str:
    """Return `repr(value)` on one line, cut to 60 characters."""
    return cut(repr(value).replace("\n", " "))


def fault_sentences(
    model: type[BaseModel], error: ValidationError, where: str, *, in_python: bool = False
) -> Iterator[str]:
    """Yield a sentence for each of the first faults of a value that was validated as `model`, and one on how many follow.

    `where` names the file, or the class of settings that were made `in_python`.
    """
    raw = error.errors(include_url=False)
    located = [_LocatedFault.of(model, fault, in_python) for fault in raw[:MAX_LOCATED]]
    found = list(_nearest([fault for fault in located if not fault.is_consequence]))
    for fault in found[:MAX_SENTENCES]:
        path = ".".join(cut(part) for part in fault.path)
        sentence = (where + ("." if in_python else ": ") + path if path else where) + _predicate(fault)
        yield sentence if sentence.endswith((".", "?")) else sentence + "."
    if (more := len(found) + len(raw) - len(located) - MAX_SENTENCES) > 0:
        yield f"{where}: {more:,} more fault{'s' * (more > 1)} follow{'s' * (more == 1)}. Correct these first."


def cut(text: str, *, most: int = MAX_SHOWN) -> str:
    """Return a text that can be printed, cut to 60 characters or `most`."""
    text = printable(text[: most + 1])
    return text if len(text) <= most else text[: most - 3] + "..."


@dataclasses.dataclass(frozen=True)
class _Choice:
    """Union whose members all refused a value."""

    depth: int  # length of the path to it
    union: object
    member: int | str  # pydantic's name of the member that a fault is about


@dataclasses.dataclass(frozen=True)
class _LocatedFault:
    """Fault with its place."""

    path: tuple[str, ...]  # in the YAML
    owner: object  # type of the block that holds the last name of the path
    expected: object  # type that the value at the path must have
    choice: _Choice | None
    of_key: bool  # whether the fault is in a name rather than in its value
    kind: str
    message: str
    found: object
    context: Mapping[str, object]
    in_python: bool = False  # whether the settings were made in Python
    union: object = None  # of blocks, from which the owner was chosen
    owners: tuple[object, ...] = ()  # types that hold the names of the path, the outermost first

    @property
    def is_consequence(self) -> bool:
        """Whether it only follows from others: pydantic counts items of a list that it refused as missing."""
        least = typing.cast("int", self.context.get("min_length"))
        return self.kind == "too_short" and isinstance(self.found, list) and len(self.found) >= least

    @classmethod
    def of(cls, model: type[BaseModel], fault: ErrorDetails, in_python: bool) -> _LocatedFault:
        """Turn pydantic's location, which also names members of unions, into the path in the YAML."""
        path: list[str] = []
        annotation: object = model
        owner, choice = annotation, None
        union = chosen_from = None
        owners = list[object]()
        loc = [part for part in fault["loc"] if part != "[key]"]
        for part in loc:
            annotation = bare_type(annotation)
            members = union_members(annotation)
            if members:
                if choice is None and not tags_of(annotation)[1]:
                    choice = _Choice(len(path), annotation, part)
                chosen_from, annotation = annotation, member_named(annotation, part)
                owner = annotation
                continue
            owner, union, chosen_from = annotation, chosen_from, None
            owners.append(owner)
            path.append(str(part))
            annotation = type_inside(annotation, part)
        expected = bare_type(annotation)
        if path and field_names(expected) and path[-1] not in field_names(owner):
            owner = expected
        of_key = len(loc) < len(fault["loc"])
        context, found = fault.get("ctx") or {}, fault["input"]
        if fault["type"] == "union_tag_invalid":
            path, found = [*path, str(context["discriminator"]).strip("'")], context["tag"]
        told = (fault["type"], fault["msg"], found, context)
        return cls(tuple(path), owner, expected, choice, of_key, *told, in_python, union, tuple(owners))


def _nearest(faults: Sequence[_LocatedFault]) -> Iterator[_LocatedFault]:
    """Yield the faults; of a union only those of the member that was meant, or one fault that names all members."""
    by_union: dict[tuple[str, ...], list[_LocatedFault]] = {}
    for fault in faults:
        if fault.choice is not None:
            by_union.setdefault(fault.path[: fault.choice.depth], []).append(fault)
    for fault in faults:
        if fault.choice is None:
            yield fault
        else:
            yield from _of_union(by_union.pop(fault.path[: fault.choice.depth], ()))


def _of_union(faults: Sequence[_LocatedFault]) -> Sequence[_LocatedFault]:
    located = [(fault, fault.choice) for fault in faults if fault.choice is not None]
    meant = [fault for fault, choice in located if len(fault.path) > choice.depth or fault.kind not in WRONG_TYPE]
    if meant:
        return [fault for fault in meant if fault.choice == meant[0].choice]
    if len({fault.choice for fault in faults}) <= 1:
        return faults
    return [dataclasses.replace(faults[0], kind=NO_MEMBER)]


def _predicate(fault: _LocatedFault) -> str:
    """Return what follows the path: " is …", or ": …" where the message is a sentence of its own."""
    found, kind = shown(fault.found), fault.kind
    if fault.of_key:
        return f": the name {found} must be a text. Put it in quotes."
    if kind in ("extra_forbidden", "invalid_key"):
        known = list(fields_of(fault.owner)) if fault.in_python else field_names(fault.owner)
        others = _of_others(fault)
        meant = others or f".{did_you_mean(fault.path[-1], known)}"
        unknown = f"is not a setting{meant} Known here: {', '.join(known) or 'none'}."
        moved = MOVED.get((block_name(fault.owner), fault.path[-1]), "")
        update = _setting("update", {"method": "...", fault.path[-1]: "..."}, fault.in_python)
        return f" {moved.replace('{update}', update) or _further_inside(fault) or (not others and _further_out(fault)) or unknown}"
    if kind == "missing":
        return " is missing. It has no default, so it must be set."
    if kind in (PREDICATE, NO_SOURCE):
        return f" {SOURCE_IN_PYTHON if kind == NO_SOURCE and fault.in_python else fault.message}"
    if kind == "value_error":
        return f": {fault.message.removeprefix('Value error, ')}"
    return f" is {found}, but {_required_option(fault) or _required_value(fault)}"


def _further_inside(fault: _LocatedFault) -> str:
    """Say in which inner blocks an unknown name is a setting, and show it there; empty if it is in none."""
    name, examples = fault.path[-1], {}
    value = "..." if isinstance(fault.found, dict | list) or len(str(fault.found)) > MAX_SHOWN else fault.found
    for field, info in fields_of(fault.owner).items():
        tag, tags = tags_of(info.annotation)
        members = union_members(info.annotation) or [bare_type(info.annotation)]
        known = [member for member in members if name in field_names(member)]
        if known:
            example: dict[str, object] = {tag: block_name(known[0])} if tag else {}
            example[name] = (_closest(str(value), tags) or tags[0]) if name == tag else value
            block = field if fault.in_python else info.alias or field
            examples[block] = _setting(block, example, fault.in_python)
    if not examples:
        return ""
    blocks = " or ".join(f"`{block}{'=' if fault.in_python else ':'}`" for block in examples)
    return f"is not a setting here. It stands inside {blocks}. Write {' or '.join(examples.values())}."


def _further_out(fault: _LocatedFault) -> str:
    """Say beside which block around it an unknown name is a setting; empty if it is beside none."""
    around = zip(fault.path[-2::-1], fault.owners[-2::-1], strict=True)
    block = next((block for block, owner in around if fault.path[-1] in field_names(owner)), "")
    mark = "=" if fault.in_python else ":"
    return f"is not a setting here. It stands beside `{block}{mark}`, not inside it. Move it there." if block else ""


def _of_others(fault: _LocatedFault) -> str:
    """Say which other blocks of the union take a name; empty if none does, or the union's blocks have no tags."""
    tags = tags_of(fault.union)[1]
    taking = [one for one in union_members(fault.union) if tags and fault.path[-1] in field_names(one)]
    return f" of {block_name(fault.owner)}, but of {', '.join(map(block_name, taking))}." if taking else ""


def _required_option(fault: _LocatedFault) -> str:
    """Return "must be …" for one of several options; empty for other faults."""
    if fault.kind in NO_OPTION:
        expected = str(fault.context.get("expected_tags") or fault.context.get("expected"))
        options = [part.strip(" '") for part in expected.replace(" or ", ",").split(",")]
        return f"must be one of {', '.join(options)}.{did_you_mean(str(fault.found), options)}"
    if fault.kind == "union_tag_not_found":
        tag = str(fault.context.get("discriminator", "")).strip("'")
        meant = _tagged(fault.found, tag, tags_of(fault.expected)[1])
        if fault.in_python:
            return f"must be a block with {tag!r}. {f'Write {meant[0]!r}' if meant else 'Add it'}."
        return f"must be a block with `{tag}: ...`. {f'Write {_flow(meant[0])}' if meant else 'Add that line'}."
    if fault.kind == NO_MEMBER and fault.choice is not None:
        return _one_of_members(fault.found, fault.choice.union)
    return ""


def _required_value(fault: _LocatedFault) -> str:
    if fault.kind in NO_BLOCK:
        return _block(fault.found, fault.expected, fault.in_python)
    if fault.kind in NO_LIST:
        return f"must be a list{_such_as(fault.found, fault.expected, fault.in_python)}."
    if fault.kind in ("string_too_short", "too_short") and fault.found == "":
        return "must not be empty."
    bounds = {"too_short": ("at least", "min_length"), "too_long": ("at most", "max_length")}
    if fault.kind in bounds:
        most_or_least, bound = bounds[fault.kind]
        count = fault.context[bound]
        return f"must have {most_or_least} {count} item{'s' * (count != 1)}."
    if fault.kind in PLAIN_VALUES:
        return f"must be {PLAIN_VALUES[fault.kind]}"
    message = (fault.message[:1].lower() + fault.message[1:]).replace("should", "must").removeprefix("input ")
    return message.replace("greater than or equal to", "at least").replace("less than or equal to", "at most")


def _block(found: object, expected: object, in_python: bool) -> str:
    """Require a block, and show one."""
    name, tags = tags_of(expected)
    if not tags:
        known = ", ".join(field_names(expected))
        example = "{'name': value}" if in_python else "{name: value}"
        return f"must be a block of settings ({known})." if known else f"must be a block such as {example}."
    close = _closest(found, tags) if isinstance(found, str) else ""
    if close and found == close:
        return f"must be a block such as {_written({name: found}, in_python)}."
    meant = f" Did you mean {_written({name: close}, in_python)}?" if close else ""
    return f"must be a block such as {_written({name: tags[0]}, in_python)}.{meant}"


def _such_as(found: object, expected: object, in_python: bool) -> str:
    """Return " such as [...]" with what was found as items, or what may stand there; else nothing."""
    arguments = typing.get_args(expected)
    item = bare_type(arguments[0]) if arguments else None
    name, tags = tags_of(item)
    examples: list[object] = []
    if isinstance(found, dict) and tags and name not in found:
        examples = [*_tagged(found, name, tags)] or [{name: tags[0]}]
    elif (isinstance(found, str) and item is str) or (isinstance(found, dict) and (tags or field_names(item))):
        examples = [found]
    elif tags:
        examples = [{name: (isinstance(found, str) and _closest(found, tags)) or tags[0]}]
    elif typing.get_origin(item) is typing.Literal:
        options = typing.get_args(item)
        examples = [found if found in options else options[0]]
    example = _written(examples, in_python)
    return f" such as {example}" if examples and len(example) <= MAX_EXAMPLE else ""


def _tagged(found: object, name: str, tags: Sequence[str]) -> list[dict[object, object]]:
    """Return the blocks that {tag: settings} means, each with its tag under `name`."""
    blocks = found if isinstance(found, dict) else {}
    return [{name: tag, **(inner if isinstance(inner, dict) else {})} for tag, inner in blocks.items() if tag in tags]


def _setting(name: str, value: object, in_python: bool) -> str:
    """Return a setting as one writes it; a text "..." stands for any value."""
    return f"{name}{'=' if in_python else ': '}{_written(value, in_python)}".replace("'...'", "...")


def _written(value: object, in_python: bool) -> str:
    """Return a value as one writes it in Python or in YAML."""
    return repr(value) if in_python else _flow(value)


def _flow(value: object) -> str:
    """Return a value as YAML on one line."""
    return str(yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=1000)).strip()


def _one_of_members(found: object, union: object) -> str:
    """Require one of the members of a union."""
    options: list[str] = []
    parts: list[str] = []
    for member in union_members(union):
        if typing.get_origin(member) is typing.Literal:
            options = [str(option) for option in typing.get_args(member)]
            parts.append(f"one of {', '.join(options)}")
            continue
        known = field_names(member)
        described = (description for _, kinds, description in UNION_MEMBERS if is_one_of(member, kinds))
        parts.append(f"a block of settings ({', '.join(known)})" if known else next(described, "something else"))
    return f"must be {', or '.join(parts)}.{did_you_mean(str(found), options)}"


def _closest(word: str, known: Iterable[str]) -> str:
    """Return the known word that is most like `word`, upper or lower case; empty if none is."""
    by_case = {one.casefold(): one for one in known}
    return next((by_case[one] for one in difflib.get_close_matches(word.casefold(), by_case, n=1, cutoff=0.6)), "")
