"""Write docs/reference.md: every setting of a pipeline file, from the types and docstrings of the settings themselves.

    python docs/reference.py [--check]

With --check nothing is written and a difference is an error.
"""

from __future__ import annotations

import re
import sys
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from nlptl.runs.pipeline import Pipeline

PAGE = Path(__file__).parent / "reference.md"
HEADER = """# Settings

Every setting of a pipeline file: what it takes, its default, and what it changes. In Python the same names are keyword arguments
of the stage, for example `FineTune(update={"method": "head"})`. `python docs/reference.py` writes this page from the settings'
docstrings.
"""
TAGS = ("stage", "method", "objective", "kind", "view")
"""Settings that tell the members of a union apart."""
NAMES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "`true` or `false`",
    "null": "`null`",
}
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}


@dataclass(frozen=True)
class Block:
    """One block of settings and the place where it stands."""

    model: type[BaseModel]
    path: str
    """Place in the file: the names of the settings above it, from the stage on."""
    level: int
    """Depth of its heading."""

    @property
    def tag(self) -> tuple[str, str] | None:
        """Return the setting that tells this block from the other members of its union, and the value."""
        for name in TAGS:
            field = self.model.model_fields.get(name)
            if field is not None and typing.get_origin(field.annotation) is Literal:
                return name, str(typing.get_args(field.annotation)[0])
        required = [name for name, field in self.model.model_fields.items() if field.is_required()]
        return (required[0], "…") if self.path.startswith("data.") and required else None

    @property
    def title(self) -> str:
        if self.tag is None:
            return f"{self.path}:"
        name, value = self.tag
        return value if name == "stage" else f"{self.path}: {{{name}: {value}}}"

    @property
    def link(self) -> str:
        label = f"`{{{self.tag[0]}: {self.tag[1]}}}`" if self.tag else "block"
        return f"[{label}](#{slug(self.title)})"


def main(check: bool) -> int:
    new = reference()
    if not check:
        PAGE.write_text(new, encoding="utf-8")
        return 0
    if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != new:
        print("docs/reference.md: it differs from the settings. Run make tables.", file=sys.stderr)
        return 1
    return 0


def reference() -> str:
    """Return the page: one section a block, in the order in which a file reaches them."""
    blocks = {block.model: block for block in blocks_below(Block(Pipeline, "pipeline", 2), set())}
    return HEADER + "".join(section(block, blocks) for block in blocks.values())


def blocks_below(block: Block, seen: set[type[BaseModel]]) -> Iterator[Block]:
    """Yield a block and those inside it, depth first, each model once."""
    if block.model in seen:
        return
    seen.add(block.model)
    yield block
    stem = "" if block.model is Pipeline else (block.tag[1] if block.tag and block.tag[0] == "stage" else block.path)
    for name, field in block.model.model_fields.items():
        for model in models_in(field.annotation):
            path = f"{stem}.{field.alias or name}".lstrip(".")
            yield from blocks_below(Block(model, path, 2 if block.model is Pipeline else 3), seen)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the blocks of settings that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from models_in(part)


def section(block: Block, blocks: Mapping[type[BaseModel], Block]) -> str:
    """Return the section of one block: heading, docstring, a row a setting."""
    schema = block.model.model_json_schema(by_alias=True)
    lines = [f"\n{'#' * block.level} {heading(block)}\n\n{prose(block.model.__doc__ or '')}\n"]
    rows = [
        row(field.alias or name, field, schema, blocks)
        for name, field in block.model.model_fields.items()
        if block.tag is None or name != block.tag[0] or block.tag[1] == "…"
    ]
    if rows:
        lines.append("\n| setting | takes | default | what it does |\n| --- | --- | --- | --- |\n" + "".join(rows))
    return "".join(lines)


def heading(block: Block) -> str:
    return "The file" if block.model is Pipeline else f"`{block.title}`"


def row(name: str, field: FieldInfo, schema: Mapping[str, Any], blocks: Mapping[type[BaseModel], Block]) -> str:
    inside = {model.__name__: blocks[model].link for model in models_in(field.annotation)}
    taken = takes(schema["properties"][name], inside)
    cells = [f"`{name}`", taken, default_of(field), prose(field.description or "")]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def takes(schema: Mapping[str, Any], links: Mapping[str, str]) -> str:
    """Return what a JSON schema allows, in words."""
    if "$ref" in schema:
        return links[re.split(r"/|__", schema["$ref"])[-1]]
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            found = [takes(part, links) for part in schema[name]]
            return ", ".join(dict.fromkeys(found)) if len(found) > 3 else " or ".join(dict.fromkeys(found))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of: {takes(schema.get('items', {}), links)}"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return f"block, each value: {takes(values, links)}" if isinstance(values, dict) else "block"
    name = NAMES.get(schema.get("type", ""), "any value")
    bounds = [f"{word} {number(schema[key])}" for key, word in BOUNDS.items() if key in schema]
    return name + (f", {' and '.join(bounds)}" if bounds else "")


def number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,g}"


def default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    text = yaml.safe_dump(plain(field.get_default(call_default_factory=True)), default_flow_style=True, width=10_000)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


def plain(value: Any) -> Any:
    """Return a default as plain values; a block is named by its tag alone."""
    if isinstance(value, BaseModel):
        return {name: getattr(value, name) for name in TAGS if name in type(value).model_fields}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def prose(docstring: str) -> str:
    """Return a docstring on one line, its angle brackets as text."""
    return " ".join(docstring.split()).replace("<", "&lt;").replace(">", "&gt;")


def slug(title: str) -> str:
    """Return the anchor that a heading gets on the web, where a blank before what is left out becomes a hyphen too."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
