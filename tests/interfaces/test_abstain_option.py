"""`predict --abstain`: labels where the set has one, the set beside them, and what is told at the end."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path

import pytest

from nlptl.inference.abstention.abstention import PredictionSet
from nlptl.inference.abstention.conformal import SetCoverage
from nlptl.interfaces.abstaining import Abstaining
from nlptl.models.classifier import TextClassifier
from tests.conftest import small_reviews
from tests.interfaces.commands import Shell

TEXTS = ["The film is good and the plot was warm, number 3", "film", "The cast is dull and the plot was bad, number 8"]


@pytest.fixture
def sure(small_classifier: Path, tmp_path: Path) -> Path:
    (tmp_path / "in.csv").write_text(
        "".join(f"{cell}\n" for cell in ("id,text,set", *(f'{n},"{t}",x' for n, t in enumerate(TEXTS))))
    )
    return small_classifier


def test_a_label_stands_where_the_set_has_one(sure: Path, tmp_path: Path, shell: Shell) -> None:
    code, out, err = shell("predict", sure, "--file", tmp_path / "in.csv", "--keep", "--abstain", "0.85", "--proba")
    assert code == 0
    header, *rows = csv.reader(io.StringIO(out))
    assert header == [
        "id", "text", "set", "label", "predicted_set", "unknown", "novelty", "p_negative", "p_positive",
    ]  # fmt: skip
    found = TextClassifier.load(sure).predict_sets(TEXTS, 0.85)
    assert [row[3:6] for row in rows] == [
        [one.label or "", "|".join(one.labels), str(one.unknown).lower()] for one in found
    ]
    assert [float(row[6]) for row in rows] == pytest.approx([one.novelty for one in found], abs=1e-3)
    assert "the predictions stand in predicted_set" in " ".join(err.split())
    assert f"The label is empty for {sum(one.label is None for one in found)} of 3 texts" in " ".join(err.split())


def test_json_lines_of_stdin_hold_the_set_as_a_list(small_classifier: Path, shell: Shell) -> None:
    lines = "\n".join([TEXTS[0], "", TEXTS[1]]) + "\n"
    command = ("predict", small_classifier, "--abstain", "0.8", "--output", "jsonl", "--empty-text", "empty", "-q")
    code, out, err = shell(*command, stdin=lines)
    assert (code, err) == (0, "")
    rows = [json.loads(line) for line in out.splitlines()]
    found = TextClassifier.load(small_classifier).predict_sets([TEXTS[0], TEXTS[1]], 0.8)
    assert [row["set"] for row in rows] == [[*found[0].labels], None, [*found[1].labels]]
    assert [row["label"] for row in rows] == [found[0].label, None, found[1].label]
    assert rows[1] == {"text": "", "label": None, "set": None, "unknown": None, "novelty": None}


def test_without_the_option_nothing_is_added(small_classifier: Path, shell: Shell) -> None:
    code, out, _ = shell("predict", small_classifier, TEXTS[0])
    assert code == 0
    assert out.splitlines()[0] == "text,label"


def test_sets_that_cannot_be_promised_are_refused(small_classifier: Path, shell: Shell) -> None:
    code, out, err = shell("predict", small_classifier, TEXTS[0], "--abstain", "0.95")
    assert (code, out) == (2, "")
    assert err == (
        "--abstain: found 12 held-out texts, too few for a coverage of 0.95: each set would hold every label. Expected 19 at "
        "least. Lower it to 0.92, or label more texts.\n"
    )
    code, out, err = shell("predict", small_classifier, TEXTS[0], "--abstain", "90")
    assert (code, out) == (2, "")
    assert err == "--abstain: found 90; expected a share above 0 and below 1. Give one such as 0.9.\n"


def test_a_label_with_the_sign_between_labels_is_refused(small_classifier: Path, tmp_path: Path, shell: Shell) -> None:
    given = TextClassifier.load(small_classifier)
    odd = TextClassifier(given.encoder, given.head, ["a|b", "c"])
    odd.abstention = given.abstention
    odd.save(tmp_path / "odd")
    code, _, err = shell("predict", tmp_path / "odd", TEXTS[0], "--abstain", "0.8")
    assert code == 2
    assert err == (
        "--label-separator: found '|', which stands in the label 'a|b'; expected a sign that no label contains. Choose another "
        "one, or write --output jsonl.\n"
    )
    code, out, _ = shell("predict", tmp_path / "odd", "film", "--abstain", "0.8", "--label-separator", "/")
    assert code == 0
    assert out.splitlines()[1].split(",")[2] in ("a|b", "c", "a|b/c", "c/a|b")


def told(*sets: PredictionSet, coverage: SetCoverage) -> list[str]:
    class Fake:
        def sets_and_probabilities(self, texts: list[str], _: SetCoverage) -> tuple[list[PredictionSet], object]:
            import numpy as np

            return [*sets], np.zeros((len(texts), 2))

    counted = Abstaining(coverage)
    counted.answers(Fake(), ["text"] * len(sets))  # type: ignore[arg-type]
    return counted.sentences()


COVERAGE = SetCoverage(0.9, 32, 0.8, 0.97, 20, 18, is_approximate=False)
ONE, TWO = PredictionSet(("a",), False, 0.1, COVERAGE), PredictionSet(("b", "a"), False, 0.2, COVERAGE)
STRANGE, UNTOLD = PredictionSet(("a",), True, 1.4, COVERAGE), PredictionSet(("a",), None, None, COVERAGE)


def test_what_is_told_of_the_texts_and_of_the_promise() -> None:
    worth = (
        "A set holds the right label with a probability of 0.9 [0.80, 0.97], by 32 labelled texts, each judged by a classifier "
        "that had not learnt it. Of these 32 texts, 20 have one label in their set, which is right for 18 (0.90 [0.70, 0.97])."
    )
    assert told(ONE, ONE, ONE, ONE, TWO, STRANGE, coverage=COVERAGE) == [
        "The label is empty for 2 of 6 texts: several labels in the set of 1, no known label for 1.", worth,
        "Next: label some texts without a label, which teach most, and train again; or lower --abstain.",
    ]  # fmt: skip
    assert told(ONE, STRANGE, coverage=COVERAGE)[-1] == (
        "Next: look at the texts with unknown true; label some if they belong to the labels."
    )
    assert told(*[ONE] * 9, STRANGE, coverage=COVERAGE)[-1] == (  # a lower coverage leaves it unknown
        "Next: look at the texts with unknown true; label some if they belong to the labels."
    )
    single = dataclasses.replace(COVERAGE, single=1, right=1)
    assert told(ONE, coverage=single)[1].endswith(
        " 1 has one label in its set, which is right for 1 (1.00 [0.21, 1.00])."
    )
    assert told(ONE, coverage=COVERAGE) == [
        "The label is empty for 0 of 1 texts.", worth, "Next: raise --abstain for larger sets.",
    ]  # fmt: skip


def test_what_is_told_of_a_stand_in() -> None:
    coverage = SetCoverage(0.9, 32, 0.8, 0.97, 0, 0, is_approximate=True)
    assert told(UNTOLD, TWO, coverage=coverage)[1:-1] == [
        "A set holds the right label with a probability of about 0.9 [0.80, 0.97], by 32 labelled texts, each judged by a "
        "classifier that had not learnt it; none of these has one label in its set.",
        "The coverage is approximate, for layers learnt: a head on the encoder before that was held out. Texts in data.validation "
        "make it exact.",
        "Whether a text looks like no known label is not told, since too few texts show what known ones look like. Add "
        "data.unlabelled.",
    ]


def test_reviews_are_told_apart(small_classifier: Path) -> None:
    texts, labels = small_reviews(40, start=900)
    found = TextClassifier.load(small_classifier).predict_sets(texts, 0.8)
    assert sum(label in one.labels for label, one in zip(labels, found, strict=True)) >= 28
