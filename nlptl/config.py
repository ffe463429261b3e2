"""Settings: the frozen base class, strict YAML in and out, and pydantic's faults told as sentences."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from nlptl.errors import ConfigError

NO_BLOCK = ("model_type", "dict_type", "model_attributes_type")  # pydantic's names of what should be a block
C = TypeVar("C", bound=BaseModel)
# PyYAML lets these through from its constructors: a 13th month, a list as a key, !!int foo, ten thousand brackets.
YAML_FAULTS = (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


class Config(BaseModel):
    """Validated, frozen settings; an unknown field is refused, a field's docstring is its description."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, populate_by_name=True, allow_inf_nan=False
    )


def auto_or(kind: type[int] | type[float], *, least: float) -> BeforeValidator:
    """Return a validator of "auto or a number of at least `least`" that refuses with one sentence."""
    number = "a whole number" if kind is int else "a number"

    def checked(value: object) -> object:
        fits = isinstance(value, (int, kind)) and not isinstance(value, bool)
        if value != "auto" and not (fits and least <= float(typing.cast("float", value)) < float("inf")):
            raise ValueError(f"found {value!r}; expected auto or {number} of at least {least:g}. Correct the value")
        return value

    return BeforeValidator(checked)


def parse(model: type[C], raw: object, *, where: str) -> C:
    """Validate `raw` (plain dicts, lists, scalars) as `model`.

    Raises ConfigError with every fault of `raw` at once; `where` names the file or object they stand in.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(list(_fault_sentences(model, raw, error, where))) from None
    except ConfigError as error:  # of a check that `model` itself makes
        raise ConfigError([f"{where}: {fault}" for fault in error.faults]) from None


def load_yaml(path: Path | str) -> object:
    """Read one YAML document of plain values; a duplicate key or broken syntax raises ConfigError with its line."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; a pipeline is a YAML file. Check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); expected a YAML file in UTF-8.") from None
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(
            f"{path}:{line}: not valid YAML ({error.problem}); check the indentation, colons and brackets of this line."
        ) from None
    except YAML_FAULTS as error:
        raise ConfigError(f"{path}: holds a value that YAML cannot read ({error}); put it into quotes.") from None


def dump_yaml(raw: object) -> str:
    """Write plain values as YAML that `load_yaml` reads back equal."""
    return yaml.safe_dump(raw, sort_keys=False, allow_unicode=True, width=100)


def override(raw: object, assignments: Sequence[str]) -> object:
    """Return a copy of `raw` with each "a.0.b=value" applied; the value is read as YAML ("50", "true", "[1, 2]")."""
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator or not path:
            raise ConfigError(
                f"--set {assignment}: found no 'path=value'; expected for example stages.0.dim=50. Write it so."
            )
        try:
            value = yaml.load(text, Loader=_StrictLoader)
        except YAML_FAULTS:
            raise ConfigError(f"--set {assignment}: the value is not valid YAML; put it into quotes.") from None
        raw = replace_at(raw, path.split("."), value, where=f"--set {assignment}")
    return raw


def replace_at(raw: object, keys: Sequence[str], value: object, *, where: str) -> object:
    """Return a copy of the nested plain value `raw` in which the place named by `keys` holds `value`."""
    if not keys:
        return value
    key, rest = keys[0], keys[1:]
    if isinstance(raw, list):
        if not re.fullmatch("[0-9]{1,9}", key) or int(key) >= len(raw):
            raise ConfigError(f"{where}: found position {key!r} in a list of {len(raw)}; count from 0.")
        index = int(key)
        return [replace_at(item, rest, value, where=where) if i == index else item for i, item in enumerate(raw)]
    if isinstance(raw, Mapping) or raw is None:
        old = dict(raw or {})
        return {**old, key: replace_at(old.get(key), rest, value, where=where)}
    raise ConfigError(f"{where}: {key!r} would stand inside the plain value {raw!r}; check the path.")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the closest known word, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _fault_sentences(model: type[BaseModel], raw: object, error: ValidationError, where: str) -> Iterable[str]:
    for fault in error.errors(include_url=False):
        location, owner, inside = _locate(model, raw, fault["loc"])
        if fault["type"] in NO_BLOCK and _field_names(inside):
            owner = inside
        at = f"{where}: {'.'.join(location)}" if location else where
        yield f"{at}: {_reason(fault['type'], fault['msg'], fault['input'], fault.get('ctx') or {}, location, owner)}"


def _reason(
    kind: str, message: str, found: object, context: Mapping[str, Any], location: Sequence[str], owner: object
) -> str:
    known = _field_names(owner)
    name = location[-1] if location else ""
    if kind == "extra_forbidden":
        return f"no such setting.{did_you_mean(name, known)} Known here: {', '.join(known) or 'none'}."
    if kind == "missing":
        return "is missing; it has no default. Add it."
    if kind in ("union_tag_invalid", "literal_error", "enum"):
        expected = str(context.get("expected_tags") or context.get("expected"))
        tag = str(context.get("tag", found))
        options = [part.strip(" '") for part in expected.replace(" or ", ",").split(",")]
        return f"found {tag!r}; expected one of {', '.join(options)}.{did_you_mean(tag, options)}"
    if kind == "union_tag_not_found":
        tag = str(context.get("discriminator", "")).strip("'")
        return f"found {_short(found)}; expected a block that says {tag}: ... . Add that line."
    if kind in NO_BLOCK:
        return f"found {_short(found)}; expected a block of settings ({', '.join(known)})."
    reason = message[len("Value error, ") :] if kind == "value_error" else f"found {_short(found)}; {_lower(message)}"
    return reason if reason.endswith((".", "?")) else reason + "."


def _lower(message: str) -> str:
    return (message[:1].lower() + message[1:]).replace("input should be", "expected", 1)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _field_names(owner: object) -> list[str]:
    if isinstance(owner, type) and issubclass(owner, BaseModel):
        return [info.alias or name for name, info in owner.model_fields.items()]
    return []


def _locate(model: type[BaseModel], raw: object, loc: Sequence[int | str]) -> tuple[list[str], object, object]:
    """Turn pydantic's location, which names union members, into the path that stands in the YAML, its owner and its type."""
    path: list[str] = []
    annotation: object = model
    owner: object = model
    for part in loc:
        annotation = _bare(annotation)
        members = [m for m in _union_members(annotation) if _answers_to(m, part)]
        if members:
            annotation = members[0]
            owner = annotation
            continue
        owner = annotation
        path.append(str(part))
        annotation = _inside(annotation, part)
    if path and isinstance(annotation, type) and issubclass(annotation, BaseModel) and not _is_field(owner, path[-1]):
        owner = annotation
    return path, owner, _bare(annotation)


def _is_field(owner: object, name: str) -> bool:
    return name in _field_names(owner)


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


def _answers_to(member: object, part: int | str) -> bool:
    """Say whether pydantic calls the union member `part`: by its class name or by its discriminator's value."""
    if getattr(member, "__name__", None) == part or str(member) == part:
        return True
    if isinstance(member, type) and issubclass(member, BaseModel):
        return any(part in typing.get_args(info.annotation) for info in member.model_fields.values())
    return False


def _inside(annotation: object, part: int | str) -> object:
    annotation = _bare(annotation)
    for candidate in [annotation, *_union_members(annotation)]:
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            for name, info in candidate.model_fields.items():
                if part in (name, info.alias):
                    return info.annotation
        arguments = typing.get_args(candidate)
        if typing.get_origin(candidate) in (list, tuple, Sequence) and arguments:
            return arguments[0]
        if typing.get_origin(candidate) is dict and len(arguments) == 2:
            return arguments[1]
    return None
