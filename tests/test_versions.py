"""Versions of a run: which one is in use, and what readers make of a damaged list."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlptl.artifact import Manifest, publish, stage_folder
from nlptl.config import dump_yaml
from nlptl.errors import ConfigError
from nlptl.versions import (
    AGAIN,
    RunVersion,
    RunVersions,
    artifact_in_use,
    classifier_digest,
    current_run,
    run_of_version,
    version_folder,
)
from tests.published import refusal, write_hello


def made_run(folder: Path, *, seed: int = 1) -> Path:
    """Make a run of one stage, without a classifier."""
    settings = {"stage": "skipgram", "dim": seed}
    folder.mkdir(parents=True)
    (folder / "pipeline.yaml").write_text(dump_yaml({"stages": [settings]}), encoding="utf-8")
    publish(
        stage_folder(folder, 1, "skipgram"),
        write_hello,
        Manifest(kind="encoder", settings=settings, identity=f"i{seed}"),
    )
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a run with two versions, the second in use."""
    made_run(tmp_path / "run")
    made_run(version_folder(tmp_path / "run", 2), seed=2)
    RunVersions(in_use=2, versions=(RunVersion(number=1), RunVersion(number=2, made_from=1))).write(tmp_path / "run")
    return tmp_path / "run"


def test_a_run_alone_is_its_own_version(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    assert current_run(run) == run
    assert artifact_in_use(run) == run / "1-skipgram"
    assert artifact_in_use(run / "1-skipgram") == run / "1-skipgram"


def test_the_version_in_use_stands_for_the_run(run: Path) -> None:
    assert current_run(run) == run / "versions" / "2"
    assert artifact_in_use(run) == run / "versions" / "2" / "1-skipgram"
    assert artifact_in_use(run / "1-skipgram") == run / "1-skipgram"  # by its own folder, version 1 stays callable
    assert current_run(run / "versions" / "2") == run / "versions" / "2"
    found = RunVersions.read(run)
    assert found is not None
    RunVersions(in_use=1, versions=found.versions).write(run)
    assert artifact_in_use(run) == run / "1-skipgram"


def test_the_run_of_a_version_is_found(run: Path, tmp_path: Path) -> None:
    assert run_of_version(run / "versions" / "2") == run
    assert run_of_version(run) == run
    assert run_of_version(tmp_path / "versions" / "2") == tmp_path / "versions" / "2"


def test_a_digest_tells_classifiers_apart(tmp_path: Path) -> None:
    run, other = made_run(tmp_path / "run"), made_run(tmp_path / "other")
    assert classifier_digest(run) == classifier_digest(other)
    settings = {"stage": "skipgram", "dim": 1}
    manifest = Manifest(kind="encoder", settings=settings, identity="i1")

    def write(folder: Path) -> None:
        (folder / "tokenizer.json").write_text("bye", encoding="utf-8")

    publish(other / "1-skipgram", write, manifest, files=["tokenizer.json"])
    assert classifier_digest(run) != classifier_digest(other)


def test_a_changed_list_is_refused(run: Path) -> None:
    path = run / "versions.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"in_use": 2', '"in_use": 1'), encoding="utf-8")
    assert (
        refusal(lambda: current_run(run)) == f"{path}: differs from the digest that it holds; it was changed. {AGAIN}"
    )


def test_a_list_of_another_kind_is_refused(run: Path) -> None:
    from nlptl.results import write_result

    write_result(run / "versions.json", {"in_use": 7, "versions": [{"number": 1}]})
    expected = f"{run / 'versions.json'}: is no list of versions that this nlptl reads. {AGAIN}"
    assert refusal(lambda: current_run(run)) == expected


def test_a_version_that_has_gone_is_told(run: Path) -> None:
    (run / "versions" / "2").rename(run / "away")
    assert refusal(lambda: artifact_in_use(run)) == (
        f"{run / 'versions' / '2'}: is missing, though {run / 'versions.json'} names version 2 as the one in use. Type "
        f"nlptl rollback {run} --to 1."
    )


def test_two_versions_have_two_numbers() -> None:
    with pytest.raises(ConfigError, match="two have one number"):
        RunVersions.model_validate({"in_use": 1, "versions": [{"number": 1}, {"number": 1}]})
