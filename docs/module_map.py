"""Write the map in docs/architecture.md: one line a module, from the first line of its docstring.

    python docs/module_map.py [--check]

The map stands between <!-- map --> and <!-- end -->; with --check nothing is written and a difference is an error.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "nlptl"
PAGE = ROOT / "docs" / "architecture.md"
ROOMS = (
    "interfaces",
    "runs",
    "word2vec",
    "stages",
    "finetuning",
    "pretraining",
    "evaluation",
    "models",
    "inference",
    "training",
    "data",
    "disk",
)
"""From the top floor down."""


def main(check: bool) -> int:
    old = PAGE.read_text(encoding="utf-8")
    new = page_with(module_map(PACKAGE), old)
    if not check:
        PAGE.write_text(new, encoding="utf-8")
    elif old != new:
        print("docs/architecture.md: the map differs from the package. Run make tables.", file=sys.stderr)
    return int(check and old != new)


def page_with(lines: str, page: str) -> str:
    """Return a page whose map is `lines`."""
    before, _, rest = page.partition("<!-- map -->\n")
    _, _, after = rest.partition("<!-- end -->")
    return f"{before}<!-- map -->\n{lines}<!-- end -->{after}"


def module_map(package: Path) -> str:
    """Return the map of a package: the ground files, then each room with its sentence and its modules."""
    unknown = {path.name for path in package.iterdir() if (path / "__init__.py").is_file()} - set(ROOMS)
    if unknown:
        raise SystemExit(f"docs/module_map.py: ROOMS does not name {', '.join(sorted(unknown))}. Add it.")
    ground = sorted(package.glob("*.py"))
    parts = ["### Ground files\n\n" + "".join(line_of(path, package) for path in ground)]
    for room in ROOMS:
        inside = [path for path in sorted((package / room).rglob("*.py")) if path.name != "__init__.py"]
        sentence = first_line(package / room / "__init__.py")
        parts.append(f"### {room}/\n\n{sentence}\n\n" + "".join(line_of(path, package / room) for path in inside))
    return "\n".join(parts)


def line_of(path: Path, room: Path) -> str:
    return f"- `{path.relative_to(room).as_posix()}` {first_line(path)}\n"


def first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
