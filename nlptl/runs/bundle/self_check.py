"""The check of a bundle: a process in which torch cannot be imported predicts what the source predicts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nlptl.errors import ArtifactError
from nlptl.inference.predictor import Predictor
from nlptl.runs.bundle.requirements import TRAINING_ONLY

PROBES = ("A text.", "Another one, which is somewhat longer and ends here: 1, 2, 3!", "text " * 40, "ein Satz, 映画, ٣")
TOLERANCE = 2e-3  # between probabilities, which are written with six digits; int8 rounds by the texts of a batch
SECONDS = 600.0  # that the process may take

WITHOUT_TRAINING = f"""
import importlib.abc, runpy, sys
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {sorted(TRAINING_ONLY)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Program that runs the script that its first argument names, where the libraries of training cannot be imported."""


def check_bundle(script: Path, source: Predictor, *, where: Path, code: Path | None = None) -> None:
    """Predict some texts by a bundle's script in a process of its own. Raises ArtifactError where it differs from its source.

    Errors begin with `where`. `code` is the folder of nlptl's code where that is not the script's own.
    """
    texts = [*PROBES, *(label for label in source.labels if len(label.splitlines()) == 1 and label.strip())]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TRAINING, str(script), "predict", "--proba", "--output", "jsonl", "--quiet"],
        input="\n".join(texts).encode(), capture_output=True, timeout=SECONDS, check=False, env=_environment(code or script.parent),
    )  # fmt: skip
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason was told"]
        raise ArtifactError(
            f"{where}: the bundle does not predict without torch ({reason[0]}), so nothing was published. This is a "
            "fault of nlptl: please report it."
        )
    rows = [json.loads(line) for line in done.stdout.decode().splitlines()]
    found = np.array([[row["probabilities"][label] for label in source.labels] for row in rows])
    apart = float(np.abs(found - source.probabilities(texts)).max())
    if not apart <= TOLERANCE:
        raise ArtifactError(
            f"{where}: the bundle predicts other probabilities (by {apart:.2g}) than its source, so nothing was "
            "published. This is a fault of nlptl: please report it."
        )


def checked_texts(labels: Sequence[str]) -> int:
    """Return the number of texts that `check_bundle` compares."""
    return len(PROBES) + len(labels)


def _environment(code: Path) -> dict[str, str]:
    """Return the environment in which the code of this folder is found first, and nothing is compiled into it."""
    return {**os.environ, "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1"}
