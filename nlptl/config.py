"""Settings: the frozen base class, and strict YAML."""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from nlptl.errors import ConfigError
from nlptl.faults import PREDICATE, did_you_mean, fault_sentences
from nlptl.input_paths import from_here, in_file

__all__ = [
    "Config",
    "auto_or",
    "did_you_mean",
    "dump_yaml",
    "load_json",
    "load_yaml",
    "override",
    "parse",
    "replace_at",
    "value_at",
]

C = TypeVar("C", bound=BaseModel)
SMALLEST = 1e-9  # that a positive setting may be
# PyYAML raises these for a 13th month, a list as a key, !!int foo, or ten thousand brackets.
YAML_FAULTS = (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


class Config(BaseModel):
    """Validated, frozen settings. Unknown fields are refused; a field's docstring is its description."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, populate_by_name=True, allow_inf_nan=False
    )


def auto_or(kind: type[int] | type[float], *, least: float) -> BeforeValidator:
    """Return a validator that accepts "auto" or a number of at least `least`; the smallest positive one is told as "above 0"."""
    number = "a whole number" if kind is int else "a number"
    bound = "above 0" if least == SMALLEST else f"of at least {least:g}"

    def checked(value: object) -> object:
        fits = isinstance(value, (int, kind)) and not isinstance(value, bool)
        if value != "auto" and not (fits and least <= float(typing.cast("float", value)) < float("inf")):
            expected = f"auto or {number} {bound}"
            raise PydanticCustomError(
                PREDICATE, "is {found}, but must be {expected}.", {"found": repr(value), "expected": expected}
            )
        return value

    return BeforeValidator(checked)


def parse(model: type[C], raw: object, *, where: str, folder: Path | None = None) -> C:
    """Validate plain values. ConfigError tells all faults; `where` names the file or object that holds them.

    Paths in them are relative to `folder`, or to the current one.
    """
    try:
        return model.model_validate(raw, context=in_file(folder))
    except ValidationError as error:
        raise ConfigError(list(fault_sentences(model, error, where))) from None
    except ConfigError as error:  # of a check that `model` itself makes
        raise ConfigError([f"{where}: {fault}" for fault in error.faults]) from None


def load_yaml(path: Path | str) -> object:
    """Read one YAML document of plain values. A duplicate key or a syntax error raises ConfigError with its line."""
    path = Path(path)
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder. Give a YAML file.")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file. Give the path of a YAML file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the file cannot be read ({error}). It must be a YAML file in UTF-8.") from None
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        if isinstance(error, _KeyGivenTwice):
            raise ConfigError(f"{path}:{line}: {error.problem}. Remove one of the two.") from None
        raise ConfigError(
            f"{path}:{line}: this is not valid YAML ({error.problem}). Check the indentation, colons and brackets of this line."
        ) from None
    except YAML_FAULTS as error:
        raise ConfigError(f"{path}: a value cannot be read as YAML ({error}). Put it in quotes.") from None


def load_json(path: Path, *, most: int) -> object:
    """Read a JSON file of at most `most` bytes. Raises OSError, or ValueError with the reason."""
    if path.exists() and not path.is_file():
        raise ValueError("it is no plain file")
    if (size := path.stat().st_size) > most:
        raise ValueError(f"it has {size:,} bytes, more than {most:,}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


def dump_yaml(raw: object) -> str:
    """Return plain values as YAML, which `load_yaml` reads back equal."""
    return yaml.safe_dump(raw, sort_keys=False, allow_unicode=True, width=100)


def override(raw: object, assignments: Sequence[str]) -> object:
    """Return a copy of `raw` with each "a.0.b=value" applied. The value is read as YAML ("50", "true", "[1, 2]").

    Paths in it are relative to the current folder, as everywhere on the command line.
    """
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator or not path:
            raise ConfigError(
                f"--set {assignment}: the assignment is not of the form PATH=VALUE. Write it like stages.0.dim=50."
            )
        try:
            value = yaml.load(text, Loader=_StrictLoader)
        except YAML_FAULTS:
            raise ConfigError(f"--set {assignment}: the value is not valid YAML. Put it in quotes.") from None
        raw = replace_at(raw, path.split("."), from_here(value), where=f"--set {assignment}")
    return raw


def replace_at(raw: object, keys: Sequence[str], value: object, *, where: str) -> object:
    """Return a copy of the nested plain value `raw` with `value` at the place that `keys` name."""
    if not keys:
        return value
    key, rest = keys[0], keys[1:]
    if isinstance(raw, list):
        if not re.fullmatch("[0-9]{1,9}", key) or int(key) >= len(raw):
            raise ConfigError(
                f"{where}: position {key!r} is not in the list of length {len(raw)}. Positions count from 0."
            )
        index = int(key)
        return [replace_at(item, rest, value, where=where) if i == index else item for i, item in enumerate(raw)]
    if isinstance(raw, Mapping) or raw is None:
        old = dict(raw or {})
        return {**old, key: replace_at(old.get(key), rest, value, where=where)}
    raise ConfigError(f"{where}: {key!r} cannot be set inside the plain value {raw!r}. Check the path.")


def value_at(raw: Any, keys: Sequence[str]) -> Any:
    """Return the plain value that `keys` name in a nested one; `replace_at` puts it there."""
    for key in keys:
        raw = raw[int(key)] if isinstance(raw, list) else raw.get(key) if isinstance(raw, Mapping) else None
    return raw


class _KeyGivenTwice(yaml.constructor.ConstructorError):
    """Key that a mapping holds twice."""


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a duplicate key."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise _KeyGivenTwice(None, None, f"{key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)
