"""A wheel of nlptl brings its types along: mypy --strict reads them in the code of a user."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
USER = """
from nlptl import Encoder, Pipeline, SkipGram, TextClassifier, TextData

data = TextData(labelled=[("good", "a"), ("bad", "b")])
encoder: Encoder = SkipGram(dim=10).run(data=data)
reveal_type(TextClassifier.load("folder").predict(["good"]))
reveal_type(Pipeline.from_yaml("file.yaml"))
wrong: int = encoder.dim + "a"
"""
# The libraries below are not what is tested; to read torch's types alone takes 15 seconds.
SETTINGS = """
[mypy]
strict = true
plugins = pydantic.mypy

[mypy-torch.*,transformers.*,tokenizers.*,numpy.*,datasets.*]
follow_imports = skip
"""


def test_mypy_sees_the_types_of_an_installed_wheel(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    packages = _environment(tmp_path / "env")
    (wheel,) = tmp_path.glob("nlptl-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert "nlptl/py.typed" in archive.namelist()
        archive.extractall(packages)
    (tmp_path / "user.py").write_text(USER, encoding="utf-8")
    (tmp_path / "mypy.ini").write_text(SETTINGS, encoding="utf-8")
    seen = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--python-executable", "env/bin/python", "user.py"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        text=True,
    )
    lines = [line.split(": ", 1)[1] for line in seen.stdout.splitlines() if line.startswith("user.py")]
    assert lines == [
        'note: Revealed type is "list[str]"',
        'note: Revealed type is "nlptl.runs.pipeline.Pipeline"',
        'error: Unsupported operand types for + ("int" and "str")  [operator]',
    ], seen.stdout + seen.stderr


def _environment(folder: Path) -> Path:
    """Make a virtual environment that finds this one's packages; return where its own packages stand."""
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "below.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return packages
