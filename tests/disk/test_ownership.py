"""What is never overwritten: folders without the mark of nlptl, and what somebody put beside an artifact."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nlptl.disk.ownership import check_replaceable, is_marked, is_ours
from nlptl.errors import ArtifactError
from tests.published import published, read_hello, refusal

HUGGING_FACE = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


@pytest.mark.parametrize("manifest", [None, "{}", "[]", '{"name": "app", "version": 1}', "{", '{"files": {}}'])
def test_a_folder_without_the_mark_of_nlptl_is_not_overwritten(manifest: str | None, tmp_path: Path) -> None:
    """Names alone are no mark: transformers' folders have the same."""
    folder = tmp_path / "a"
    folder.mkdir()
    for name in HUGGING_FACE:
        (folder / name).write_text("theirs")
    if manifest is not None:
        (folder / "manifest.json").write_text(manifest)
    assert not is_ours(folder)
    named = "manifest.json, model.safetensors" if manifest is not None else "model.safetensors, tokenizer.json"
    assert refusal(lambda: published(folder)) == (
        f"{folder}: holds config.json, {named} and {1 + (manifest is not None)} more, which nlptl did not write; nothing was "
        "overwritten. Choose another path."
    )
    assert {path.read_text() for path in folder.iterdir()} == {"theirs", *([manifest] if manifest is not None else [])}
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("name", ["thesis.txt", "README.md", "adapter/thesis.txt", "own/", "adapter/own/", "link"])
def test_what_somebody_put_beside_an_artifact_is_not_removed_with_it(name: str, tmp_path: Path) -> None:
    folder = published(tmp_path / "a")
    other = folder / name
    other.parent.mkdir(exist_ok=True)
    if name == "link":
        other.symlink_to(tmp_path)
    elif name.endswith("/"):
        other.mkdir()
    else:
        other.touch()
    assert not is_ours(folder)
    assert f"{name.removesuffix('/')}, which nlptl did not write" in refusal(lambda: published(folder)).replace(
        "adapter, ", ""
    )
    assert other.exists()


def test_an_artifact_of_an_earlier_or_later_version_is_replaced(tmp_path: Path) -> None:
    folder = published(tmp_path / "a")
    for change in ({"format_version": 0}, {"format_version": 9, "kind": "ranker"}, {"unknown": 1}):
        raw = {**json.loads((folder / "manifest.json").read_text()), **change}
        (folder / "manifest.json").write_text(json.dumps(raw))
        assert is_ours(folder)
        check_replaceable(folder)
    (folder / ".DS_Store").touch()
    assert read_hello(published(folder)) == "hello"


def test_a_file_where_a_folder_should_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    assert refusal(lambda: published(tmp_path / "a")) == (
        f"{tmp_path / 'a'}: a file stands here; expected a folder or nothing. Nothing was overwritten. Choose another path."
    )
    assert (tmp_path / "a").read_text() == "mine"


@pytest.mark.parametrize("content", ["", "{}", "[]", "theirs", '{"labels": ["a"]}', "[" * 100_000])
def test_settings_of_another_tool_are_no_mark(content: str, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "encoder.json").write_text(content)
    assert not is_marked(folder)
    with pytest.raises(ArtifactError, match=r"encoder\.json, which nlptl did not write"):
        check_replaceable(folder, {"encoder.json"})
    (folder / "encoder.json").write_text('{"token_model": "word_vectors"}')
    assert is_marked(folder)
    check_replaceable(folder, {"encoder.json"})
