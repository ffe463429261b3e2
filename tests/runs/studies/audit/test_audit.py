"""An audit of planted faults: each is found with its place, scores survive kills, and stale ones are refused."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nlptl.artifact import sealed
from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import ArtifactError, DataError
from nlptl.models.encoder import Encoder
from nlptl.runs.engines.encoding import EngineEncoding
from nlptl.runs.engines.engine import LocalEngine
from nlptl.runs.judging.encoder_at_hand import word_vectors
from nlptl.runs.judging.judged_chain import chain_of
from nlptl.runs.studies.audit import kept_parts
from nlptl.runs.studies.audit.audit import audit, check_same_data
from nlptl.runs.studies.audit.outcome import AuditResult, AuditThresholds
from nlptl.runs.studies.audit.text_encoder import AuditEncoder, encoder_of_stages
from tests.conftest import small_reviews

WRONG = 5  # row with another label
COPIES = 3  # of one text


def faulty() -> TextData:
    """Return labelled texts, a test and a pile with a fault of each kind."""
    texts, labels = small_reviews(60)
    labels[WRONG] = "negative" if labels[WRONG] == "positive" else "positive"
    labelled = [*zip(texts, labels, strict=True), (texts[10], labels[10]), (texts[10], labels[10])]
    labelled += [(texts[20], labels[21]), (texts[30].upper() + "!", labels[30])]
    tested, of_test = small_reviews(20, start=200)
    pile, _ = small_reviews(40, start=400)
    pile += [
        tested[0],
        tested[1].upper(),
        "!!! ???",
        "Це зовсім інша мова, і в ній не так багато слів, як це було",
    ]
    return TextData(labelled=labelled, test=[*zip(tested, of_test, strict=True)], unlabelled=pile)


@pytest.fixture(scope="module")
def encoder() -> AuditEncoder:
    """Return vectors of the words in the texts, trained once, of which two that are near count as paraphrases."""
    found = encoder_of_stages(chain_of(word_vectors()).stages, faulty(), RunContext(), name="words")
    made: Encoder = found.make()
    return dataclasses.replace(found, make=lambda: made, is_pretrained=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, encoder: AuditEncoder) -> Path:
    path = tmp_path_factory.mktemp("audit")
    audit(faulty(), path, encoder=encoder, command="nlptl audit texts.csv")
    return path


def result(folder: Path) -> AuditResult:
    found = AuditResult.read(folder)
    assert found is not None
    return found


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    path = folder / "audit" / name
    if not path.is_file():
        return []
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_each_fault_is_found_with_its_place(folder: Path) -> None:
    found, (texts, labels) = result(folder), small_reviews(60)
    counts = {one.kind: one.rows for one in found.findings}
    assert next((row["part"], row["row"], row["predicted"]) for row in rows(folder, "wrong-labels.csv")) == (
        "labelled", str(WRONG + 1), labels[WRONG],
    )  # fmt: skip
    assert [row["row"] for row in rows(folder, "contradictions.csv")] == ["21", "63"]
    assert [(row["group"], row["row"]) for row in rows(folder, "copies.csv")] == [("1", "11"), ("1", "61"), ("1", "62")]
    assert counts["copies"] == 2
    assert {("labelled", "31"), ("labelled", "64")} <= {
        (row["part"], row["row"]) for row in rows(folder, "near-copies.csv")
    }
    assert [(row["part"], row["row"]) for row in rows(folder, "leaks.csv")] == [("test", "1"), ("unlabelled", "41")]
    leaks = found.finding("leaks")
    assert leaks is not None
    assert leaks.remedy == "Remove them there; `nlptl run` leaves them out of what it learns."
    assert ("test", "2") in [(row["part"], row["row"]) for row in rows(folder, "near-leaks.csv")]
    assert [row["text"] for row in rows(folder, "wordless.csv")] == ["!!! ???"]
    assert [row["language"] for row in rows(folder, "languages.csv")] == ["Ukrainian"]
    wrong = found.finding("wrong_labels")
    assert wrong is not None
    assert wrong.examples[0].text == texts[WRONG]
    assert found.labels == {"negative": 44, "positive": 40}
    assert found.judges == ("a linear head", "the nearest labelled texts", "the words")
    assert all(one.table == "" or rows(folder, one.table) for one in found.findings)


def test_other_thresholds_compute_nothing(folder: Path, encoder: AuditEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Encoder:
        raise AssertionError("the encoder is not needed")

    before = result(folder)
    for name in ("near_copies", "nearest_rows", "left_out", "languages_of", "uncovered"):
        monkeypatch.setattr(f"nlptl.runs.studies.audit.scores.{name}", None)
    given = dataclasses.replace(encoder, make=fail)
    strict = AuditThresholds(suspects=0.99, near_copies=1.0, paraphrases=1.0, outliers=100)
    found = audit(faulty(), folder, encoder=given, thresholds=strict, command=before.command)
    assert [one.rows for one in found.findings if one.kind in ("wrong_labels", "near_leaks")] == [0, 1]
    assert not (folder / "audit" / "wrong-labels.csv").exists()
    assert rows(folder, "copies.csv")
    again = audit(faulty(), folder, encoder=given, command=before.command)
    assert again.findings == before.findings


def test_a_text_of_several_pairs_is_counted_once(folder: Path, encoder: AuditEncoder) -> None:
    before, loose = result(folder), AuditThresholds(paraphrases=0.85)
    found = audit(faulty(), folder, encoder=encoder, thresholds=loose, command=before.command)
    one, pairs = found.finding("paraphrases"), rows(folder, "paraphrases.csv")
    assert one is not None
    in_pairs = [(row["part"], row["row"]) for row in pairs]
    assert one.rows == len(set(in_pairs)) < len(in_pairs) // 2
    assert one.share <= 1
    audit(faulty(), folder, encoder=encoder, command=before.command)


def test_a_killed_audit_goes_on_from_what_is_kept(
    tmp_path: Path, folder: Path, encoder: AuditEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = kept_parts.write_atomically, list[str]()

    def killed(path: Path, content: Callable[..., Any]) -> None:
        write(path, content)
        written.append(path.name)
        raise KeyboardInterrupt

    monkeypatch.setattr(kept_parts, "write_atomically", killed)
    monkeypatch.setattr("nlptl.runs.studies.audit.scores.ENCODED_AT_ONCE", 50)
    for _ in range(30):
        try:
            found = audit(faulty(), tmp_path, encoder=encoder, command="nlptl audit texts.csv")
        except KeyboardInterrupt:
            assert not (tmp_path / "audit.json").exists()
        else:
            break
    assert len(written) == len(set(written)) > 8  # each part was computed once
    assert {"vectors-1.safetensors", "vectors-2.safetensors", "vectors-3.safetensors"} <= set(written)
    assert found.model_copy(update={"seconds": 0.0}) == result(folder).model_copy(update={"seconds": 0.0})


def test_texts_are_encoded_by_an_engine(
    tmp_path: Path, folder: Path, encoder: AuditEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlptl.runs.studies.audit.scores.ENCODED_AT_ONCE", 50)
    encode = EngineEncoding(LocalEngine())
    found = audit(faulty(), tmp_path, encoder=encoder, command="nlptl audit texts.csv", encode=encode)
    assert found.model_copy(update={"seconds": 0.0}) == result(folder).model_copy(update={"seconds": 0.0})


def test_a_part_that_was_cut_off_is_made_again(tmp_path: Path) -> None:
    import numpy as np

    kept, made = kept_parts.KeptParts(tmp_path), list[int]()

    def make() -> kept_parts.Arrays:
        made.append(1)
        return {"numbers": np.arange(3)}

    for _ in range(2):
        assert kept.of("part", "a", make)["numbers"].tolist() == [0, 1, 2]
    path = tmp_path / "part.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    kept.of("part", "a", make)
    kept.of("part", "b", make)
    assert len(made) == 3


def test_scores_of_other_data_are_refused(folder: Path) -> None:
    data = faulty()
    check_same_data(result(folder), data, folder)
    other = TextData(labelled=data.labelled, test=data.test, unlabelled=["another text"])
    with pytest.raises(ArtifactError) as caught:
        check_same_data(result(folder), other, folder)
    assert str(caught.value) == (
        f"{folder}/audit.json: belongs to other data than there are now (unlabelled changed), so its scores do not hold. Audit "
        "them again: nlptl audit texts.csv"
    )


@pytest.mark.parametrize("version", [0, 99, None])
def test_an_audit_of_another_version_is_refused(version: int | None, folder: Path, tmp_path: Path) -> None:
    content = {**json.loads((folder / "audit.json").read_text()), "version": version}
    (tmp_path / "audit.json").write_text(json.dumps(sealed(content)))
    with pytest.raises(ArtifactError) as caught:
        AuditResult.read(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/audit.json: was written by version {version} of the audit; expected version 1. Audit the data again."
    )


def test_an_audit_with_other_fields_or_a_change_is_refused(folder: Path, tmp_path: Path) -> None:
    content = json.loads((folder / "audit.json").read_text())
    (tmp_path / "audit.json").write_text(json.dumps(sealed({**content, "more": 1})))
    with pytest.raises(ArtifactError) as caught:
        AuditResult.read(tmp_path)
    assert str(caught.value) == f"{tmp_path}/audit.json: holds other fields than an audit has. Audit the data again."
    (tmp_path / "audit.json").write_text(json.dumps({**content, "encoded": 1}))
    with pytest.raises(ArtifactError, match="differs from the digest"):
        AuditResult.read(tmp_path)


def test_texts_without_labels_are_audited_as_far_as_that_goes(tmp_path: Path, encoder: AuditEncoder) -> None:
    found = audit(TextData(unlabelled=["one text here", "one text here", "another one"]), tmp_path, encoder=encoder)
    assert found.remarks == (
        "No row has a label, so labels are not judged; copies, lengths, languages and odd texts are.",
        "The language of 3 of 3 texts is not clear: too few common words.",
    )
    assert found.judges == ()
    assert {one.kind: one.rows for one in found.findings}["copies"] == 1
    assert found.finding("wrong_labels") is None


def test_texts_with_several_labels_are_audited_as_far_as_that_goes(tmp_path: Path, encoder: AuditEncoder) -> None:
    labelled = [("one text here", ["a", "b"]), ("one text here", ["a"]), ("more of it", [])]
    found = audit(TextData(labelled=labelled), tmp_path, encoder=encoder)
    assert found.remarks == (
        "Texts may have several labels, so labels are not judged; copies, lengths and languages are.",
        "The language of 3 of 3 texts is not clear: too few common words.",
    )
    assert {one.kind: one.rows for one in found.findings}["copies"] == 1


def test_one_label_cannot_be_judged(tmp_path: Path, encoder: AuditEncoder) -> None:
    found = audit(TextData(labelled=[("a text", "x"), ("b text", "x"), ("a text", "x")]), tmp_path, encoder=encoder)
    assert found.remarks == (
        "All labelled rows have the label 'x', so no label can be judged by the others.",
        "The language of 3 of 3 texts is not clear: too few common words.",
    )
    assert {one.kind: one.rows for one in found.findings}["rare_labels"] == 1


def test_what_is_left_out_of_many_texts_is_told(
    tmp_path: Path, encoder: AuditEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlptl.runs.studies.audit.scores.MAX_ENCODED", 30)
    monkeypatch.setattr("nlptl.runs.studies.audit.scores.MAX_LABELLED_ENCODED", 20)
    monkeypatch.setattr("nlptl.runs.studies.audit.scores.MAX_LOOKED_AT", 50)
    monkeypatch.setattr("nlptl.runs.judging.left_out.MAX_WORDS_TOGETHER", 50)
    found = audit(faulty(), tmp_path, encoder=encoder)
    assert found.encoded == 30
    assert found.remarks == (
        "Vectors were compared of 30 of 124 distinct texts, evenly spaced. Labels of 61 texts without one are judged by their "
        "words alone.",
        "Languages and word pieces were told of 50 of 128 rows, evenly spaced.",
    )
    assert str(WRONG + 1) in [row["row"] for row in rows(tmp_path, "wrong-labels.csv")]


def test_labels_that_nothing_judges_have_no_judges(tmp_path: Path, encoder: AuditEncoder) -> None:
    found = audit(TextData(labelled=[("one text", "x"), ("another text", "y")]), tmp_path, encoder=encoder)
    assert found.judges == ()
    assert found.remarks[0] == "2 rows are the only texts of their labels, so nothing judges them."


def test_rows_that_are_alone_with_their_label_are_told(tmp_path: Path, encoder: AuditEncoder) -> None:
    texts, labels = small_reviews(12)
    found = audit(TextData(labelled=[*zip(texts, labels, strict=True), ("alone", "rare")]), tmp_path, encoder=encoder)
    assert found.remarks == (
        "1 row is the only text of its label, so nothing judges it.",
        "The language of 1 of 13 texts is not clear: too few common words.",
    )


def test_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        audit(TextData(), tmp_path)
    assert str(caught.value) == "data: there is no text in any part; expected texts to audit. Give some."
