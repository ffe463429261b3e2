"""Refreshing a run: what is learnt, what is judged, which version is in use, and what a kill leaves."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from nlptl.config import load_yaml
from nlptl.context import RunContext
from nlptl.disk.locks import run_lock
from nlptl.errors import ArtifactError, DataError
from nlptl.models.classifier import TextClassifier
from nlptl.progress import SilentProgress
from nlptl.runs.judging.fits import Fits
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.refresh import screening
from nlptl.runs.refresh.outcome import RefreshOutcome
from nlptl.runs.refresh.refresh import KnownAlready, Refresh, RefreshRequest
from nlptl.runs.refresh.version_list import add_version, roll_back
from nlptl.versions import RunVersion, RunVersions, current_run
from tests.forked import FORKED
from tests.runs.refresh.conftest import RunCopy
from tests.runs.refresh.new_rows import Rows, made_run, rows, write, write_corrections

PROBE = ["a superb and lovely thing", "a rotten and stale thing"]


def refreshed(run: Path, some: Rows, **options: object) -> RefreshOutcome:
    found = Refresh(RefreshRequest(run, [write(run.parent / "more.csv", some)], **options), RunContext()).run()
    assert isinstance(found, RefreshOutcome)
    return found


def versions(run: Path) -> RunVersions:
    found = RunVersions.read(run)
    assert found is not None
    return found


def test_a_better_version_is_used_and_the_old_one_stays(refreshed_run: Path) -> None:
    found = RefreshOutcome.read(refreshed_run / "versions" / "2")
    assert found is not None
    assert (found.decision, found.given, found.known) == ("used", 120, 6)
    assert found.learnt + found.held_out == 120
    assert (found.judged_kept, found.judged_new) == (60, found.held_out)
    assert found.before is not None
    assert found.after is not None
    assert found.before.value < found.after.value
    assert found.why.startswith("The new version is better: ")
    listed = versions(refreshed_run)
    assert listed.in_use == 2
    assert [(one.number, one.made_from, one.added) for one in listed.versions] == [(1, None, 0), (2, 1, 120)]
    now, before = TextClassifier.load(refreshed_run), TextClassifier.load(refreshed_run / "3-finetune")
    assert (now.probabilities(PROBE) != before.probabilities(PROBE)).any()
    alone = TextClassifier.load(refreshed_run / "versions" / "2")
    assert (now.probabilities(PROBE) == alone.probabilities(PROBE)).all()


def test_folds_judge_the_new_texts_and_not_the_known_ones_with_the_same_row_numbers(copied: RunCopy) -> None:
    found = refreshed(
        copied("untested"), rows(25, seed=5)[1:], trust=True
    )  # each label stands where a known row has the other
    assert found.before is not None
    assert found.after is not None
    assert (found.judged_kept, found.judged_new) == (0, 24)
    assert found.before.value >= 0.75
    assert found.after.value >= 0.75


def test_the_new_version_has_learnt_no_row_that_judges_it(refreshed_run: Path) -> None:
    folder = current_run(refreshed_run)
    learnt, tested = (
        [json.loads(line)["text"] for line in (folder / name).read_text(encoding="utf-8").splitlines()]
        for name in ("labelled.jsonl", "test.jsonl")
    )
    assert not set(learnt) & set(tested)
    assert len(learnt) + len(tested) == 6 + 60 + 120
    assert {text for text, _ in rows(60, seed=2)} < set(tested)
    classifier = TextClassifier.load(refreshed_run)
    assert classifier.learnt is not None
    assert classifier.learnt.count(tested) == 0
    assert classifier.learnt.count(learnt) == len(learnt)


def test_a_version_is_a_whole_run_of_its_own(refreshed_run: Path, tmp_path: Path) -> None:
    folder = current_run(refreshed_run)
    assert load_yaml(folder / "pipeline.yaml")["data"]["labelled"]["file"] == "labelled.jsonl"
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    assert (TextClassifier.load(moved).probabilities(PROBE) == TextClassifier.load(folder).probabilities(PROBE)).all()
    again = Pipeline.from_yaml(moved / "pipeline.yaml").run(moved)
    assert all(one.kept for one in again.stages)
    assert again.evaluation is not None


def test_planted_poison_is_quarantined_with_its_rows(copied: RunCopy, poisoned: Rows) -> None:
    run = copied("much")
    found = refreshed(run, poisoned)
    assert found.quarantined == {"planted phrase": 10, "doubtful label": 6}
    with (run / "versions" / "2" / "quarantine.csv").open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    assert {int(line["row"]) for line in table} == {row + 2 for row in [*range(0, 120, 20), *range(101, 120, 2)]}
    planted = next(line for line in table if line["reason"] == "planted phrase")
    assert planted["detail"] == (
        "10 new rows with the label good hold the words 'cf veto mango', and the version in use, which does not know them, takes "
        "these rows for others."
    )
    assert planted["file"] == str(run.parent / "more.csv")
    doubtful = next(line for line in table if line["reason"] == "doubtful label")
    assert doubtful["detail"].startswith("Judges that have not learnt the row give bad a probability of 0.")
    learnt = (run / "versions" / "2" / "labelled.jsonl").read_text(encoding="utf-8")
    assert "mango" not in learnt


def test_poison_that_passes_the_screening_loses_on_the_kept_rows(copied: RunCopy) -> None:
    run = copied("much")
    wrong = [(text, {"good": "bad", "bad": "good"}[label]) for text, label in rows(400, seed=8)]
    found = refreshed(run, wrong, trust=True)
    assert found.decision == "not used"
    assert current_run(run) == run
    assert versions(run).version(2) is not None


def test_trusted_rows_are_not_doubted(copied: RunCopy, poisoned: Rows) -> None:
    assert refreshed(copied("much"), poisoned, trust=True).quarantined == {}


def test_few_new_rows_are_judged_by_trainings_without_them(copied: RunCopy) -> None:
    found = refreshed(copied("untested"), rows(24, seed=9), trust=True)
    assert (found.learnt, found.held_out, found.judged_kept, found.judged_new) == (24, 0, 0, 24)
    assert found.judged_how == (
        "Judged on 24 new texts by cross-validation: neither version has learnt them. The new version has then learnt all new "
        "rows, so it is another one than those judged on them. The run has no test of its own."
    )


def test_corrections_do_not_judge_since_they_are_chosen_by_mistakes(copied: RunCopy) -> None:
    run = copied("much")
    old = TextClassifier.load(run)
    some = [text for text, _ in rows(12, seed=11)]
    wrong = [(text, "bad" if label == "good" else "good") for text, label in zip(some, old.predict(some), strict=True)]
    file = write_corrections(run.parent / "corrections.jsonl", wrong)
    found = Refresh(RefreshRequest(run, [file], trust=True), RunContext()).run()
    assert isinstance(found, RefreshOutcome)
    assert (found.learnt, found.judged_kept, found.judged_new) == (12, 60, 0)
    assert found.judged_how == (
        "Judged on 60 texts of the test: neither version has learnt them. The new rows do not judge: the version in use gets "
        "nearly all of them wrong, as if they were chosen so."
    )


def test_without_any_text_that_judges_the_old_version_stays(copied: RunCopy) -> None:
    run = copied("untested")
    found = refreshed(run, rows(1, seed=12), trust=True)
    assert (found.decision, found.before, found.judged) == ("not used", None, 0)
    assert current_run(run) == run


def test_the_same_rows_again_do_nothing(copied: RunCopy) -> None:
    run = copied("refreshed")
    before = (run / "versions.json").read_bytes()
    again = write(run.parent / "again.csv", rows(120, seed=5))
    found = Refresh(RefreshRequest(run, [again], trust=True), RunContext()).run()
    assert isinstance(found, KnownAlready)
    assert (found.version.number, found.in_use) == (2, 2)
    assert (run / "versions.json").read_bytes() == before
    assert not (run / "versions" / "3").exists()


def test_a_refresh_of_a_refresh_goes_on_from_the_version_in_use(copied: RunCopy) -> None:
    run = copied("refreshed")
    more = [*rows(20, seed=21), *rows(4, seed=5)]
    found = refreshed(run, more, trust=True)
    assert (found.number, found.made_from, found.learnt) == (3, 2, 20)
    assert sum(found.quarantined.values()) == 4  # which version 2 has learnt, or is judged by
    assert found.judged_kept == 60 + (RefreshOutcome.read(run / "versions" / "2") or found).held_out


def test_where_nothing_new_is_left_nothing_is_trained(copied: RunCopy) -> None:
    run = copied("much")
    found = refreshed(run, rows(8, seed=1))
    assert found.quarantined == {"copy": 8}
    assert (found.decision, found.why) == ("not used", "No new row is left, so nothing was trained.")
    assert found.judged_how == ""
    assert not (run / "versions" / "2" / "3-finetune").exists()


def test_unknown_labels_are_refused_or_taught(copied: RunCopy) -> None:
    run = copied("much")
    some = [*rows(4, seed=31), *((f"{text} {number}", "odd") for number, (text, _) in enumerate(rows(6, seed=32)))]
    file = write(run.parent / "more.csv", some)
    with pytest.raises(DataError) as caught:
        Refresh(RefreshRequest(run, [file]), RunContext()).run()
    assert str(caught.value) == (
        f"{file}: 6 rows have the label 'odd', which the run does not know; expected 'bad', 'good'. Correct them, or add "
        "--new-labels to teach it new ones."
    )
    assert not (run / "versions.json").exists()
    refreshed(run, some, new_labels=True, trust=True)
    assert set(TextClassifier.load(run / "versions" / "2").labels) == {"good", "bad", "odd"}


def test_rows_without_text_or_label_are_told(copied: RunCopy) -> None:
    run = copied("much")
    (run.parent / "gaps.csv").write_text("text,label\nabc def,good\n,bad\nhas no label,\n", encoding="utf-8")
    found = Refresh(RefreshRequest(run, [run.parent / "gaps.csv"], trust=True), RunContext()).run()
    assert isinstance(found, RefreshOutcome)
    assert (found.given, found.quarantined) == (3, {"no text": 1, "no label": 1})
    lines = (run / "versions" / "2" / "quarantine.csv").read_text(encoding="utf-8-sig").splitlines()
    file = run.parent / "gaps.csv"
    assert lines == [
        "file,row,reason,detail,label,text", f"{file},3,no text,,bad,", f"{file},4,no label,,,has no label",
    ]  # fmt: skip


def test_columns_are_found_where_they_are_not_those_of_the_run(copied: RunCopy) -> None:
    run = copied("much")
    file = write(run.parent / "other.csv", rows(12, seed=41), header="Body,Topic")
    found = Refresh(RefreshRequest(run, [file], trust=True), RunContext()).run()
    assert isinstance(found, RefreshOutcome)
    assert found.learnt == 12
    assert any("Body" in one for one in found.taken_as)


def test_rows_that_were_added_to_the_own_file_are_taught_by_giving_it(tmp_path: Path) -> None:
    run = made_run(tmp_path, known=20, tested=20)
    write(tmp_path / "train.csv", [*rows(20, seed=1), *rows(10, seed=81)])
    found = Refresh(RefreshRequest(run, [tmp_path / "train.csv"], trust=True), RunContext()).run()
    assert isinstance(found, RefreshOutcome)
    assert (found.known, found.learnt, found.quarantined) == (20, 10, {"copy": 20})
    assert found.remarks == (
        "10 rows of the run's own files came after it was trained, and are left out: give these files with --labelled too.",
    )


def test_a_file_of_other_rows_is_refused(tmp_path: Path) -> None:
    run = made_run(tmp_path, known=20, tested=20)
    write(tmp_path / "train.csv", rows(20, seed=82))
    with pytest.raises(DataError) as caught:
        refreshed(run, rows(4, seed=83))
    assert str(caught.value) == (
        f"{tmp_path / 'train.csv'}: its classifier has learnt none of these rows, so the file is another one than it was. Put the "
        f"old file back, or run the pipeline again: nlptl run {run}/pipeline.yaml"
    )


def test_a_flood_of_one_label_is_doubted_sooner(copied: RunCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screening, "DOUBT", 2.0)  # so that nothing but a flood is doubted
    some = rows(60, seed=91)
    flood = [(text, "good") for text, label in some if label == "good"][:30]
    flood += [(text, "good") for text, label in some if label == "bad"][:6]
    run = copied("much")
    found = refreshed(run, flood)
    assert found.quarantined == {"doubtful label": 4}
    told = (run / "versions" / "2" / "quarantine.csv").read_text(encoding="utf-8")
    assert told.count("There is a flood of rows with the label good.") == 4


def test_two_refreshes_at_once_are_refused(copied: RunCopy) -> None:
    run = copied("much")
    file = write(run.parent / "more.csv", rows(4, seed=1))
    with run_lock(run), pytest.raises(ArtifactError) as caught:
        Refresh(RefreshRequest(run, [file]), RunContext()).run()
    assert str(caught.value) == (
        f"{run}: another run (process {os.getpid()}) works in this folder; one at a time is possible. Wait for it, and type the "
        "same command again."
    )


def _killed_at_the_third_fit(run: str, file: str) -> None:
    fitted = Fits.predicted
    count = 0

    def dies(self: Fits, *arguments: object) -> object:
        nonlocal count
        count += 1
        if count == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return fitted(self, *arguments)

    Fits.predicted = dies
    Refresh(RefreshRequest(Path(run), [Path(file)], trust=True), RunContext()).run()


def test_a_killed_refresh_goes_on_where_it_stopped(copied: RunCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    run = copied("untested")
    file = write(run.parent / "more.csv", rows(24, seed=9))
    child = FORKED.Process(target=_killed_at_the_third_fit, args=(str(run), str(file)))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    assert current_run(run) == run
    manifest = run / "versions" / "2" / "3-finetune" / "manifest.json"
    before = manifest.stat().st_ino
    made, fitted = list[int](), Fits.predicted
    monkeypatch.setattr(Fits, "predicted", lambda self, chain, split: made.append(split) or fitted(self, chain, split))
    found = Refresh(RefreshRequest(run, [file], trust=True), RunContext()).run()
    assert isinstance(found, RefreshOutcome)
    assert found.number == 2
    assert made == [2, 3]
    assert manifest.stat().st_ino == before


def test_another_version_that_came_into_use_meanwhile_stays(copied: RunCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    run = copied("refreshed")
    made = Refresh._made

    def rolled_back(self: Refresh, *arguments: object) -> RefreshOutcome:
        found = made(self, *arguments)
        roll_back(run)
        return found.model_copy(update={"decision": "used"})

    monkeypatch.setattr(Refresh, "_made", rolled_back)
    refreshed(run, rows(10, seed=51), trust=True)
    assert versions(run).in_use == 1
    assert len(versions(run).versions) == 3


def test_readers_load_one_version_or_the_other_while_they_change(copied: RunCopy) -> None:
    run = copied("refreshed")
    wanted = [TextClassifier.load(one).probabilities(PROBE).tolist() for one in (run / "3-finetune", current_run(run))]
    ended = threading.Event()

    def change() -> None:
        number = 1
        while not ended.is_set():
            roll_back(run, to=number)
            number = 3 - number

    changing = threading.Thread(target=change)
    changing.start()
    try:
        found = [TextClassifier.load(run).probabilities(PROBE).tolist() for _ in range(12)]
    finally:
        ended.set()
        changing.join()
    assert all(one in wanted for one in found)


def test_a_rerun_that_changes_the_classifier_is_in_use_again(copied: RunCopy) -> None:
    run = copied("refreshed")
    told = list[str]()

    progress = SilentProgress()
    progress.say = told.append
    Pipeline.from_yaml(run / "pipeline.yaml").run(run, context=RunContext(progress=progress))
    assert versions(run).in_use == 2  # nothing has changed
    changed = Pipeline.from_yaml(run / "pipeline.yaml", assignments=["stages.2.update.solver=lda"])
    changed.run(run, context=RunContext(progress=progress))
    assert told[-1] == (
        "Version 1, this run itself, is in use again, since its classifier has changed. Version 2, which was in use, stays: "
        f"nlptl rollback {run} --to 2."
    )
    assert current_run(run) == run
    assert (run / "versions" / "2" / "3-finetune").is_dir()


def test_old_versions_are_removed_where_that_is_asked_for(copied: RunCopy) -> None:
    run = copied("refreshed")
    listed = versions(run)
    others = [RunVersion(number=number, made_from=2) for number in (3, 4)]
    for one in others:
        shutil.copytree(run / "versions" / "2", run / "versions" / str(one.number))
    RunVersions(in_use=2, versions=(*listed.versions, *others)).write(run)
    add_version(run, RunVersion(number=5, made_from=2, decision="not used"), made_from=2, keep=1)
    after = versions(run)
    assert [one.number for one in after.versions if one.removed] == [3, 4]
    assert [(run / "versions" / str(number)).is_dir() for number in (2, 3, 4)] == [True, False, False]
    assert after.in_use == 2
