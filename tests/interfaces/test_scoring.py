"""The command `evaluate`: what it refuses to overwrite, and what it tells of a test file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interfaces.commands import Shell

TEST = "text,label\na good film,positive\na bad film,negative\n"


@pytest.fixture
def test_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "cp.csv"
    path.write_text(TEST)
    (tmp_path / "link.csv").symlink_to(path)
    (tmp_path / "hard.csv").hardlink_to(path)
    return path


@pytest.mark.parametrize("save", ["cp.csv", "./cp.csv", "link.csv", "hard.csv"])
@pytest.mark.parametrize("test", ["cp.csv", "link.csv"])
def test_the_test_file_is_never_overwritten(
    test_file: Path, small_classifier: Path, shell: Shell, test: str, save: str
) -> None:
    for force in ((), ("--force",)):
        code, out, err = shell("evaluate", small_classifier, "--test", test, "--save", save, *force)
        told = f"--save: {Path(save)} is the file that --test reads; expected another one. Name another file.\n"
        assert (code, out, err) == (2, "", told)
        assert test_file.read_text() == TEST


def test_unknown_labels_are_told_with_their_rows(test_file: Path, small_classifier: Path, shell: Shell) -> None:
    test_file.write_text(TEST + "\nso,positiv\nso,\nso so,mixed\nso,positiv\n,negative\n")
    code, out, err = shell(
        "evaluate", small_classifier, "--test", "cp.csv", "--empty-label", "skip", "--empty-text", "skip", "-q"
    )
    assert (code, out) == (2, "")
    assert err == (
        "cp.csv:5: the classifier has no label 'positiv' (2 rows); its labels are 'negative', 'positive'. Did you mean "
        "'positive'? Correct or remove these rows, or train with the label.\n"
        "cp.csv:7: the classifier has no label 'mixed' (1 row); its labels are 'negative', 'positive'. Correct or remove the "
        "row, or train with the label.\n"
    )
