"""The command `schema`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nlptl.interfaces.pipeline_schema import TITLE, pipeline_schema
from tests.interfaces.commands import Shell


def test_the_schema_goes_to_stdout_or_into_a_file_that_it_replaces(shell: Shell, tmp_path: Path) -> None:
    code, out, err = shell("schema")
    assert (code, json.loads(out), err) == (0, pipeline_schema(), "")
    file = tmp_path / "nlptl.schema.json"
    for old in (None, json.dumps({"title": TITLE})):
        if old is not None:
            file.write_text(old)
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


@pytest.mark.parametrize(
    "content",
    [
        '{"stages": [{"stage": "ngrams"}]}',
        '{"name": "a package"}',
        "[]",
        "",
        "{",
        "\ud800".encode("utf-8", "surrogatepass"),
    ],
)
def test_no_other_file_is_replaced(content: str | bytes, shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "pl.json"
    held = content.encode() if isinstance(content, str) else content
    file.write_bytes(held)
    code, _, err = shell("schema", "--out", file)
    told = (
        f"--out: {file} exists, and is no schema of nlptl; nothing was overwritten. Name another file, such as "
        "nlptl.schema.json.\n"
    )
    assert (code, err, file.read_bytes()) == (2, told, held)


def test_a_name_with_a_blank_is_not_advised_in_a_line_that_ends_there(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "sp ace é.json"
    code, _, err = shell("schema", "--out", file)
    assert (code, json.loads(file.read_text())["title"]) == (0, TITLE)
    assert " ".join(err.split()).endswith(
        "written. No line in a pipeline file can name it to an editor: its name has a blank."
    )
    assert "$schema=" not in err
