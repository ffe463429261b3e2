"""How big, how tangled and how wordy the package is, each count beside its bar.

    python benchmarks/house.py

prints the counts and writes benchmarks/results/house.json. A row of the result names where each count comes from.
"""

from __future__ import annotations

import ast
import re
import statistics
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import numpy as np
import results
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).parent.parent
PACKAGE = "nlptl"
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Module:
    """One file of the package."""

    path: str
    """Path inside the package."""
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())


@dataclass(frozen=True)
class Count:
    """One figure of the package."""

    name: str
    value: float
    at_most: float | None = None
    """Its bar; None where there is none."""
    where: Sequence[str] = ()
    """The places that make the count what it is."""


def main() -> Path:
    modules = read_modules(ROOT / PACKAGE)
    counts = count_all(modules)
    for count in counts:
        bar = "" if count.at_most is None else f"  (at most {count.at_most:,g})"
        print(f"{count.value:>8,g}  {count.name}{bar}")
        for place in count.where[:10]:
            print(f"          {place}")
    return results.write_result(
        "house",
        command="python benchmarks/house.py",
        seeds=[],
        rows=[*rooms(modules), *({"count": count.name, "where": list(count.where)} for count in counts if count.where)],
        bars=[bar_of(count) for count in counts],
        packages=["grimp", "import-linter"],
    )


def count_all(modules: Sequence[Module]) -> list[Count]:
    circles, climbs = tangles()
    members = update_members()
    return [
        Count("lines of the package", sum(module.lines for module in modules), 20_500),
        repeated("classes defined twice", class_homes(modules), at_most=0),
        Count("circles among modules", len(circles), 0, circles),
        Count("imports that run upstairs", len(climbs), 0, climbs),
        Count("median words of a docstring sentence", statistics.median(all_words(modules)), 11),
        longest_function(modules),
        Count("lines of README.md", len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()), 150),
        repeated("module names that recur", module_homes(modules)),
        Count("isinstance tests over members of `update:`", len(found := tests_of(members, modules)), 0, found),
    ]


def read_modules(package: Path) -> list[Module]:
    """Return every module of a package, sorted by path."""
    texts = {path.relative_to(package).as_posix(): path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    return [Module(path, text, ast.parse(text)) for path, text in sorted(texts.items())]


def bar_of(count: Count) -> dict[str, Any]:
    bar: dict[str, Any] = {"name": count.name, "value": count.value}
    return bar if count.at_most is None else {**bar, "at_most": count.at_most}


def rooms(modules: Sequence[Module]) -> list[dict[str, Any]]:
    """Return the lines and the median words of a docstring sentence of each room."""
    found: dict[str, list[Module]] = {}
    for module in modules:
        found.setdefault(module.path.split("/")[0] if "/" in module.path else "ground files", []).append(module)
    return [
        {
            "room": room,
            "modules": len(inside),
            "lines": sum(module.lines for module in inside),
            "median_words": statistics.median(all_words(inside)),
        }
        for room, inside in sorted(found.items())
    ]


# Names


def class_homes(modules: Sequence[Module]) -> dict[str, list[str]]:
    """Return where each class is defined."""
    homes: dict[str, list[str]] = {}
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(module.path)
    return homes


def module_homes(modules: Sequence[Module]) -> dict[str, list[str]]:
    """Return where each module name stands; every package has an __init__, which does not count."""
    homes: dict[str, list[str]] = {}
    for module in modules:
        name = PurePosixPath(module.path).name
        if name != "__init__.py":
            homes.setdefault(name, []).append(module.path)
    return homes


def repeated(name: str, homes: Mapping[str, Sequence[str]], *, at_most: float | None = None) -> Count:
    twice = {key: places for key, places in sorted(homes.items()) if len(places) > 1}
    return Count(name, len(twice), at_most, [f"{key}: {', '.join(places)}" for key, places in twice.items()])


# Imports


def tangles() -> tuple[list[str], list[str]]:
    """Return the circles among modules and the imports that run upstairs; imports for type checking count."""
    import grimp

    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    imports = {
        module: {name for name in graph.find_modules_directly_imported_by(module) if name != module}
        for module in sorted(graph.modules)
    }
    circles = [" ↔ ".join(sorted(group)) for group in strongly_connected(imports) if len(group) > 1]
    climbs = [
        f"{module} → {name}"
        for module, names in imports.items()
        for name in sorted(names)
        if any(is_climb(module, name, contract) for contract in layer_contracts())
    ]
    return sorted(circles), climbs


def layer_contracts() -> list[dict[str, Any]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [one for one in settings["tool"]["importlinter"]["contracts"] if one["type"] == "layers"]


def is_climb(module: str, imported: str, contract: Mapping[str, Any]) -> bool:
    """Say whether an import leads to a higher floor of a contract, or to a neighbour on the same floor."""
    floors = {
        f"{container}.{room.strip()}": number
        for container in contract["containers"]
        for number, layer in enumerate(contract["layers"])
        for room in layer.split("|")
    }
    rooms = [next((room for room in floors if f"{name}.".startswith(f"{room}.")), None) for name in (module, imported)]
    if rooms[0] is None or rooms[1] is None or rooms[0] == rooms[1]:
        return False
    return floors[rooms[1]] <= floors[rooms[0]]


def strongly_connected(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the groups of nodes that reach one another."""
    names = list(edges)
    matrix = np.array([[target in edges[name] for target in names] for name in names])
    _, groups = connected_components(matrix, directed=True, connection="strong")
    return [[names[place] for place in np.flatnonzero(groups == group)] for group in np.unique(groups)]


# Prose and functions


def all_words(modules: Sequence[Module]) -> list[int]:
    """Return the number of words of every docstring sentence, those of attributes too."""
    return [words for module in modules for text in docstrings(module.tree) for words in sentence_words(text)]


def docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        for statement in node.body if isinstance(node, ast.Module | Definition) else ():
            value = statement.value if isinstance(statement, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value


def sentence_words(text: str) -> Iterator[int]:
    """Yield the number of words of each sentence; what stands in backticks is one word."""
    text = re.sub(r"`[^`]*`", "code", re.sub(r"\n\s*\n", ". ", text))
    for sentence in re.split(r"(?<=[.?!])\s+", " ".join(text.split())):
        words = re.findall(r"[\w'’-]+", sentence)
        if words:
            yield len(words)


def longest_function(modules: Sequence[Module]) -> Count:
    lengths = [
        ((node.end_lineno or node.lineno) - node.lineno + 1, f"{module.path}: {node.name}")
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lengths.sort(reverse=True)
    return Count(
        "lines of the longest function", lengths[0][0], where=[f"{place} {lines}" for lines, place in lengths[:5]]
    )


# The union under `update:`


def update_members() -> dict[str, str]:
    """Return the class names of the members of `update:`, each with the module that defines it."""
    from nlptl.stages.finetune import FineTune

    return {member.__name__: member.__module__ for member in get_args(FineTune.model_fields["update"].annotation)}


def tests_of(members: Mapping[str, str], modules: Sequence[Module]) -> list[str]:
    """Return the isinstance tests over members outside the module that defines the member.

    A name counts where it is imported from the room of the member's module, and as an attribute of any module.
    """
    found = []
    for module in modules:
        imported = {
            alias.asname or alias.name: node.module or ""
            for node in ast.walk(module.tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
                names = {part.attr for part in ast.walk(node.args[1]) if isinstance(part, ast.Attribute)}
                names |= {part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name)} & {
                    name
                    for name, home in imported.items()
                    if name in members and home.startswith(members[name].rpartition(".")[0])
                }
                if foreign := sorted(names & members.keys()):
                    found.append(f"{module.path}:{node.lineno}: {', '.join(foreign)}")
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
