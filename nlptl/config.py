"""Settings: the frozen base class, strict YAML in and out."""

from __future__ import annotations

import re
import typing
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from nlptl.errors import ConfigError
from nlptl.faults import did_you_mean, fault_sentences

__all__ = ["Config", "auto_or", "did_you_mean", "dump_yaml", "load_yaml", "override", "parse", "replace_at"]

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
        raise ConfigError(list(fault_sentences(model, error, where))) from None
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
