"""JSON schema of the pipeline file, by which an editor completes, explains and checks it.

It comes from the types and docstrings of the settings. What depends on several settings at once only the program checks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import CoreSchema

from nlptl.data import DataSettings
from nlptl.plain_files import load_json
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.studies.comparison.arms import SHARED

FILE_NAME = "nlptl.schema.json"
"""Name under which `nlptl init` looks for the schema beside a new pipeline file."""
TITLE = "Pipeline file of nlptl"
MAX_BYTES = 1 << 24  # of a file that is looked at as a schema
MEANT_WITHOUT_TAG = ("auto",)  # `continue: {steps: 100}` has the objective auto
_DEFINITIONS = "#/$defs/"


def pipeline_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a pipeline file."""
    return Pipeline.model_json_schema(by_alias=True, schema_generator=_EditorSchema)


def schema_text() -> str:
    """Return the schema as the content of a JSON file."""
    return json.dumps(pipeline_schema(), indent=2, ensure_ascii=False) + "\n"


def is_schema(path: Path) -> bool:
    """Return whether a file is this schema, of any version of nlptl."""
    try:
        found = load_json(path, most=MAX_BYTES)
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("title") == TITLE


def schema_line(schema: Path) -> str:
    """Return the first line of a YAML file by which editors with YAML's language server find the schema."""
    return f"# yaml-language-server: $schema={schema}\n"


class _EditorSchema(GenerateJsonSchema):
    """Pydantic's schema, with what an editor shows and without what it repeats."""

    def generate(self, schema: CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        found = super().generate(schema, mode)
        definitions = found["$defs"]
        for union, tag in list(_unions(found)):
            for member in union:
                _require(definitions[member], tag)
        for definition in definitions.values():
            _set_title(definition)
        _describe_arms(found)
        return {"$schema": self.schema_dialect, **found, "title": TITLE}

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Leave out titles that only repeat a setting's name."""
        return False


def _unions(schema: Any) -> Iterator[tuple[list[str], str]]:
    """Yield the members of each tagged union and their tag, tidying descriptions and defaults on the way."""
    if isinstance(schema, list):
        for part in schema:
            yield from _unions(part)
    if not isinstance(schema, dict):
        return
    if isinstance(told := schema.get("description"), str):
        schema["description"] = re.sub(r"\s*\n\s*", " ", told)
    if _holds_blocks(schema.get("default")):
        del schema["default"]  # a whole block, which the settings inside tell one by one
    if "discriminator" in schema:
        union = schema.pop("discriminator")  # of OpenAPI; a constant tag in each member says the same
        yield [name.removeprefix(_DEFINITIONS) for name in union["mapping"].values()], union["propertyName"]
    for part in schema.values():
        yield from _unions(part)


def _holds_blocks(default: object) -> bool:
    return any(isinstance(one, dict) for one in (default if isinstance(default, list) else [default]))


def _require(definition: dict[str, Any], tag: str) -> None:
    """Ask for the tag of a union's member. One member may be meant where there is none."""
    if tag == "objective" and definition["properties"][tag]["const"] in MEANT_WITHOUT_TAG:
        return
    if tag not in definition.setdefault("required", []):
        definition["required"].insert(0, tag)


def _set_title(definition: dict[str, Any]) -> None:
    """Give a block the value of its tag as title, which an editor shows where it lists the members of a union."""
    del definition["title"]
    for value in definition["properties"].values():
        if "const" in value:
            definition["title"] = value["const"]


def _describe_arms(schema: dict[str, Any]) -> None:
    """Describe the settings that an arm of a comparison changes: paths such as "stages.0.epochs", or whole chains."""
    definitions, stages = schema["$defs"], schema["properties"]["stages"]
    members = [definitions[one["$ref"].removeprefix(_DEFINITIONS)] for one in stages["items"]["oneOf"]]
    data = definitions[DataSettings.__name__]["properties"]
    free = {name: value for name, value in data.items() if f"data.{name}" not in SHARED}
    inside = rf"(\.({_names(definitions.values())}|[0-9]+))*$"
    arm = {
        "type": "object",
        "properties": {"stages": stages, **{f"data.{name}": value for name, value in free.items()}},
        "patternProperties": {
            r"^stages\.[0-9]+$": stages["items"],
            rf"^stages\.[0-9]+\.({_names(members)}){inside}": {},
            rf"^data\.({'|'.join(free)}){inside}": {},
            r"^(stages\.[0-9]+\.priors|data\.label_names)\..+$": {},  # of a label
        },
        "additionalProperties": False,
    }
    definitions["Comparison"]["properties"]["arms"]["additionalProperties"] = arm


def _names(blocks: Iterable[Mapping[str, Any]]) -> str:
    """Return the names of all settings of some blocks, as a pattern."""
    return "|".join(sorted({name for block in blocks for name in block["properties"]}))
