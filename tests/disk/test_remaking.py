"""Damaged folders name the command that made them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlptl.artifact import Manifest, publish, read_manifest, read_published
from nlptl.disk.remaking import EXPORT
from nlptl.errors import ArtifactError


def published(folder: Path, *names: str, bundle: bool = False) -> Path:
    def write(draft: Path) -> None:
        for name in names:
            (draft / name).write_text("{}", encoding="utf-8")

    publish(folder, write, Manifest(kind="bundle" if bundle else "classifier"))
    return folder


def faults(folder: Path) -> list[str]:
    """Return what is told of a changed file, of a missing one, and of a damaged manifest."""
    found = []
    for damage in (
        lambda: (folder / "a.json").write_text("[]", encoding="utf-8"),
        (folder / "a.json").unlink,
        lambda: (folder / "manifest.json").write_text("{", encoding="utf-8"),
    ):
        damage()
        with pytest.raises(ArtifactError) as caught:
            read_published(folder, read_manifest)
        found.append(str(caught.value))
    return found


@pytest.mark.parametrize("made", ["stage", "export", "bundle", "wheel"])
def test_a_damaged_folder_is_made_again_by_what_made_it(made: str, tmp_path: Path) -> None:
    above = published(tmp_path / "above", "run.py", bundle=True) if made == "bundle" else tmp_path
    if made == "wheel":
        (above / "__main__.py").touch()
    folder = published(above / "model", "a.json", *([] if made == "stage" else [EXPORT]))
    again = {"stage": "Run the stage again.", "export": "Export the run again."}.get(made, "Bundle it again.")
    path = folder / "a.json"
    assert faults(folder) == [
        f"{path}: differs from its digest in the manifest; it was changed. {again}",
        f"{path}: is missing though the manifest names it; the folder is damaged. {again}",
        f"{folder / 'manifest.json'}: is not a manifest that this version reads; the folder is damaged or of another version. "
        f"{again}",
    ]
