"""Bundles: what they hold, that they run without torch from anywhere, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from nlptl import artifact
from nlptl.data import TextData
from nlptl.errors import ArtifactError, ConfigError
from nlptl.interfaces.bundling import bundle_lines
from nlptl.models.classifier import TextClassifier
from nlptl.runs.bundle import self_check
from nlptl.runs.bundle.bundle import bundle_run
from nlptl.runs.bundle.requirements import GRAPHS, PREDICT, SERVE, TRAINING_ONLY, installed_megabytes, requirements
from nlptl.runs.bundle.self_check import WITHOUT_TRAINING
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.ngrams import NgramVectors
from tests.conftest import small_reviews
from tests.models.exports.test_exports import classifier_of, exported
from tests.models.tiny import tiny_encoder

TEXT = "The film is good and the plot was warm"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "film-labels"
    data = TextData(unlabelled=small_reviews(40, start=500)[0], labelled=small_reviews(40))
    given = ClassificationHead().run(NgramVectors(dim=6).run(data=data), data=data)
    FineTune(update={"method": "head", "solver": "logistic"}).run(given, data=data).save(folder)
    return folder


@pytest.fixture(scope="module")
def bundled(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_run(classifier, tmp_path_factory.mktemp("bundles") / "films").path


def without_torch(
    script: Path, *arguments: str, at: Path, code: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(code or script.parent), "PYTHONDONTWRITEBYTECODE": ""}
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TRAINING, str(script), *arguments],
        cwd=at, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_bundle_predicts_a_file_without_torch_and_stays_whole(
    bundled: Path, classifier: Path, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text(f"text,number\n{TEXT},1\n")
    done = without_torch(bundled / "run.py", "predict", "--file", "in.csv", "--keep", "--abstain", "0.8", at=tmp_path)
    assert done.returncode == 0, done.stderr
    label = TextClassifier.load(classifier).predict([TEXT])[0]
    assert done.stdout.splitlines()[0] == "text,number,label,set,unknown,novelty"
    assert done.stdout.splitlines()[1].startswith(f"{TEXT},1,")
    assert label in done.stdout
    assert any(bundled.rglob("__pycache__")), "Python compiles what it runs"
    artifact.verify(bundled, artifact.read_manifest(bundled, kind="bundle"))
    again = bundle_run(classifier, bundled, force=True)
    assert re.search(r": written: \d+ kB of the model and \d\.\d MB of code\.$", bundle_lines(again)[0])
    assert not any(again.path.rglob("__pycache__"))


def test_what_a_bundle_holds(bundled: Path, classifier: Path) -> None:
    assert {path.name for path in bundled.iterdir()} == {
        ".dockerignore", "Dockerfile", "README.md", "manifest.json", "model", "nlptl", "nlptl.service", "requirements.txt",
        "run.py",
    }  # fmt: skip
    assert TextClassifier.load(bundled / "model").predict([TEXT]) == TextClassifier.load(classifier).predict([TEXT])
    names = [line.partition("  #")[0] for line in (bundled / "requirements.txt").read_text().splitlines()]
    assert names == [*PREDICT, *SERVE]
    readme = (bundled / "README.md").read_text()
    assert readme.startswith(
        "# film-labels: a text classifier\n\nIt gives a text one of 2 labels: `negative, positive`. It needs Python 3.11 or newer, "
        "and no torch.\n"
    )
    assert "$" not in readme
    assert 'NAME = "film-labels"' in (bundled / "run.py").read_text()


def test_the_script_alone_tells_how_it_is_used(bundled: Path, tmp_path: Path) -> None:
    done = without_torch(bundled / "run.py", at=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        'Run the classifier of this bundle.\n\npython run.py predict "A text."\npython run.py predict --file texts.csv --out '
        "labels.csv\npython run.py serve\n\n"
    )


def test_commands_of_training_say_what_is_missing(bundled: Path, tmp_path: Path) -> None:
    done = without_torch(bundled / "run.py", "explain", str(bundled / "model"), TEXT, at=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        "torch: is not installed, as in a bundle; this command needs it. Install nlptl whole: type `pip install .` in its "
        "checkout.\n",
    )


def test_a_wheel_is_whole_and_its_command_runs(classifier: Path, tmp_path: Path) -> None:
    made = bundle_run(classifier, tmp_path / "dist", form="wheel", name="Film labels")
    digest = artifact.read_manifest(classifier).digest[:12]
    assert made.path.name == f"film_labels-0.1.0+{digest}-py3-none-any.whl"
    with zipfile.ZipFile(made.path) as wheel:
        wheel.extractall(tmp_path / "site")
        record = f"film_labels-0.1.0+{digest}.dist-info/RECORD"
        rows = [line.rsplit(",", 2) for line in wheel.read(record).decode().splitlines()]
        assert sorted(name for name, _, _ in rows) == sorted(wheel.namelist())
        for name, stated, size in rows:
            content = wheel.read(name)
            if name != record:
                found = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
                assert (stated, int(size)) == (f"sha256={found}", len(content))
        metadata = wheel.read(record.replace("RECORD", "METADATA")).decode()
    assert [line for line in metadata.splitlines() if line.startswith("Requires-Dist")] == [
        f"Requires-Dist: {line}" for line in [*PREDICT, *SERVE]
    ]
    site = tmp_path / "site"
    commands = (site / record.replace("RECORD", "entry_points.txt")).read_text()
    assert commands == "[console_scripts]\nfilm-labels = film_labels.__main__:main\n"
    done = without_torch(site / "film_labels" / "__main__.py", "predict", TEXT, at=tmp_path, code=site)
    assert done.stdout.splitlines()[1] == f"{TEXT},{TextClassifier.load(classifier).predict([TEXT])[0]}"


def test_a_bundle_that_predicts_otherwise_is_not_published(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_check, "TOLERANCE", -1.0)
    with pytest.raises(
        ArtifactError, match=r"the bundle predicts other probabilities \(by \S+\) than its source, so nothing was"
    ):
        bundle_run(classifier, tmp_path / "films")
    assert [*tmp_path.iterdir()] == []


def test_a_bundle_that_needs_what_is_missing_is_not_published(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_check, "WITHOUT_TRAINING", WITHOUT_TRAINING.replace("'torch'", "'torch', 'safetensors'"))
    with pytest.raises(ArtifactError) as caught:
        bundle_run(classifier, tmp_path / "films")
    assert str(caught.value) == (
        f"{tmp_path / 'films'}: the bundle does not predict without torch (ModuleNotFoundError: No module named 'safetensors'), "
        "so nothing was published. This is a fault of nlptl: please report it."
    )
    assert [*tmp_path.iterdir()] == []


def test_nothing_is_overwritten_unasked(classifier: Path, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError) as exists:
        bundle_run(classifier, tmp_path / "films")
    assert str(exists.value) == (
        f"--out: {tmp_path / 'films'} exists; nothing was overwritten. Name another folder, or add --force."
    )
    with pytest.raises(ArtifactError) as foreign:
        bundle_run(classifier, tmp_path / "films", force=True)
    assert str(foreign.value) == (
        f"{tmp_path / 'films'}: holds mine.txt, which nlptl did not write; nothing was overwritten. Choose another path."
    )


@pytest.mark.parametrize("name", ["nlptl", "7", "a=b", "class", "a/b", 'a"b'])
def test_names_that_make_no_command_are_refused(name: str, classifier: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        bundle_run(classifier, tmp_path / "films", name=name)
    assert str(caught.value) == (
        f"--name: found {name!r}, which names no command; expected letters and digits, a letter first, and not nlptl. Give "
        "another one."
    )


def test_an_encoder_is_no_classifier(tmp_path: Path) -> None:
    NgramVectors(dim=4).run(data=TextData(unlabelled=small_reviews(20)[0])).save(tmp_path / "encoder")
    with pytest.raises(ArtifactError) as caught:
        bundle_run(tmp_path / "encoder", tmp_path / "out")
    assert str(caught.value) == (
        f"{tmp_path / 'encoder'}: holds an artifact of kind encoder; expected classifier. Give another folder."
    )


def test_requirements_are_the_projects_own(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    own = {*project["dependencies"], *extras["export"], *extras["openvino"], *extras["serve"]}
    assert {*PREDICT[1:], *GRAPHS.values(), *SERVE} <= own
    assert PREDICT[0].startswith("numpy")  # which torch and others bring to the project
    assert requirements("onnx") == [*PREDICT, "onnxruntime>=1.24", *SERVE]
    assert 20 < installed_megabytes(PREDICT) < installed_megabytes(requirements("onnx"))
    assert "torch" in TRAINING_ONLY


def test_the_files_in_the_documentation_are_those_of_a_bundle(root: Path, bundled: Path) -> None:
    for name in ("Dockerfile", "nlptl.service"):
        assert (root / "docs" / "ship" / name).read_text() == (bundled / name).read_text()


def test_a_manifest_lists_the_settings(bundled: Path) -> None:
    manifest = json.loads((bundled / "manifest.json").read_text())
    assert (manifest["kind"], manifest["settings"]) == (
        "bundle",
        {"name": "film-labels", "requirements": [*PREDICT, *SERVE]},
    )


SERVED = """
import json, os, runpy, signal, sys, threading, time, urllib.error, urllib.request
def ask(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", data, timeout=20) as answer:
        return json.load(answer)
def client():
    for _ in range(600):
        try:
            ask("/health")
            break
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    print(json.dumps([ask("/models"), ask("/predict", {"texts": TEXTS, "probabilities": True, "coverage": 0.8})]), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=client, daemon=True).start()
"""


def test_a_bundle_serves_without_torch(bundled: Path, classifier: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    texts = [TEXT, "bad"]
    client = SERVED.replace("PORT", str(port)).replace("TEXTS", repr(texts))
    done = subprocess.run(
        [sys.executable, "-c", client + WITHOUT_TRAINING, str(bundled / "run.py"), "serve", "--port", str(port)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(bundled)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (model,), answer = json.loads(done.stdout)
    assert (model["name"], model["labels"], model["can_abstain"]) == ("film-labels", ["negative", "positive"], True)
    expected = TextClassifier.load(classifier).predict_proba(texts)
    for found, row in zip(answer["predictions"], expected, strict=True):
        assert [*found["probabilities"].values()] == pytest.approx(row, abs=1e-5)
        assert set(found["set"]) <= {"negative", "positive"}


def test_an_export_is_bundled_and_its_runtime_tells_nobody(tmp_path: Path) -> None:
    classifier = classifier_of(tiny_encoder("bert"))
    made = bundle_run(exported(classifier, tmp_path / "tiny"), tmp_path / "bundle")
    names = [line.partition("  #")[0] for line in (made.path / "requirements.txt").read_text().splitlines()]
    assert "onnxruntime>=1.24" in names
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "CI")}
    done = subprocess.run(
        [sys.executable, str(made.path / "run.py"), "predict", TEXT], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={**kept, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1] == f"{TEXT},{classifier.predict([TEXT])[0]}"
    assert [*home.rglob("*")] == [], "ONNX Runtime would keep a number of the device here, and send it"


def test_a_transformer_for_numba_is_refused(tmp_path: Path) -> None:
    folder = exported(classifier_of(tiny_encoder("bert")), tmp_path / "export", format="safetensors", precision="int8")
    with pytest.raises(ConfigError) as error:
        bundle_run(folder, tmp_path / "bundle")
    assert str(error.value) == (
        "bundle: found a transformer in safetensors, which numba multiplies; expected a form without numba. Bundle the run with "
        "--format onnx or openvino."
    )
