"""Plain values in YAML and JSON files: strict, of bounded size, read once and written so that they read back equal."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from nlptl.errors import ConfigError
from nlptl.faults import cut
from nlptl.input_paths import from_here

MAX_YAML = 2**19  # bytes of a YAML file
MAX_JSON = 2**28  # bytes of a JSON file that nlptl wrote: a manifest, a result, the counters of a checkpoint
MAX_YAML_VALUES = 100_000  # of a YAML file, aliases spelt out
# PyYAML raises these for !!int foo, a list as a key, or ten thousand brackets.
YAML_FAULTS = (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


def load_yaml(path: Path | str) -> object:
    """Read one YAML document of plain values. A duplicate key or a syntax error raises ConfigError with its line."""
    path = Path(path)
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder. Give a YAML file.")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_YAML + 1)
        text = content[:MAX_YAML].decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file. Give the path of a YAML file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the file cannot be read ({error}). It must be a YAML file in UTF-8.") from None
    if len(content) > MAX_YAML:
        raise ConfigError(
            f"{path}: the file has more than {MAX_YAML:,} bytes. Settings are shorter; give another file."
        )
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{path}:{_told_of_yaml(error)}") from None
    except RecursionError:
        raise ConfigError(f"{path}: its brackets or blocks are nested too deeply. Remove some of them.") from None
    except YAML_FAULTS as error:
        raise ConfigError(f"{path}: a value cannot be read as YAML ({error}). Put it in quotes.") from None


def load_json(path: Path, *, most: int) -> Any:
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
    return str(yaml.dump(raw, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100))


def override(raw: object, assignments: Sequence[str]) -> object:
    """Return a copy of `raw` with each "a.0.b=value" applied. The value is read as YAML ("50", "true", "[1, 2]").

    Paths in it are relative to the current folder, as everywhere on the command line.
    """
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        told = f"--set {cut(assignment)}"
        if not separator or not path:
            raise ConfigError(f"{told}: the assignment is not of the form PATH=VALUE. Write it like stages.0.dim=50.")
        try:
            value = yaml.load(text, Loader=_StrictLoader)
        except YAML_FAULTS:
            raise ConfigError(f"{told}: the value is not valid YAML. Put it in quotes.") from None
        raw = replace_at(raw, path.split("."), from_here(value), where=told)
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


def _told_of_yaml(error: yaml.MarkedYAMLError) -> str:
    """Return the line of a fault and a sentence on it."""
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    if isinstance(error, _KeyGivenTwice):
        return f"{line}: {error.problem}. Remove one of the two."
    if isinstance(error, _NotSpeltOut):
        return f"{line}: {error.problem}. Write the values out."
    if "constructor for the tag" in str(error.problem):
        return f"{line}: a tag with ! is not read, since settings are plain values. Remove it."
    return f"{line}: this is not valid YAML ({error.problem}). Check the indentation, colons and brackets of this line."


class _KeyGivenTwice(yaml.constructor.ConstructorError):
    """Key that a mapping holds twice."""


class _NotSpeltOut(yaml.constructor.ConstructorError):
    """Aliases that stand for too many values or for themselves, or a merge key."""


# As in YAML 1.2: 1e5 is a number; 1:30, 0x10, 010 and 1_000 are none, nor is a day a date.
PLAIN_NUMBERS = (
    (
        "tag:yaml.org,2002:float",
        re.compile(
            r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
        ),
    ),
    ("tag:yaml.org,2002:int", re.compile(r"[-+]?(?:0|[1-9][0-9]*)")),
)
OTHER_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a duplicate key and a flood of aliases, and reads plain numbers alone."""

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _check_values(node)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise _NotSpeltOut(None, None, "the merge key << is not read", key_node.start_mark)
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise _KeyGivenTwice(None, None, f"{key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        return float(str(self.construct_scalar(node)).lower().replace(".inf", "inf").replace(".nan", "nan"))


class _Dumper(yaml.SafeDumper):
    """SafeDumper that puts a text in quotes where `_StrictLoader` would read a number."""


def _resolve_plain_numbers() -> None:
    kept = {
        first: [(tag, pattern) for tag, pattern in pairs if tag not in OTHER_NUMBERS]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    _StrictLoader.yaml_implicit_resolvers = kept
    for tag, pattern in reversed(PLAIN_NUMBERS):
        whole = re.compile(f"(?:{pattern.pattern})$")
        _StrictLoader.add_implicit_resolver(tag, whole, list("-+0123456789."))
        _Dumper.add_implicit_resolver(tag, whole, list("-+0123456789."))
    _StrictLoader.add_constructor("tag:yaml.org,2002:float", _StrictLoader.construct_yaml_float)


_resolve_plain_numbers()


def _check_values(root: yaml.Node) -> None:
    """Raise _NotSpeltOut for a document that would be too large with its aliases spelt out. No node is visited twice."""
    sizes: dict[int, int] = {}  # of the values below each node; 0 while they are counted
    waiting = [root]
    while waiting:
        node = waiting[-1]
        value = node.value if isinstance(node, yaml.CollectionNode) else ()
        parts = [part for item in value for part in (item if isinstance(item, tuple) else (item,))]
        if id(node) not in sizes:
            sizes[id(node)] = 0
            waiting += [part for part in parts if id(part) not in sizes]
            if any(sizes.get(id(part)) == 0 for part in parts):
                raise _NotSpeltOut(None, None, "an alias stands for a value that contains it", node.start_mark)
            continue
        waiting.pop()
        sizes[id(node)] = 1 + sum(sizes[id(part)] for part in parts)
        if sizes[id(node)] > MAX_YAML_VALUES:
            told = f"aliases stand for more than {MAX_YAML_VALUES:,} values"
            raise _NotSpeltOut(None, None, told, node.start_mark)
