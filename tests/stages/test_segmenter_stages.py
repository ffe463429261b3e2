"""Stages whose words a segmenter cuts: the same with and without torch, saved and read back, and known by the dictionary."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlptl.context import RunContext
from nlptl.data import DataSettings, TextData
from nlptl.errors import ConfigError
from nlptl.evaluation.word_ageing import Words
from nlptl.finetuning.methods.self_training import VIEWS
from nlptl.inference.bert_words import BertWords
from nlptl.inference.segmenter import Segmenter, SegmenterSettings
from nlptl.inference.segmenting import cut, segmenting, without_segmenter
from nlptl.inference.settings_files import EncoderSettings
from nlptl.inference.static import StaticClassifier
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.neighbours import neighbours
from nlptl.pretraining.encoders.vocabulary import examined_words
from nlptl.pretraining.views.view_settings import cut_alike
from nlptl.runs.bundle.requirements import requirements
from nlptl.runs.chain import Chain, ExternalDigests
from nlptl.runs.judging.encoder_at_hand import EncoderAtHand
from nlptl.runs.judging.judged_chain import chain_of
from nlptl.runs.judging.segmenter_at_hand import segmenter_at_hand
from nlptl.runs.start.candidates import candidates_for
from nlptl.runs.start.files import pipeline_text
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.distil import Distil
from nlptl.stages.finetune import FineTune
from nlptl.stages.ngrams import NgramVectors
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram

pytest.importorskip("sudachipy")

SUDACHI = {"segmenter": "sudachi"}
GOOD, BAD = (
    ["面白い", "見事だ", "美しい", "楽しい", "暖かい"],
    ["退屈だ", "面白くない", "ひどい", "つまらない", "残念だ"],
)
THINGS = ["物語", "脚本", "演技", "音楽", "結末", "場面", "俳優", "監督"]
WORDS = {"dim": 8, "epochs": 5, "min_count": 1, "text": SUDACHI}


def japanese_reviews(count: int) -> tuple[list[str], list[str]]:
    texts = [
        f"この映画の{THINGS[n % 8]}は{(GOOD if n % 2 else BAD)[n // 2 % 5]}し、{THINGS[n // 3 % 8]}も{n}点だと思った。"
        for n in range(count)
    ]
    return texts, ["positive" if n % 2 else "negative" for n in range(count)]


@pytest.fixture(scope="module")
def data() -> TextData:
    texts, labels = japanese_reviews(64)
    return TextData(unlabelled=texts, labelled=(texts[:24], labels[:24]), test=(texts[24:], labels[24:]))


def trained(data: TextData, *stages: Any) -> TextClassifier:
    given: Any = None
    for stage in stages:
        given = stage.run(given, data=data, context=RunContext(seed=3))
    assert isinstance(given, TextClassifier)
    return given


HEAD = (ClassificationHead(), FineTune(update={"method": "head", "solver": "logistic"}))
CHAINS: dict[str, Any] = {
    "mean": (SkipGram(**WORDS), *HEAD),
    "subwords and phrases": (SkipGram(**WORDS, subwords={"min": 1, "max": 2}, phrases={"threshold": 1.0, "min_count": 2}), *HEAD),
    "ppmi, stop words": (SkipGram(dim=8, min_count=1, engine="ppmi", text={**SUDACHI, "stop_words": True}), *HEAD),
    "written, tweets": (
        SkipGram(**{**WORDS, "text": {"segmenter": {"name": "sudachi", "mode": "C", "forms": "written"}, "preset": "tweets"}}),
        SentenceVectors(pooling="tfidf"), *HEAD,
    ),
    "views": (
        SkipGram(**WORDS),
        SentenceVectors(views=[
            {"view": "word_vectors", "dim": 4, "epochs": 2, "min_count": 1, "text": SUDACHI},
            {"view": "ngrams", "dim": 5, "segmenter": "sudachi"},
        ]), *HEAD,
    ),
    "n-grams": (NgramVectors(dim=5, segmenter="sudachi"), *HEAD),
    "words": (NgramVectors(dim=5, segmenter="sudachi"), ClassificationHead(), FineTune(update={"method": "words"})),
    "distilled": (
        SkipGram(**WORDS), *HEAD, Distil(student={"kind": "ngrams", "segmenter": "sudachi", "characters": [1, 2]}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHAINS)
def test_words_are_the_same_everywhere(name: str, data: TextData, tmp_path: Path) -> None:
    """With and without torch, after a copy, saved and read; and each word of an explanation is one of the segmenter's."""
    classifier = trained(data, *CHAINS[name])
    texts = [*japanese_reviews(12)[0], "", "Apple製の 見知らぬ言葉、ﾊﾟｿｺﾝ", "no Japanese at all"]
    expected = classifier.probabilities(texts)
    assert np.ptp(expected[:12], axis=0).max() > 0.05
    classifier.save(tmp_path / "saved")
    loaded = TextClassifier.load(tmp_path / "saved")
    static = StaticClassifier.load(tmp_path / "saved")
    for other in (copy.deepcopy(classifier), loaded, static):
        assert np.allclose(other.probabilities(texts), expected, atol=1e-5)
    segmenter = loaded.encoder.segmenter
    assert segmenter is not None
    assert segmenter.version == SegmenterSettings().installed().version
    (explained,) = classifier.explain(texts[1:2])
    held = cut(texts[1], segmenter.model_copy(update={"forms": "written"})).split()
    assert {one.text.strip("、。") for one in explained.contributions} <= {*held, ""}


def test_a_sentence_is_split_into_words_that_the_vocabulary_holds(data: TextData) -> None:
    encoder = SkipGram(**WORDS).run(data=data)
    assert {"面白い", "無い", "映画", "退屈"} <= set(encoder.words())
    assert not {"この映画の物語は", "映", "しくない"} & set(encoder.words())
    (ids,) = encoder.token_ids(["結末は面白くない"])
    assert [encoder.words()[number] for number in ids] == ["結末", "は", "面白い", "無い"]


def test_gensim_learns_from_the_same_words(data: TextData) -> None:
    gensim = pytest.importorskip("gensim")
    settings = SegmenterSettings()
    encoder = SkipGram(**{**WORDS, "epochs": 1}).run(data=data)
    assert data.unlabelled is not None
    sentences = [
        [word for word in cut(text, settings.installed()).split() if any(map(str.isalnum, word))]
        for batch in data.unlabelled.batches() for text in batch
    ]  # fmt: skip
    peer = gensim.models.Word2Vec(sentences, vector_size=8, min_count=1, sg=1, epochs=1, workers=1, seed=1)
    assert set(encoder.words()) - {"[UNK]"} == set(peer.wv.index_to_key)
    counts = dict(zip(encoder.words(), encoder.token_model.counts.tolist(), strict=True))
    assert all(counts[word] == peer.wv.get_vecattr(word, "count") for word in peer.wv.index_to_key)


def chain(*stages: dict[str, Any]) -> Chain:
    return chain_of(list(stages))


def test_the_dictionary_enters_the_identity(data: TextData, monkeypatch: pytest.MonkeyPatch) -> None:
    stages: list[dict[str, Any]] = [
        {"stage": "skipgram", "text": SUDACHI}, {"stage": "ngrams", "segmenter": "sudachi"},
    ]  # fmt: skip
    views = [{"view": "word_vectors", "text": SUDACHI}, {"view": "ngrams", "segmenter": "sudachi"}]
    chains = [
        *(chain(stage) for stage in stages),
        chain({"stage": "skipgram"}, {"stage": "sentence_vectors", "views": views}),
        chain(
            {"stage": "skipgram"}, {"stage": "classification_head"},
            {"stage": "finetune", "update": {"method": "self_training", "views": views}},
        ),
    ]  # fmt: skip
    before = [one.identities(data, ExternalDigests())[-1].own for one in chains]
    assert [one.identities(data, ExternalDigests())[-1].own for one in chains] == before
    monkeypatch.setattr(SegmenterSettings, "installed_version", lambda self: "20200101")
    student = Distil(student={"kind": "ngrams", "segmenter": "sudachi"})
    assert student.external_digests() == {"student.segmenter": "sudachidict-small 20200101"}
    after = [one.identities(data, ExternalDigests())[-1].own for one in chains]
    assert all(first != second for first, second in zip(before, after, strict=True))


def test_settings_without_a_segmenter_are_those_of_before() -> None:
    """So that the identities of finished stages stay."""
    text = {"preset": "plain", "unicode": "NFKC", "lowercase": True, "stop_words": False, "keep_negations": True}
    assert SkipGram().model_dump(mode="json")["text"] == text
    assert "segmenter" not in NgramVectors().model_dump(mode="json")
    views = SentenceVectors(views=[{"view": "word_vectors"}, {"view": "ngrams"}]).model_dump(mode="json")["views"]
    assert [view.get("text", text) for view in views] == [text, text]
    assert not any("segmenter" in view for view in views)
    assert not SkipGram().external_digests()
    assert not SkipGram().watched_paths()
    (dictionary,) = SkipGram(text=SUDACHI).watched_paths()
    assert dictionary.name == "system.dic"
    assert dictionary.is_file()


def test_the_folder_tells_its_segmenter_and_one_without_reads_as_before(data: TextData, tmp_path: Path) -> None:
    SkipGram(**WORDS).run(data=data).save(tmp_path / "cut")
    SkipGram(dim=8, epochs=1, min_count=1).run(data=data).save(tmp_path / "plain")
    settings = json.loads((tmp_path / "cut" / "encoder.json").read_text(encoding="utf-8"))
    assert settings["segmenter"] == SegmenterSettings().installed().model_dump()
    plain = json.loads((tmp_path / "plain" / "encoder.json").read_text(encoding="utf-8"))
    assert plain == {"format_version": 1, "token_model": "word_vectors", "pooling": "mean", "normalized": False}
    assert Encoder.load(tmp_path / "plain").segmenter is None
    assert isinstance(Encoder.load(tmp_path / "cut").segmenter, Segmenter)


def test_missing_dictionaries_are_told_by_each_stage() -> None:
    full: Any = {"name": "sudachi", "dictionary": "full"}
    told = (
        ": found no dictionary full of SudachiPy, which cuts Japanese into words; expected it beside nlptl. Run pip install "
        "sudachidict-full."
    )
    view = {"view": "word_vectors", "text": {"segmenter": full}}
    cases: list[tuple[Any, str]] = [
        (SkipGram(text={"segmenter": full}), ".text.segmenter"),
        (NgramVectors(segmenter=full), ".segmenter"),
        (SentenceVectors(views=[view]), ".views.0.text.segmenter"),
        (
            FineTune(update={"method": "self_training", "views": [{"view": "ngrams", "segmenter": full}]}),
            ".update.views.0.segmenter",
        ),
        (Distil(student={"kind": "ngrams", "segmenter": full}), ".student.segmenter"),
        (Distil(student={"kind": "skipgram", "text": {"segmenter": full}}), ".student.text.segmenter"),
    ]
    for stage, place in cases:
        with pytest.raises(ConfigError) as error:
            stage.check(where="stages.0")
        assert str(error.value) == f"stages.0{place}{told}"


def test_texts_without_blanks_are_told(data: TextData) -> None:
    words = "skipgram.text: found Japanese texts and no segmenter, so each run of kana and each kanji stands for a word. Set "
    assert SkipGram().remarks(data) == [
        words + "`text: {segmenter: sudachi}`, which cuts them into words (pip install 'nlptl[ja]')."
    ]
    assert NgramVectors().remarks(data) == [
        "ngrams: found Japanese texts and no segmenter, so a sentence stands for a word. Set `segmenter: sudachi`, which cuts them "
        "into words (pip install 'nlptl[ja]')."
    ]
    assert not SkipGram(text=SUDACHI).remarks(data)
    assert not NgramVectors(segmenter="sudachi").remarks(data)
    chinese = TextData(unlabelled=["这部电影非常好看，演员的表演也很精彩。", "故事太长了，我不喜欢这个结局。"])
    assert SkipGram().remarks(chinese) == [
        "skipgram.text: found Chinese texts, for which there is no segmenter, so each run of kana and each kanji stands for a "
        "word. Use the update `words`, which counts runs of characters, or an encoder of the language by its path (stage bert, "
        "`weights: FOLDER`)."
    ]
    context = RunContext()
    SkipGram(dim=4, epochs=1, min_count=1).run(data=data, context=context)
    assert any(one.startswith(words) for one in context.record.sentences)


def test_a_start_cuts_japanese_where_the_package_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    found = segmenter_at_hand("ja")
    assert (found.name, found.remark) == ("sudachi", "The texts are Japanese, so SudachiPy cuts them into words.")
    assert segmenter_at_hand("en").name is None
    assert not segmenter_at_hand(None).remark
    chains = candidates_for(["a", "b"], EncoderAtHand(None), pile=10, few=True, minutes=1, segmenter=found.name)
    assert chains[1].stages[0].segmenter == chains[2].stages[0].text.segmenter == SegmenterSettings()
    written = pipeline_text(DataSettings(labelled="a.csv"), chains[2], Path(), seed=13, why="It is.")
    assert "    text:\n      segmenter: sudachi\n" in written
    monkeypatch.setattr("nlptl.runs.judging.segmenter_at_hand.segmenter_available", lambda: False)
    missing = segmenter_at_hand("ja")
    assert missing.name is None
    assert missing.remark == (
        "The texts are Japanese and nothing cuts them into words, so runs of characters stand for words. Type pip install "
        "'nlptl[ja]' and start again."
    )


def test_a_watch_counts_words_as_the_vocabulary_has_them(data: TextData) -> None:
    encoder = SkipGram(**WORDS).run(data=data)
    texts = ["この映画の結末は面白くない。", "脚本はイマイチだと思った。"]
    counts = Words.of(texts, encoder.segmenter).counts()
    assert {"面白い", "無い", "脚本"} <= set(counts)
    missed = {word.text for word in examined_words(encoder, counts) if word.unknown}
    assert missed == {"今一"}


def test_neighbours_are_found_by_the_vocabulary_and_by_text(data: TextData) -> None:
    encoder = SkipGram(**WORDS).run(data=data)
    assert neighbours(encoder, "面白く", count=3) == neighbours(encoder, "面白い", count=3)
    assert "無い" in encoder.words()
    assert len(neighbours(encoder, "無い", count=3)) == 3
    with pytest.raises(ConfigError) as error:
        neighbours(encoder, "面白くない映画")
    words = len(encoder.words()) - 1
    assert (
        str(error.value)
        == f"面白くない映画: found 3 words; expected one of the {words} words of the encoder. Did you mean '面白い'?"
    )


def test_views_of_self_training_are_cut_as_the_encoder() -> None:
    segmenter = SegmenterSettings(mode="C").installed()
    for view in VIEWS:
        assert cut_alike(view, None) is view
        cut_view = cut_alike(view, segmenter)
        assert cut_view.cut_by == SegmenterSettings(mode="C")
        assert cut_alike(cut_view, SegmenterSettings().installed()) is cut_view


def test_a_bundle_needs_the_dictionary_that_cut_the_words() -> None:
    segmenter = Segmenter(version="20200101", dictionary="core")
    lines = requirements(None, [segmenter, segmenter])
    assert [line for line in lines if line not in requirements(None)] == [
        "SudachiPy>=0.6.10",
        "sudachidict-core==20200101",
    ]


def test_a_bundle_needs_what_cuts_the_words_of_every_part() -> None:
    mecab = {"name": "bert_japanese", "program": "mecab", "dictionary": "unidic_lite", "version": "1.0.8"}
    small, core = ({"name": "sudachi", "dictionary": name, "version": "20200101"} for name in ("small", "core"))
    plain = {"token_model": "exported", "pooling": "mean"}
    for own, needed in ((mecab, ["fugashi>=1.5", "unidic-lite==1.0.8", "SudachiPy>=0.6.10", "sudachidict-core==20200101"]),
                        (small, ["SudachiPy>=0.6.10", "sudachidict-small==20200101", "sudachidict-core==20200101"]),
                        (None, ["SudachiPy>=0.6.10", "sudachidict-core==20200101"])):  # fmt: skip
        content = {**plain, "segmenter": own, "views": [{"terms": "words"}, {"terms": "words", "segmenter": core}]}
        found = EncoderSettings.model_validate_json(json.dumps(content)).cut_by
        assert [line for line in requirements(None, found) if line not in requirements(None)] == needed


def test_the_segmenter_of_a_view_is_found_beside_the_cut_of_a_checkpoint(data: TextData) -> None:
    cut = NgramVectors(dim=4, segmenter="sudachi").run(data=data)
    own = BertWords(program="sudachi", dictionary="small", version="20200101")
    beside = Encoder(segmenting(without_segmenter(cut.tokenizer), own), cut.token_model, cut.pooling, views=cut.views)
    assert beside.word_cutter == own
    assert beside.segmenter == cut.views[0].terms.segmenter
    assert isinstance(beside.segmenter, Segmenter)
    assert beside.with_views(()).segmenter is None


def test_a_word_is_asked_for_in_the_form_of_the_vocabulary(data: TextData) -> None:
    encoder = SkipGram(**{**WORDS, "subwords": {}}).run(data=data)
    assert "面白く" not in encoder.words()
    assert neighbours(encoder, "面白く", count=3) == neighbours(encoder, "面白い", count=3)
