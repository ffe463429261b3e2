"""Results as JSON: damage and edits are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nlptl.artifact import read_manifest
from nlptl.errors import ArtifactError
from nlptl.results import read_result, read_result_line, result_line, seal_remark, write_result


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(ArtifactError) as caught:
        call()
    return str(caught.value)


def test_results_hold_a_digest_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    content = {"accuracy": 0.5, "labels": ["ä", "b"], "none": None, "nan": float("inf"), "deep": {"b": 1, "a": [1.5]}}
    assert read_result(path) is None
    write_result(path, content)
    assert read_result(path) == content
    path.write_text(path.read_text().replace("0.5", "0.995"))
    assert refusal(lambda: read_result(path)) == (
        f"{path}: differs from the digest that it holds; it was changed. Run the pipeline again."
    )
    for damaged in ("", "{", "[]", "3", '{"a": 1', "[" * 100_000):
        path.write_text(damaged)
        assert (
            refusal(lambda: read_result(path))
            == f"{path}: is no whole JSON file; it is damaged. Run the pipeline again."
        )
    path.write_text('{"accuracy": 0.5}')
    assert read_result(path) == {"accuracy": 0.5}, "of an early version"
    remark = f"{path}: holds no digest of its own, so a change would not be noticed. Run the pipeline again."
    assert seal_remark(path) == remark
    assert refusal(lambda: read_result(path, sealed_only=True)) == remark
    for digest in ("", None, 0):
        path.write_text(json.dumps({"accuracy": 0.5, "digest": digest}))
        assert refusal(lambda: read_result(path, sealed_only=True)) == remark
    write_result(path, content)
    assert seal_remark(path) == ""
    assert read_result(path, sealed_only=True) == content


UNDIGESTED = {"half a character": '"\\ud800"', "nested deeply": "[" * 990 + "]" * 990}
"""Values that JSON reads, and of which no digest can be made."""


@pytest.mark.parametrize("value", UNDIGESTED.values(), ids=UNDIGESTED.keys())
@pytest.mark.parametrize("end", ["", ', "digest": "ab"'])
def test_values_that_nlptl_never_writes_are_told_as_damage(value: str, end: str, tmp_path: Path) -> None:
    path, text = tmp_path / "evaluation.json", f'{{"accuracy": {value}{end}}}'
    path.write_text(text)
    assert refusal(lambda: read_result(path)).startswith(f"{path}: ")
    assert read_result_line(text) is None
    for key in ("identity", "report"):
        manifest = tmp_path / "manifest.json"
        manifest.write_text(f'{{"format_version": 1, "kind": "encoder", "{key}": {{"a": {value}}}{end}}}')
        assert refusal(lambda: read_manifest(tmp_path)).startswith(f"{manifest}: ")


def test_lines_of_results_hold_a_digest_of_their_own() -> None:
    line = result_line({"arm": "a", "accuracy": 0.5})
    assert read_result_line(line) == {"arm": "a", "accuracy": 0.5}
    assert read_result_line(line.replace("0.5", "0.6")) is None
    assert read_result_line(line[:-5]) is None
    assert read_result_line('{"arm": "a"}') is None, "without a digest"
