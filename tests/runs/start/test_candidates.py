"""Which candidates are judged, and which encoder reads the texts."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

import pytest

from nlptl.data import DataSettings
from nlptl.models import weights
from nlptl.runs.judging.encoder_at_hand import EncoderAtHand, encoder_at_hand
from nlptl.runs.judging.judged_chain import JudgedChain
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.start.candidates import candidates_for
from nlptl.runs.start.files import pipeline_text


def at_hand(monkeypatch: pytest.MonkeyPatch, names: Container[str]) -> None:
    monkeypatch.setattr(weights, "is_at_hand", lambda name: name in names)


def kinds(candidates: tuple[JudgedChain, ...]) -> list[str]:
    return [one.kind for one in candidates]


def test_the_small_encoder_of_the_language_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = ("minilm", "e5", "intfloat/multilingual-e5-small", "sentence-transformers/all-mpnet-base-v2")
    at_hand(monkeypatch, everything)
    assert encoder_at_hand("en").weights == encoder_at_hand(None).weights == "minilm"
    assert encoder_at_hand("ja").weights == "intfloat/multilingual-e5-small"  # those of the package are rounded
    at_hand(monkeypatch, ("minilm", "e5"))
    assert [encoder_at_hand(code).weights for code in ("ja", "de", "en")] == ["e5", "e5", "minilm"]


def test_an_encoder_that_is_missing_comes_with_the_command_that_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    at_hand(monkeypatch, ())
    told = "No encoder for these texts is at hand, so they are read by words alone."
    assert encoder_at_hand("en") == EncoderAtHand(None, f"{told} Type pip install 'nlptl[minilm]' and start again.")
    assert encoder_at_hand("ja") == EncoderAtHand(None, f"{told} Type pip install 'nlptl[e5]' and start again.")
    assert encoder_at_hand("tlh") == EncoderAtHand(
        None, "No well-known encoder knows the language 'tlh', so the texts are read by word vectors alone."
    )


def test_label_names_are_tried_where_they_say_something_and_the_pile_where_it_is_learnt() -> None:
    minilm = EncoderAtHand("minilm")
    found = candidates_for(["good", "bad"], minilm, pile=300, few=True, minutes=1.0)
    assert kinds(found) == ["most frequent", "words", "word vectors", "names", "head", "auto without the pile", "auto"]
    assert kinds(candidates_for(["0", "1"], minilm, pile=300, few=False, minutes=1.0)) == [
        "most frequent", "words", "word vectors", "head", "auto",
    ]  # fmt: skip
    assert kinds(candidates_for(["good", "bad"], EncoderAtHand(None), pile=300, few=True, minutes=1.0)) == [
        "most frequent", "words", "word vectors",
    ]  # fmt: skip


def test_the_pipeline_file_reads_back_as_the_chain_of_the_candidate(tmp_path: Path) -> None:
    settings = DataSettings(
        labelled=str(tmp_path / "tickets.csv"), text_column="Text", label_column="Thema", empty_label="unlabelled", hold_out=0.2
    )  # fmt: skip
    folder = tmp_path / "out"
    folder.mkdir()
    for candidate in candidates_for(["good", "bad"], EncoderAtHand("minilm"), pile=300, few=True, minutes=2.5)[1:]:
        path = folder / "pipeline.yaml"
        path.write_text(pipeline_text(settings, candidate, folder, seed=13, why="It won."), encoding="utf-8")
        read = Pipeline.from_yaml(path)
        assert (tuple(read.stages), read.seed) == (candidate.stages, 13)
        assert read.data == settings
