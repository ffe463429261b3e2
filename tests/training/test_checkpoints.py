"""Checkpoints that are removed, and what of others stays beside them."""

from __future__ import annotations

from pathlib import Path

import torch

from nlptl.training.checkpoints import Checkpoints, remove_checkpoints


def test_checkpoints_go_and_files_of_others_stay(tmp_path: Path) -> None:
    folder = tmp_path / ".1-bert.checkpoints"
    for name in ("a", "b/c"):
        checkpoints = Checkpoints(folder / name, identity="x", every_steps=1)
        checkpoints.keep(1, lambda: ({"w": torch.zeros(2)}, {"step": 1}))
        assert checkpoints.newest() is not None
    (folder / "a" / f".step-000000002.draft-{'7' * 39}").mkdir()
    remove_checkpoints(folder)
    assert not folder.exists()
    remove_checkpoints(folder)
    (folder / "a" / "step-000000003").mkdir(parents=True)
    (folder / "a" / "step-000000003" / "thesis.txt").touch()
    (folder / "link").symlink_to(tmp_path)
    remove_checkpoints(folder)
    assert sorted(path.name for path in folder.rglob("*")) == ["a", "link", "step-000000003", "thesis.txt"]


def test_a_changed_checkpoint_is_not_resumed_from(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "a", identity="x", every_steps=1)
    checkpoints.keep(1, lambda: ({"w": torch.zeros(2)}, {"step": 1, "loss": 0.5}))
    path = tmp_path / "a" / "step-000000001" / "counters.json"
    path.write_text(path.read_text().replace("0.5", "0.6"))
    assert checkpoints.newest() is None
