"""The commands `refresh`, `versions` and `rollback`: every sentence that they print."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from nlptl.config import load_json
from nlptl.interfaces.server.loaded_model import load_model, stamp_of_run
from nlptl.results import write_result
from nlptl.runs.refresh.version_list import roll_back
from nlptl.versions import RunVersions, current_run
from tests.interfaces.commands import Shell
from tests.runs.refresh.conftest import RunCopy
from tests.runs.refresh.new_rows import Rows, rows, write


def test_a_refresh_tells_what_became_of_the_rows_and_what_to_do_next(
    shell: Shell, copied: RunCopy, poisoned: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied("much")
    monkeypatch.chdir(run.parent)
    write(Path("more.csv"), poisoned)
    code, out, _ = shell("refresh", "run", "--labelled", "more.csv")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) <= 25
    assert lines[0] == "120 rows: 71 are learnt, 33 held out, 16 in quarantine."
    assert lines[1] == (
        "In quarantine: 10 with a planted phrase, 6 with a doubtful label. See run/versions/2/quarantine.csv"
    )
    assert lines[2].split("  ")[0] == "version"
    assert lines[4].startswith("1, in use before  60 ")
    assert lines[5].startswith("2, new            131 ")
    assert " ".join(lines[6:-5]).startswith(
        "Judged on 60 texts of the test and 33 new texts, which are held out for good: neither version has learnt them. The new "
        "version is not worse by more than 2 points: "
    )
    assert lines[-5:] == [
        "Version 2 is in use now.",
        'Use it:       nlptl predict run "A text of your own."',
        "All versions: nlptl versions run",
        "Looked at it: nlptl refresh run --trust --labelled ROWS-THAT-ARE-RIGHT.csv",
        "Go back:      nlptl rollback run",
    ]


def test_a_version_that_is_not_used_is_told_with_the_way_to_use_it(shell: Shell, copied: RunCopy) -> None:
    run = copied("much")
    file = write(run.parent / "more.csv", rows(4, seed=71))
    code, out, _ = shell("refresh", run, "--labelled", file, "--margin", "0", "--trust")
    assert code == 0
    lines = out.splitlines()
    assert "Version 2 is not used; version 1 stays in use." in lines
    assert lines[-1] == f"Use the new:  nlptl rollback {run} --to 2"
    assert current_run(run) == run


def test_the_same_rows_again_are_told(shell: Shell, copied: RunCopy) -> None:
    run = copied("refreshed")
    file = write(run.parent / "more.csv", rows(120, seed=5))
    code, out, _ = shell("refresh", run, "--labelled", file, "--trust")
    told = " ".join(out.split())
    assert code == 0
    assert told.startswith(
        "Nothing was done: version 2, which is in use, was made of the same rows. The new version is better: "
    )
    assert told.endswith("Add other rows, or give these together with more: --labelled FILE --labelled MORE.")
    assert shell("rollback", run)[0] == 0
    _, out, _ = shell("refresh", run, "--labelled", file, "--trust")
    assert "version 2, which is not in use, was made" in " ".join(out.split())
    assert out.splitlines()[-1] == f"Use it:  nlptl rollback {run} --to 2"


def test_versions_are_listed_with_their_scores(shell: Shell, copied: RunCopy) -> None:
    run = copied("refreshed")
    code, out, _ = shell("versions", run)
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split() == [
        "version",
        "when",
        "from",
        "rows",
        "added",
        "quarantined",
        "right",
        "in",
        "%",
        "before",
        "state",
    ]
    assert lines[2].split() == ["1", "kept"]
    found = RunVersions.read(run)
    assert found is not None
    (second,) = [one for one in found.versions if one.number == 2]
    assert lines[3].split()[:6] == ["2", *second.when[:16].split("T"), "1", "120", "0"]
    assert lines[3].endswith("in use")
    assert lines[-1] == f"Go back:  nlptl rollback {run} --to 1"


def test_a_run_that_was_never_refreshed_is_its_own_version(shell: Shell, copied: RunCopy) -> None:
    code, out, _ = shell("versions", copied("much"))
    assert code == 0
    (last,) = out.splitlines()[2:]
    assert last.split() == ["1", "in", "use"]


def test_a_version_of_which_nothing_was_left_to_train_is_no_choice(shell: Shell, copied: RunCopy) -> None:
    run = copied("much")
    file = write(run.parent / "more.csv", rows(8, seed=1))
    _, out, _ = shell("refresh", run, "--labelled", file, "-q")
    assert [line for line in out.splitlines() if "In quarantine" not in line and "quarantine.csv" not in line] == [
        "8 rows: 0 are learnt, 0 held out, 8 in quarantine.",
        "No new row is left, so nothing was trained.",
        "Version 2 is not used; version 1 stays in use.",
    ]
    code, out, _ = shell("versions", run)
    assert code == 0
    assert out.splitlines()[3].endswith("  not trained")
    assert out.splitlines()[4:] == ["Not trained: no new row was left."]
    code, _, err = shell("rollback", run, "--to", "2")
    assert code == 2
    assert " ".join(err.split()) == (
        f"--to: version 2 was not trained, since no new row was left; expected version 1. List them: nlptl "
        f"versions {run}"
    )
    assert "Use it" not in shell("refresh", run, "--labelled", file)[1]


def test_a_version_whose_files_were_removed_is_not_offered(shell: Shell, copied: RunCopy) -> None:
    run = copied("refreshed")
    assert shell("rollback", run)[0] == 0
    found = RunVersions.read(run)
    assert found is not None
    gone = [one.model_copy(update={"removed": one.number == 2}) for one in found.versions]
    found.model_copy(update={"versions": tuple(gone)}).write(run)
    file = write(run.parent / "more.csv", rows(120, seed=5))
    assert "Use it" not in shell("refresh", run, "--labelled", file, "--trust")[1]
    assert "rollback" not in shell("versions", run)[1]


def test_columns_are_asked_for_by_the_options_of_refresh(shell: Shell, copied: RunCopy) -> None:
    run = copied("much")
    file = run.parent / "only.csv"
    file.write_text("text\n" + "".join(f"{text}\n" for text, _ in rows(12, seed=41)), encoding="utf-8")
    code, _, err = shell("refresh", run, "--labelled", file, "-q")
    assert code == 2
    assert " ".join(err.split()).startswith(
        f"{file}: found no column with labels; expected one with a few different values, each in at least 3 rows. If a column "
        "holds labels, name it with `--label-column`."
    )
    _, _, err = shell("refresh", run, "--labelled", file, "--text-column", "body", "-q")
    assert " ".join(err.split()) == (
        f"{file}: there is no column 'body' with the texts; the columns are 'text'. Correct `--text-column`."
    )
    _, _, err = shell("refresh", run, "--labelled", file, "--labelled", file, "-q")
    assert " ".join(err.split()) == f"--labelled: {file} is named twice. Name it once."


def test_a_rollback_takes_one_command_and_another_one_goes_forward(shell: Shell, copied: RunCopy) -> None:
    run = copied("refreshed")
    code, out, _ = shell("rollback", run)
    assert code == 0
    assert " ".join(out.split()) == (
        f"Version 1 is in use now: {run}. Nothing was removed. Go forward: nlptl rollback {run} --to 2"
    )
    assert current_run(run) == run
    assert shell("versions", run)[1].splitlines()[-1] == f"Go forward:  nlptl rollback {run} --to 2"
    code, out, _ = shell("rollback", run, "--to", "2")
    assert code == 0
    assert out.splitlines()[-1] == f"Go back:  nlptl rollback {run} --to 1"
    assert current_run(run) == run / "versions" / "2"
    assert shell("rollback", run, "--to", "2")[1] == "Version 2 is in use already.\n"


def test_predict_and_show_follow_the_version_in_use(shell: Shell, copied: RunCopy) -> None:
    run = copied("refreshed")
    text = "a stale and rotten thing of old"
    now = shell("predict", run, text, "--proba", "-q")[1]
    assert now == shell("predict", run / "versions" / "2", text, "--proba", "-q")[1]
    assert shell("rollback", run)[0] == 0
    before = shell("predict", run, text, "--proba", "-q")[1]
    assert before != now
    assert before == shell("predict", run / "3-finetune", text, "--proba", "-q")[1]


def test_a_server_sees_that_another_version_is_in_use(copied: RunCopy) -> None:
    run = copied("refreshed")
    before, second = stamp_of_run(run), load_model(run, device="cpu")
    roll_back(run)
    first = load_model(run, device="cpu")
    assert stamp_of_run(run) != before
    assert (first.folder, second.folder) == (run / "3-finetune", run / "versions" / "2" / "3-finetune")
    assert first.version != second.version


def test_a_folder_of_start_works_as_a_run(shell: Shell, copied: RunCopy) -> None:
    run = copied("refreshed")
    (run.parent / "start.json").write_text("{}", encoding="utf-8")
    assert shell("rollback", run.parent)[0] == 0
    assert current_run(run) == run
    assert shell("versions", run.parent)[1] == shell("versions", run)[1]


def test_a_first_version_has_none_before_it(shell: Shell, copied: RunCopy) -> None:
    run = copied("much")
    code, _, err = shell("rollback", run)
    assert code == 2
    assert " ".join(err.split()) == (
        f"{run}: version 1 is in use, which was made from no other; expected a version to go back to. Name one with --to: "
        f"nlptl versions {run}"
    )
    assert not (run / "versions").exists()


def test_an_unknown_version_is_refused(shell: Shell, copied: RunCopy) -> None:
    run = copied("refreshed")
    code, _, err = shell("rollback", run, "--to", "7")
    assert code == 2
    assert " ".join(err.split()) == (
        f"--to: found 7; expected one of the versions 1, 2. List them: nlptl versions {run}"
    )


def test_a_version_whose_files_are_gone_is_refused(shell: Shell, copied: RunCopy) -> None:
    run = copied("refreshed")
    assert shell("rollback", run)[0] == 0
    shutil.rmtree(run / "versions" / "2")
    code, _, err = shell("rollback", run, "--to", "2")
    assert code == 2
    assert " ".join(err.split()) == (
        f"{run / 'versions' / '2'}: the files of version 2 are gone; expected a whole run. Choose another version: nlptl "
        f"versions {run}"
    )


def test_a_version_whose_classifier_is_another_is_refused(shell: Shell, copied: RunCopy) -> None:
    run = copied("refreshed")
    assert shell("rollback", run)[0] == 0
    content = load_json(run / "versions.json", most=1 << 20)
    content["versions"][1]["classifier"] = "0"
    write_result(run / "versions.json", content)
    code, _, err = shell("rollback", run, "--to", "2")
    assert code == 2
    assert " ".join(err.split()) == (
        f"{run / 'versions' / '2'}: its classifier is not that which {run} lists as version 2; it was changed. Choose "
        f"another version: nlptl versions {run}"
    )


def test_a_margin_is_in_points(shell: Shell, copied: RunCopy) -> None:
    code, _, err = shell("refresh", copied("much"), "--labelled", "more.csv", "--margin", "60")
    assert code == 2
    assert " ".join(err.split()) == ("--margin: found 60; expected 0 to 50. Give points of accuracy, such as 2.")


def test_no_fewer_than_no_versions_are_kept(shell: Shell, copied: RunCopy) -> None:
    code, _, err = shell("refresh", copied("much"), "--labelled", "more.csv", "--keep", "-1")
    assert code == 2
    assert " ".join(err.split()) == (
        "--keep: found -1; expected a number from 0. Give how many versions keep their files."
    )


def test_a_run_of_an_encoder_is_refused(shell: Shell, copied: RunCopy) -> None:
    run = copied("much")
    settings = (run / "pipeline.yaml").read_text(encoding="utf-8")
    (run / "pipeline.yaml").write_text(settings[: settings.index("- stage: classification_head")], encoding="utf-8")
    code, _, err = shell("refresh", run, "--labelled", write(run.parent / "more.csv", rows(4, seed=1)))
    assert code == 2
    assert " ".join(err.split()) == (
        f"{run}: ends with an encoder; expected a classifier, which new labels refresh. Give another run."
    )


def test_a_stage_stands_for_its_run_and_a_version_is_no_run_of_its_own(shell: Shell, copied: RunCopy) -> None:
    run = copied("refreshed")
    assert shell("versions", run / "3-finetune")[1] == shell("versions", run)[1]
    code, _, err = shell("rollback", run / "versions" / "2")
    assert code == 2
    here = os.path.relpath(run)
    assert " ".join(err.split()) == (
        f"RUN: {run / 'versions' / '2'} is a version of the run {here}; expected the run itself. Give {here}."
    )


def test_a_folder_that_is_no_run_has_no_versions(shell: Shell, tmp_path: Path) -> None:
    code, _, err = shell("versions", tmp_path)
    assert code == 2
    assert " ".join(err.split()) == (
        f"RUN: {tmp_path} is no run; expected the folder of a run, which holds pipeline.yaml. Give one."
    )


def test_many_versions_are_cut(shell: Shell, copied: RunCopy) -> None:
    run = copied("much")
    more = {"made_from": 1, "decision": "not used", "classifier": "0"}
    every = [{"number": 1}, *({"number": number, **more} for number in range(2, 31))]
    RunVersions.model_validate({"in_use": 1, "versions": every}).write(run)
    lines = shell("versions", run)[1].splitlines()
    assert lines[0] == "14 older versions are left out; versions.json lists them."
    assert len(lines) <= 25
    assert lines[-3].split() == ["30", "1", "0", "0", "not", "used"]
