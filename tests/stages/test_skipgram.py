"""Stage one of word vectors: engines and what they refuse, unseen words, phrases, going on from other vectors, kills."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import ConfigError
from nlptl.models.word_vector_files.export import export_vectors
from nlptl.pretraining.word2vec import cpu_engine
from nlptl.pretraining.word2vec.engine_choice import choose_engine
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import Phrases, SkipGram

CITIES = ["we went to new york by train", "new york is a city", "a new train is by the city"] * 20


def settings(**changes: Any) -> SkipGram:
    return SkipGram.model_validate({"dim": 8, "min_count": 1, "epochs": 3, **changes})


def learnt(texts: list[str], context: RunContext | None = None, **changes: Any) -> Any:
    context = context or RunContext(seed=7, device="cpu")
    return settings(**changes).run(data=TextData(unlabelled=texts), context=context)


@pytest.mark.parametrize("engine", ["gpu", "gensim", "ppmi"])
def test_only_the_processor_trains_subwords(engine: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(engine=engine, subwords={}).check(where="p.yaml: stages.0")
    assert str(caught.value) == (
        f"p.yaml: stages.0.subwords: found engine {engine}, which cannot train them; expected engine cpu. "
        "Choose engine: cpu or auto."
    )


def test_a_gpu_repeats_no_bits() -> None:
    with pytest.raises(ConfigError) as caught:
        settings(engine="gpu", deterministic=True).check(where="skipgram")
    assert str(caught.value) == (
        "skipgram.deterministic: found engine gpu, whose threads add in any order; expected engine cpu or gensim. "
        "Choose engine: cpu or auto."
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"negatives": 9},
            "negatives: found 9 with engine ppmi, which counts once and does not train; expected an engine that trains. "
            "Drop negatives, or choose engine: cpu.",
        ),
        (
            {"epochs": 3},
            "epochs: found 3 with engine ppmi, which counts once and does not train; expected an engine that trains. "
            "Drop epochs, or choose engine: cpu.",
        ),
        (
            {"vectors": "v.txt", "continue_training": True},
            "continue_training: found engine ppmi, which counts the pile anew and cannot continue from vectors; expected an "
            "engine that trains. Choose engine: cpu or auto.",
        ),
        (
            {"engine": "cpu", "smoothing": 0.5},
            "smoothing: found 0.5 with engine cpu, which does not count pairs; expected engine ppmi. Choose engine: ppmi, or "
            "drop smoothing.",
        ),
    ],
)
def test_settings_that_an_engine_does_not_read_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SkipGram.model_validate({"engine": "ppmi", **changes}).check(where="stages.0")
    assert str(caught.value) == f"stages.0.{told}"


def test_pairs_are_counted_and_factorised_in_one_pass() -> None:
    context = RunContext(seed=7, device="cpu")
    encoder = learnt(CITIES, context, engine="ppmi", epochs="auto", phrases={"threshold": 2.0, "min_count": 5})
    assert context.record.report["engine"] == "ppmi"
    assert context.record.report["epochs"] == 1
    assert "new_york" in encoder.words()
    assert encoder.encode(["a new city by the train"]).any()
    assert choose_engine("ppmi")[0] == "ppmi"
    SkipGram(engine="ppmi", epochs=0).check(where="the random vectors of an arm")


def test_auto_takes_the_processor_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    from nlptl.pretraining.word2vec import gpu_engine

    monkeypatch.setattr(gpu_engine, "available", lambda: False)
    assert choose_engine("auto")[0] == "cpu"
    monkeypatch.setattr(gpu_engine, "available", lambda: True)
    assert choose_engine("auto")[0] == "gpu"
    assert choose_engine("auto", device="cpu")[0] == "cpu"
    assert choose_engine("auto", subwords=True)[0] == "cpu"
    assert choose_engine("auto", deterministic=True)[0] == "cpu"


def test_unseen_and_misspelt_words_get_vectors() -> None:
    plain = learnt(CITIES)
    spelt = learnt(CITIES, subwords={"min": 3, "max": 4, "buckets": 10_000})
    assert not plain.encode(["trains"]).any()
    assert spelt.encode(["trains"]).any()
    near = spelt.encode(["trains", "train", "city"], normalize=True)
    assert near[0] @ near[1] > near[0] @ near[2]
    assert not spelt.encode(["zzzz"]).any(), "none of its n-grams was ever met"


def test_phrases_are_one_word_in_training_and_afterwards() -> None:
    context = RunContext(seed=7, device="cpu")
    encoder = learnt(CITIES, context, phrases={"threshold": 2.0, "min_count": 5})
    assert "new_york" in encoder.words()
    (ids,) = encoder.token_ids(["New York by train"])
    assert encoder.words()[ids[0]] == "new_york"
    assert "phrases were joined, such as " in context.record.sentences[0]
    sif = SentenceVectors(pooling="sif").run(encoder, data=TextData(unlabelled=CITIES))
    assert sif.encode(["new york"]).shape == (1, 8)


def test_phrases_true_takes_the_defaults() -> None:
    assert settings(phrases=True).phrases == Phrases()
    assert settings(phrases=False).phrases is None


def test_training_goes_on_from_other_vectors_with_new_words(tmp_path: Path) -> None:
    first = learnt(CITIES)
    first.save(tmp_path / "e")
    export_vectors(tmp_path / "e", tmp_path / "v.bin", format="keyedvectors")
    context = RunContext(seed=7, device="cpu")
    changes = {"dim": None, "vectors": str(tmp_path / "v.bin"), "continue_training": True, "epochs": 1}
    went_on = learnt(["a new boat went to the harbour"] * 9, context, **changes)
    assert {"boat", "harbour", "york", "train"} <= set(went_on.words())
    assert context.record.report["new_words"] == 2
    table, old = went_on.token_model.vectors, first.token_model.vectors
    york, before = went_on.words().index("york"), first.words().index("york")
    assert np.array_equal(table[york].detach().numpy(), old[before].detach().numpy()), "nothing was read about it"
    told = " ".join(context.record.sentences)
    assert "words continue from their vectors, 2 are new." in told
    assert "frequent old words' " in told

    as_they_are = settings(vectors=str(tmp_path / "v.bin"), dim=None).run(data=TextData())
    assert dict(zip(as_they_are.words(), as_they_are.token_model.counts.tolist(), strict=True)) == {
        **dict(zip(first.words(), first.token_model.counts.tolist(), strict=True)), "[UNK]": 0,
    }  # fmt: skip


def test_a_killed_stage_goes_on_and_tells_all_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def context() -> RunContext:
        return RunContext(
            seed=7, device="cpu", checkpoint_folder=tmp_path / "keep", run_identity="x", checkpoint_every_steps=1
        )

    whole = context()
    expected = settings(epochs=5).run(
        data=TextData(unlabelled=CITIES), context=dataclasses.replace(whole, checkpoint_folder=None)
    )
    train_epoch = cpu_engine._CpuTraining.train_epoch

    def killed(self: Any, epoch: int, *arguments: Any, **options: Any) -> int:
        if epoch == 3:
            raise KeyboardInterrupt
        return train_epoch(self, epoch, *arguments, **options)

    monkeypatch.setattr(cpu_engine._CpuTraining, "train_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        settings(epochs=5).run(data=TextData(unlabelled=CITIES), context=context())
    monkeypatch.setattr(cpu_engine._CpuTraining, "train_epoch", train_epoch)
    again = context()
    found = settings(epochs=5).run(data=TextData(unlabelled=CITIES), context=again)
    np.testing.assert_array_equal(found.encode(CITIES[:3]), expected.encode(CITIES[:3]))
    assert again.record.history == whole.record.history
    assert [row["epoch"] for row in again.record.history] == [1, 2, 3, 4, 5]
