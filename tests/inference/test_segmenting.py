"""Words of Japanese by a segmenter: the same as SudachiPy's, at the places of the text, and nothing else is cut."""

from __future__ import annotations

import copy
import pickle
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlptl.errors import ArtifactError, ConfigError
from nlptl.inference import segmenter as segmenters
from nlptl.inference import sudachi
from nlptl.inference.bert_words import BertWords
from nlptl.inference.segmenter import Segmenter, SegmenterSettings, checked_segmenter
from nlptl.inference.segmenting import cut, cut_batches, placed_cut, segmenter_of, without_segmenter, words_in_forms
from nlptl.inference.sudachi import MAX_PIECE
from nlptl.inference.word_rules import reads_chunks_alone
from nlptl.models.words import placed_words
from nlptl.pretraining.word2vec.japanese_stop_words import FUNCTION_WORDS, NEGATIONS
from nlptl.pretraining.word2vec.tokenizer import TextSettings, set_vocabulary, stop_words, untrained_tokenizer, words_of
from nlptl.runs.bundle.requirements import requirements
from nlptl.runs.judging.segmenter_at_hand import segmenter_at_hand

sudachipy = pytest.importorskip("sudachipy")

SENTENCES = [
    "外国人参政権は重要ではなかった。",
    "映画館で観たけれど、全然面白くなかったです！",
    "俳優の演技は見事だが、脚本には納得できません。",
    "誰にも勧めず、二度と行くまいと思った。",
    "スーパーマーケットで2,000円のＤＶＤを買いました。",
]
WRITTEN, NORMALIZED = (SegmenterSettings(forms=forms) for forms in ("written", "normalized"))


def words(text: str, **options: Any) -> list[str]:
    (found,) = words_of(untrained_tokenizer(TextSettings(**{"segmenter": WRITTEN, **options})), [[text]])
    return found


@pytest.mark.parametrize("mode", ["A", "B", "C"])
def test_words_are_those_of_sudachi(mode: Any) -> None:
    alone = sudachipy.Dictionary(dict="small").tokenizer(mode=mode)
    for text in SENTENCES[:4]:
        found = [one for one in alone.tokenize(text) if one.part_of_speech()[0] != "補助記号"]
        chosen = {"segmenter": {"name": "sudachi", "mode": mode, "forms": "written"}}
        assert words(text, **chosen) == [one.surface() for one in found]
        chosen["segmenter"]["forms"] = "normalized"
        assert words(text, **chosen) == [one.normalized_form() for one in found]


def test_normalized_forms_merge_inflections_and_spellings() -> None:
    normal = {"segmenter": "sudachi"}
    assert words("観た。見る", **normal) == ["見る", "た", "見る"]
    assert words("面白くなかった", **normal) == ["面白い", "無い", "た"]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("ﾊﾟｿｺﾝを買う", "パソコンを買う"), ["パソコン", "を", "買う"]),
        (("ＤＶＤを１枚", "DVDを1枚"), ["dvd", "を", "1", "枚"]),
        (("すご〜い", "すご～い", "すごーい"), ["すごーい"]),
        (("ほしい〜。", "ほしい～。", "ほしい~。"), ["ほしい"]),
        (("カﾞイド", "ガイド"), ["ガイド"]),
    ],
)
def test_variants_of_width_and_waves_are_one(texts: tuple[str, ...], expected: list[str]) -> None:
    for text in texts:
        assert words(text) == expected


def test_other_scripts_are_left_to_the_rules() -> None:
    text = "@taro https://example.com/a?b=ceeを見て！ Don't stop :) <br />すごーーい😂"
    assert words(text, preset="tweets") == [
        "<user>", "<url>", "を", "見", "て", "!", "don't", "stop", ":)", "すごーーい", "😂",
    ]  # fmt: skip
    plain = "It isn't cut, naïve 2.5% www.a.jp <br/> 안녕 하세요"
    assert cut(plain, WRITTEN.installed()) == plain


def test_places_lead_back_into_the_text() -> None:
    text = "𠮷野家で「観た」映画は、ﾊﾟｿｺﾝより面白くなかった！ See https://a.jp/ です。"
    for settings_ in (WRITTEN, NORMALIZED):
        tokenizer = untrained_tokenizer(TextSettings(segmenter=settings_))
        set_vocabulary(tokenizer, ["[UNK]", "見る", "観", "映画", "パソコン", "無い", "なかっ", "see"])
        for found in (tokenizer.encode(text), tokenizer.encode_batch([text])[0]):
            placed = [text[slice(*span)] for token, span in zip(found.ids, found.offsets, strict=True) if token]
            assert placed == ["観", "映画", "ﾊﾟｿｺﾝ", "なかっ", "See"]


@given(st.text(st.sampled_from("映画は面白くなかっﾊﾟーテスト ab1!。、〜~「」\n<br/>😂ﷺ㌀\u3099"), max_size=40))
@settings(max_examples=60, deadline=None)
def test_a_cut_text_holds_the_text(text: str) -> None:
    segmenter = WRITTEN.installed()
    found = placed_cut(text, segmenter)
    assert found.text == cut(text, segmenter)
    assert "".join(found.text.split()).translate(_WAVES) == "".join(text.split()).translate(_WAVES)
    assert [found.original((place, place + 1)) for place in range(len(found.text))] == sorted(
        found.original((place, place + 1)) for place in range(len(found.text))
    )
    held = "".join(word for _, word in placed_words(text, segmenter))
    assert held == "".join(text.split())


_WAVES = str.maketrans("〜～~", "ーーー")


def test_words_of_a_vocabulary_of_characters_are_whole() -> None:
    characters = BertWords(program="sudachi", dictionary="small", subwords="character")
    assert cut("映画は面白い。", characters) == "映 画 は 面 白 い 。"
    assert words_in_forms("映画は面白い。", characters) == ["映画", "は", "面白い", "。"]
    assert words_in_forms("映画は面白くない。", NORMALIZED.installed()) == ["映画", "は", "面白い", "無い", "。"]


def test_long_texts_are_cut_by_sentences() -> None:
    text = "".join(SENTENCES) * 40
    assert len(text) > 4 * MAX_PIECE
    assert words(text) == [word for _ in range(40) for sentence in SENTENCES for word in words(sentence)]
    assert len(words("長" * 3 * MAX_PIECE)) > MAX_PIECE
    assert words("ﷺ㌀" * MAX_PIECE + "です") != []


def test_no_word_is_cut_where_no_sentence_ends() -> None:
    clause = "長い話が退屈で眠くて残念でした"
    found = words(clause * 400)
    assert len(clause) * 400 > 5 * MAX_PIECE
    assert found == words(clause) * 400
    assert "".join(words("退屈" * MAX_PIECE)) == "退屈" * MAX_PIECE
    assert set(words("退屈" * MAX_PIECE)) == {"退屈"}


def test_half_of_a_surrogate_pair_is_left_to_the_tokenizer() -> None:
    assert cut("\ud800映画は", WRITTEN.installed()) == "\ud800映画は"


def test_threads_cut_as_one_does() -> None:
    tokenizer = untrained_tokenizer(TextSettings(segmenter="sudachi"))
    batches = [SENTENCES * 200, SENTENCES[:2]]
    with ThreadPoolExecutor(4) as pool:
        found = [text for part in cut_batches(tokenizer, batches, pool) for text in part]
    assert found == [cut(text, NORMALIZED.installed()) for batch in batches for text in batch]
    (alone,) = words_of(without_segmenter(tokenizer), [[found[0]]])
    assert [alone] == list(words_of(tokenizer, [SENTENCES[:1]]))


def test_the_tokenizer_is_copied_with_its_segmenter_and_reads_no_chunk_alone() -> None:
    tokenizer = untrained_tokenizer(TextSettings(segmenter="sudachi"))
    for other in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert segmenter_of(other) == segmenter_of(tokenizer)
        assert other.to_str() == tokenizer.to_str()
    assert not reads_chunks_alone(tokenizer)
    assert reads_chunks_alone(untrained_tokenizer(TextSettings()))


def test_stop_words_leave_what_negates() -> None:
    removed = {"stop_words": True, "segmenter": "sudachi"}
    assert words("この映画は面白くなかった。", **removed) == ["映画", "面白い", "無い"]
    assert words("誰にも勧めず、二度と行くまい。", **removed) == ["勧める", "ず", "2", "度", "行く", "まい"]
    assert words("理解できませんし、知らぬ。", **removed) == ["理解", "出来る", "ず", "知る", "ず"]
    assert not FUNCTION_WORDS & NEGATIONS
    assert stop_words(TextSettings(**removed)) == FUNCTION_WORDS


def test_lost_negations_are_told() -> None:
    chosen = TextSettings(stop_words=True, keep_negations=False, segmenter="sudachi")
    told = (
        "text.keep_negations: false drops ない, ず and similar words, so 良くない becomes 良く. Keep them unless the labels are "
        "topics."
    )
    with pytest.warns(UserWarning, match="keep_negations") as found:
        assert stop_words(chosen) == FUNCTION_WORDS | NEGATIONS
    assert [str(one.message) for one in found] == [told]


def test_missing_packages_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    core = SegmenterSettings(dictionary="full")
    with pytest.raises(ConfigError) as error:
        core.check(where="skipgram.text.segmenter")
    assert str(error.value) == (
        "skipgram.text.segmenter: found no dictionary full of SudachiPy, which cuts Japanese into words; expected it beside nlptl. "
        "Run pip install sudachidict-full."
    )
    monkeypatch.setattr(segmenters.importlib.util, "find_spec", lambda name: None)
    found = Segmenter(version="1")
    with pytest.raises(ArtifactError) as missing:
        checked_segmenter(found, Path("runs/a"))
    assert str(missing.value) == (
        "runs/a: found no SudachiPy, which cuts Japanese into words; expected it beside nlptl. Run pip install 'nlptl[ja]'."
    )


def test_the_command_brings_the_dictionary_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an artifact asks, its own version."""
    full = Segmenter(dictionary="full", version="20250129")
    assert full.missing() == (
        "found no dictionary full of SudachiPy, which cuts Japanese into words; expected it beside nlptl. Run pip install "
        "sudachidict-full==20250129."
    )
    monkeypatch.setattr(segmenters.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(segmenters, "installed_version", lambda name: "")
    for asked, command in (
        (SegmenterSettings(), "'nlptl[ja]'"),
        (SegmenterSettings(dictionary="core"), "'nlptl[ja]' sudachidict-core"),
        (Segmenter(version="20250129"), "'nlptl[ja]' sudachidict-small==20250129"),
        (full, "'nlptl[ja]' sudachidict-full==20250129"),
    ):
        assert asked.missing() == (
            "found no SudachiPy, which cuts Japanese into words; expected it beside nlptl. Run pip install "
            + command
            + "."
        )


def test_a_broken_sudachipy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sudachipy").mkdir()
    (tmp_path / "sudachipy/__init__.py").write_text(
        "raise ImportError('its library cannot be loaded.\\nA second line')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sudachipy")
    told = (
        "found SudachiPy, which cannot be imported (its library cannot be loaded); expected one that works. Run pip install "
        "--force-reinstall SudachiPy."
    )
    with pytest.raises(ConfigError) as error:
        NORMALIZED.check(where="skipgram.text.segmenter")
    assert str(error.value) == f"skipgram.text.segmenter: {told}"
    with pytest.raises(ArtifactError) as opened:
        checked_segmenter(Segmenter(version="1"), Path("runs/a"))
    assert str(opened.value) == f"runs/a: {told}"
    at_hand = segmenter_at_hand("ja")
    assert at_hand.name is None
    assert at_hand.remark == f"The texts are Japanese and nothing cuts them into words: nlptl {told}"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "[Errno 2] No such file or directory: 'system.dic'"),
        (b"no dictionary" * 100, '"Error while constructing dictionary": Invalid description: Invalid magic bytes'),
    ],
)
def test_a_broken_dictionary_is_told(
    content: bytes | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sudachipy.Dictionary

    def broken(*, dict: str) -> Any:
        if content is None:
            raise FileNotFoundError(2, "No such file or directory", "system.dic")
        (tmp_path / "system.dic").write_bytes(content)
        return real(dict=str(tmp_path / "system.dic"))

    monkeypatch.setattr(sudachipy, "Dictionary", broken)
    sudachi._opened.cache_clear()
    with pytest.raises(ConfigError) as error:
        NORMALIZED.check(where="skipgram.text.segmenter")
    assert str(error.value) == (
        f"skipgram.text.segmenter: found the dictionary small of SudachiPy, which cannot be opened ({reason}); expected one that "
        "works. Run pip install --force-reinstall sudachidict-small."
    )


@pytest.mark.parametrize(
    "text", ["1\nevil-package", "1; rm -rf ~", "1 --index-url https://a.jp", "\x1b[31m1", "1==2", "-r a"]
)
def test_a_version_stands_in_commands_and_is_nothing_else(text: str) -> None:
    """In requirements.txt of a bundle, and in the command that a warning tells."""
    for kind, told in (
        (Segmenter, "Segmenter"),
        (partial(BertWords, program="sudachi", dictionary="small"), "BertWords"),
    ):
        with pytest.raises(ConfigError) as error:
            kind(version=text)
        expected = f"{told}.version: found {text!r}; expected the version of a package, such as 20250129."
        assert str(error.value) == expected
    assert Segmenter(version="1.0.8+local-1").version == "1.0.8+local-1"


def test_words_without_a_version_are_read_and_required_without_one() -> None:
    words = BertWords(program="sudachi", dictionary="small")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert checked_segmenter(words, "runs/a") == words
    assert "sudachidict-small" in requirements(None, [words])


def test_another_version_of_the_dictionary_is_told_and_read() -> None:
    here = NORMALIZED.installed()
    other = Segmenter(version="20200101")
    with pytest.warns(UserWarning, match="dictionary") as found:
        assert checked_segmenter(other, "runs/a") == other
    assert str(found[0].message) == (
        f"runs/a: found the dictionary sudachidict-small {here.version}, but the words were cut by 20200101; a few may be cut "
        "otherwise now. For the same answers run pip install sudachidict-small==20200101."
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert checked_segmenter(here, "runs/a") == here
        assert checked_segmenter(None, "runs/a") is None
