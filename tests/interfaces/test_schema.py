"""The command `schema`."""

from __future__ import annotations

import json
from pathlib import Path

from nlptl.interfaces.pipeline_schema import pipeline_schema
from tests.interfaces.commands import Shell


def test_the_schema_goes_to_stdout_or_into_a_file_that_it_replaces(shell: Shell, tmp_path: Path) -> None:
    code, out, err = shell("schema")
    assert (code, json.loads(out), err) == (0, pipeline_schema(), "")
    file = tmp_path / "nlptl.schema.json"
    file.write_text("{}")
    code, out, err = shell("schema", "--out", file)
    assert (code, out) == (0, "")
    assert json.loads(file.read_text()) == pipeline_schema()
    assert err.splitlines()[-1] == "# yaml-language-server: $schema=nlptl.schema.json"


def test_a_pipeline_file_is_not_replaced_by_the_schema(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("stages: []")
    code, _, err = shell("schema", "--out", file)
    told = f"--out: found {file}; expected a name that ends in .json. Write nlptl.schema.json.\n"
    assert (code, err, file.read_text()) == (2, told, "stages: []")
