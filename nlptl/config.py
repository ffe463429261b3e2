"""Settings: the frozen base class, and the faults of settings as ConfigError."""

from __future__ import annotations

import contextlib
import copy
import numbers
import operator
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError

from nlptl.errors import ConfigError
from nlptl.faults import PREDICATE, did_you_mean, fault_sentences, shown
from nlptl.input_paths import in_file
from nlptl.plain_files import MAX_JSON, dump_yaml, load_json, load_yaml, override, replace_at, value_at

__all__ = [
    "MAX_JSON",
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

C = TypeVar("C", bound="Config")
SMALLEST = 1e-9  # that a positive setting may be
NUMBERS = {int: "a whole number", float: "a number"}


def _with_strict_numbers(schema: Any) -> Any:
    """Return pydantic's schema with numbers that take numbers alone."""
    if isinstance(schema, list | tuple):
        return type(schema)(_with_strict_numbers(part) for part in schema)
    if not isinstance(schema, dict):
        return schema
    strict = {"strict": True} if schema.get("type") in ("int", "float") else {}
    return {name: _with_strict_numbers(part) for name, part in schema.items()} | strict


def _with_plain_numbers(value: Any) -> Any:
    """Return plain values with Python's numbers and truth values for those of NumPy and others, where they are equal."""
    if type(value) in (list, tuple):
        return type(value)(map(_with_plain_numbers, value))
    if type(value) is dict:
        return {key: _with_plain_numbers(item) for key, item in value.items()}
    if type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    if isinstance(value, int | float) or not isinstance(value, numbers.Real):
        return value
    plain = int(value) if isinstance(value, numbers.Integral) else float(value)
    return plain if plain == value else value


class Config(BaseModel):
    """Validated, frozen settings. Unknown fields are refused; a field's docstring is its description.

    Made in Python, wrong settings raise ConfigError with the sentences of YAML. It is no ValueError.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, populate_by_name=True, allow_inf_nan=False
    )

    def __init__(self, **settings: Any) -> None:
        """Validate the settings. Raises ConfigError with one sentence a fault."""
        with _told_in_python(type(self)):
            super().__init__(**{name: _with_plain_numbers(value) for name, value in settings.items()})

    # Without this mark pydantic would call the method for blocks inside blocks too, and lose their place.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """Validate plain values. Raises ConfigError with one sentence a fault."""
        with _told_in_python(cls):
            return super().model_validate(_with_plain_numbers(obj), **options)

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """Validate JSON. Raises ConfigError with one sentence a fault."""
        with _told_in_python(cls):
            return super().model_validate_json(json_data, **options)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other settings, which are validated as new ones are."""
        if not update:
            return super().model_copy(deep=deep)
        old = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**(copy.deepcopy(old) if deep else old) | dict(update))

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse the change of a setting."""
        if name.startswith("_"):
            super().__setattr__(name, value)
            return
        here = type(self).__name__
        raise ConfigError(
            f"{here}.{name} cannot be changed, since settings are frozen. Make new ones: "
            f"settings.model_copy(update={{{name!r}: ...}})."
        )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Refuse truth values and texts where a number is meant, which pydantic would turn into one."""
        return typing.cast("CoreSchema", _with_strict_numbers(handler(source)))


def auto_or(kind: type[int] | type[float], *, least: float, most: float) -> BeforeValidator:
    """Return a validator that accepts "auto" or a number from `least` to `most`. SMALLEST as `least` is told as "above 0"."""
    number = NUMBERS[kind]
    lower = "above 0" if least == SMALLEST else f"of at least {least:g}"

    def checked(value: object) -> object:
        if value == "auto" and isinstance(value, str):
            return value
        is_number = isinstance(value, (int, kind)) and not isinstance(value, bool)
        too_much = is_number and most < typing.cast("float", value) < float("inf")
        if not is_number or not least <= typing.cast("float", value) <= most:
            expected = f"auto or {number} {f'of at most {most:,}' if too_much else lower}"
            raise PydanticCustomError(
                PREDICATE, "is {found}, but must be {expected}.", {"found": shown(value), "expected": expected}
            )
        return value

    within = typing.Annotated[kind, Field(ge=least, le=most)]  # type: ignore[valid-type]  # kind is a value here
    return BeforeValidator(checked, json_schema_input_type=within | typing.Literal["auto"])


def parse(model: type[C], raw: object, *, where: str, folder: Path | None = None) -> C:
    """Validate plain values. ConfigError tells all faults; `where` names the file or object that holds them.

    Paths in them are relative to `folder`, or to the current one.
    """
    try:
        return super(Config, model).model_validate(_with_plain_numbers(raw), context=in_file(folder))
    except ValidationError as error:
        raise ConfigError(list(fault_sentences(model, error, where))) from None
    except ConfigError as error:  # of a check that `model` itself makes
        raise ConfigError([f"{where}: {fault}" for fault in error.faults]) from None


@contextlib.contextmanager
def _told_in_python(model: type[Config]) -> Iterator[None]:
    """Turn pydantic's faults of settings that were made in Python into ConfigError."""
    try:
        yield
    except ValidationError as error:
        raise ConfigError(list(fault_sentences(model, error, model.__name__, in_python=True))) from None


def whole_number(value: Any) -> int | None:
    """Return a whole number, of NumPy too, as an int; None for anything else, True and False among them."""
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None
