"""Model cards: what the Hub's own library reads of them, and what they say of labels, limits and licence."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from nlptl.artifact import Manifest, read_manifest
from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.disk.sealed_text import CARD, is_sealed
from nlptl.inference.segmenter import SegmenterSettings, segmenter_available
from nlptl.models import model_card as model_cards
from nlptl.models.card_metadata import CardScore, CardTest
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.heads import Head
from nlptl.models.model_card import CardFacts, LearntPart, model_card, renew_card
from nlptl.models.origin import Origin
from nlptl.models.pretrained import quiet
from nlptl.runs.bundle.requirements import requirements
from nlptl.stages.bert import Bert
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.ngrams import NgramVectors
from tests.models.test_other_tools import by_sentence, with_adapter, with_bottlenecks
from tests.models.tiny import tiny_encoder, tiny_folder

HOSTILE = [
    "yes: no", "a|b", "`code`", "<b>bold</b>", "two\nlines", "🐈 猫", "---", "- item", "null", "1.0", "# head", "a\\|b",
    "'quoted' \"twice\"", "{brace}", "%percent", "!tag",
]  # fmt: skip
TEST = CardTest(
    40, "d" * 64,
    (CardScore("Accuracy", "0.900 [0.780, 0.960]", 0.9, "accuracy"),
     CardScore("Macro-F1", "0.890 [0.750, 0.950]", 0.89, "f1", {"average": "macro"})),
    ("3 of 40 texts were learnt from: these scores are too high.",),
)  # fmt: skip


def classifier(
    labels: Sequence[str] = ("no", "yes"), origin: Origin | None = None, encoder: Encoder | None = None
) -> TextClassifier:
    encoder = encoder or tiny_encoder("bert")
    encoder.token_model.origin = origin
    head = Head(encoder.dim, len(labels), trained=True)
    with torch.no_grad():
        head.last_linear.weight.copy_(torch.randn(head.last_linear.weight.shape, generator=torch.Generator()))
    return TextClassifier(encoder, head, labels).eval()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a saved classifier with a known origin and hostile labels."""
    folder = tmp_path_factory.mktemp("cards") / "saved"
    origin = Origin(
        name="someone/encoder", licence="MIT", licence_source="its card", languages=("no", "en"), leaks="IMDB"
    )
    classifier(HOSTILE, origin).save(folder)
    return folder


def card_of(folder: Path, facts: CardFacts | None = None) -> ModelCard:
    return ModelCard(model_card(folder, read_manifest(folder), facts or CardFacts()))


def cells(card: ModelCard, heading: str) -> list[list[str]]:
    """Return what the table under a heading shows, row by row."""
    tokens = MarkdownIt("commonmark").enable("table").parse(card.text)
    start = next(place for place, token in enumerate(tokens) if token.type == "inline" and token.content == heading)
    end = next(place for place in range(start, len(tokens)) if tokens[place].type == "table_close")
    shown = [
        "".join(child.content for child in token.children or ())
        for token in tokens[start + 1 : end]
        if token.type == "inline"
    ]
    columns = sum(token.type == "th_open" for token in tokens[start:end])
    shown = shown[-(len(shown) // columns * columns) :] if columns else []
    return [shown[place : place + columns] for place in range(0, len(shown), columns)][1:]


def test_the_hubs_library_reads_the_metadata(saved: Path) -> None:
    card = ModelCard.load(saved / CARD)
    assert card.data.to_dict() == {
        "base_model": "someone/encoder", "language": ["no", "en"], "library_name": "nlptl", "license": "mit",
        "pipeline_tag": "text-classification", "tags": ["nlptl", "text-classification", "transformer"],
    }  # fmt: skip
    again = ModelCard(str(card))
    assert again.data.to_dict() == card.data.to_dict()


def test_scores_stand_in_the_metadata_and_with_intervals_in_the_text(saved: Path) -> None:
    card = card_of(saved, CardFacts(("bert", "finetune (head)"), (LearntPart("labelled", 24, "e" * 64),), TEST))
    accuracy, macro_f1 = card.data.eval_results or []
    assert (accuracy.metric_type, accuracy.metric_value, accuracy.dataset_args) == (
        "accuracy", 0.9, {"texts": 40, "sha256": "d" * 64}
    )  # fmt: skip
    assert (macro_f1.metric_type, macro_f1.metric_value, macro_f1.metric_args) == ("f1", 0.89, {"average": "macro"})
    assert card.data.metrics == ["accuracy", "f1"]
    assert cells(card, "Evaluation") == [["Accuracy", "0.900 [0.780, 0.960]"], ["Macro-F1", "0.890 [0.750, 0.950]"]]
    assert TEST.remarks[0] in card.text.replace("&#58;", ":")
    assert cells(card, "Training data") == [["labelled", "24", "e" * 64]]


def test_labels_that_break_yaml_or_markdown_stay_as_they_are(saved: Path) -> None:
    card = ModelCard.load(saved / CARD)
    shown = [row[0] for row in cells(card, "Labels")]
    assert shown == [label.replace("\n", "\\u000a") for label in HOSTILE]
    assert "<b>" not in card.content
    assert TextClassifier.load(saved).labels == tuple(HOSTILE)


@pytest.mark.parametrize(
    ("origin", "fields", "told"),
    [
        (None, {"license": "unknown"},
         "Where the weights come from is not recorded, and their licence is not known. Find it out before you pass them on."),
        (Origin(kind="own"), {"license": "unknown"},
         "All weights were learnt from the run's own texts. No licence is stated: state yours before you pass them on."),
        (Origin(name="mine"), {"license": "unknown"},
         "The encoder began with the weights mine.\n\nTheir licence is not known: nothing beside them states one. Find it out "
         "before you pass them on."),
        (Origin(name="a/b", revision="0a1", digest="0a1", licence="Apache-2.0", licence_source="their authors"),
         {"license": "apache-2.0", "base_model": "a/b"},
         "The encoder began with the weights a/b, commit 0a1.\n\nTheir licence is Apache-2.0, according to their authors."),
        (Origin(name="glove", licence="Apache-2.0 AND PDDL-1.0", licence_source="the package", digest="0b"),
         {"license": "other", "license_name": "apache-2.0-and-pddl-1.0", "license_link": "origin.json"},
         "The encoder began with the weights glove (SHA-256 0b).\n\nTheir licence is Apache-2.0 AND PDDL-1.0, according to the "
         "package."),
        (Origin(name="x", licence_text="All rights reserved."),
         {"license": "other", "license_name": "see-origin-json", "license_link": "origin.json"},
         "The encoder began with the weights x.\n\nTheir licence is one that nlptl does not know by its text.\n\nIts text stands "
         "in `origin.json`."),
    ],
    ids=["not recorded", "own", "unknown", "Apache", "two licences", "unknown text"],
)  # fmt: skip
def test_the_licence_of_the_weights(
    origin: Origin | None, fields: dict[str, str], told: str, saved: Path, tmp_path: Path
) -> None:
    for name in ("classifier.json", "encoder.json"):
        (tmp_path / name).write_bytes((saved / name).read_bytes())
    if origin is not None:
        origin.write(tmp_path)
    card = ModelCard(model_card(tmp_path, Manifest(kind="classifier"), CardFacts()))
    about = {name: value for name, value in card.data.to_dict().items() if name.startswith(("license", "base_model"))}
    assert about == fields
    assert card.text.split("## Weights and licence\n\n")[1].split("\n\n## ")[0] == told


def test_limits_and_use_of_a_transformer(saved: Path) -> None:
    text = ModelCard.load(saved / CARD).text
    assert "- A text is cut off after 64 tokens." in text
    assert "- Languages of the encoder's training texts: no, en." in text
    assert "- The training data of the weights hold IMDB: scores on such texts may flatter it." in text
    assert "- It was not tested on texts that it has not seen." in text
    assert 'SentenceTransformer("this folder").encode' in text
    assert "`transformers.AutoModel` opens the encoder alone." in text


@pytest.mark.skipif(not segmenter_available(), reason="needs SudachiPy")
def test_a_segmenter_is_named_with_its_dictionary_and_how_to_install_it(tmp_path: Path) -> None:
    installed = SegmenterSettings().installed()
    data = TextData(labelled=(["猫が好きです。", "犬は嫌いだった。"] * 8, ["good", "bad"] * 8))
    given = ClassificationHead().run(NgramVectors(dim=4, segmenter=installed.settings).run(data=data), data=data)
    given.save(tmp_path / "made")
    text = ModelCard.load(tmp_path / "made" / CARD).text
    name = f"sudachidict-small {installed.version}"
    assert f"Japanese is cut into words by SudachiPy in mode A with the dictionary {name}, in normalized forms." in text
    packages = f"'SudachiPy>=0.6.10' 'sudachidict-small=={installed.version}'"
    assert f"Without them nlptl does not open this folder:\n\n```sh\npip install {packages}\n```\n" in text
    assert requirements(None, [installed])[7:9] == ["SudachiPy>=0.6.10", f"sudachidict-small=={installed.version}"]


@pytest.mark.parametrize(
    ("cutter", "told", "packages"),
    [
        ({"program": "mecab", "dictionary": "ipadic"}, "fugashi, which is MeCab, with the dictionary ipadic.",
         "'fugashi>=1.5' 'ipadic'"),
        ({"program": "mecab", "dictionary": "unidic_lite", "version": "1.0.8"},
         "fugashi, which is MeCab, with the dictionary unidic-lite 1.0.8.", "'fugashi>=1.5' 'unidic-lite==1.0.8'"),
        ({"program": "sudachi", "dictionary": "core", "mode": "C", "version": "20250129"},
         "SudachiPy in mode C with the dictionary sudachidict-core 20250129.",
         "'SudachiPy>=0.6.10' 'sudachidict-core==20250129'"),
    ],
)  # fmt: skip
def test_the_cut_of_a_japanese_bert_is_named_too(
    cutter: dict[str, str], told: str, packages: str, saved: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(saved, tmp_path / "made"))
    settings = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    settings["segmenter"] = {"name": "bert_japanese", **cutter}
    (folder / "encoder.json").write_text(json.dumps(settings), encoding="utf-8")
    text = card_of(folder).text
    assert f"Texts are cut into words by {told}" in text
    assert f"```sh\npip install {packages}\n```" in text
    assert "cut into words" not in card_of(saved).text


def told_of(given: Encoder, folder: Path, *, thresholds: tuple[float, ...] | None = None) -> str:
    """Return the text of the card of a classifier over an encoder."""
    made = classifier(encoder=given)
    made.head.thresholds = thresholds
    made.save(folder)
    return ModelCard.load(folder / CARD).text


def test_the_use_of_a_lora_adapter_opens_it(tmp_path: Path) -> None:
    given = with_adapter(tiny_encoder("bert"))
    for adapter in given.transformer.adapters:
        for name, weight in adapter.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(1))
    told = told_of(given.eval(), tmp_path / "saved")
    assert (
        "The encoder has a LoRA adapter, which `transformers.AutoModel` leaves out. PEFT opens both, without the head:"
        in told
    )
    assert "opens the encoder alone" not in told
    code = told.split("PEFT opens both, without the head:\n\n```python\n")[1].split("```")[0].splitlines()
    names: dict[str, Any] = {}
    exec("\n".join(code[:-1]), names)
    with quiet():
        opened = eval(code[-1].replace("this folder", str(tmp_path / "saved")), names)
    ids = torch.tensor([given.token_ids(["the film is good"])[0]])
    with torch.no_grad():
        hidden = opened(input_ids=ids).last_hidden_state[0].mean(dim=0).numpy()
    expected = given.encode(["the film is good"])[0]
    assert abs(hidden - expected).max() < 1e-4
    assert abs(expected - tiny_encoder("bert").encode(["the film is good"])[0]).max() > 1e-2, (
        "the adapter does something"
    )


def test_the_use_of_bottleneck_adapters_is_left_to_nlptl(tmp_path: Path) -> None:
    told = told_of(with_bottlenecks(tiny_encoder("bert")).eval(), tmp_path / "saved")
    expected = "`transformers.AutoModel` opens the encoder without its bottleneck adapters. These and the head are read by nlptl."
    assert expected in told


def test_a_text_that_is_read_by_sentence_is_cut_too(tmp_path: Path) -> None:
    given = by_sentence(tiny_encoder("bert"))
    told = told_of(given, tmp_path / "saved")
    assert "- Texts are read sentence by sentence. A sentence is cut off after 64 tokens, a text after 256." in told
    assert given.token_model.rule.max_text_length == 256


@pytest.mark.parametrize(
    ("thresholds", "answer"), [(None, "its label"), ((0.5, 0.5), "a tuple of its labels, which may be empty")]
)
def test_the_card_says_what_predict_returns(thresholds: tuple[float, ...] | None, answer: str, tmp_path: Path) -> None:
    told = told_of(tiny_encoder("bert"), tmp_path / "saved", thresholds=thresholds)
    assert f'classifier.predict(["A text."])        # {answer}\n' in told


def test_a_head_that_was_not_trained_is_told(saved: Path, tmp_path: Path) -> None:
    encoder = tiny_encoder("bert")
    fresh = TextClassifier(encoder, Head(encoder.dim, 2), ("no", "yes")).eval()
    fresh.save(tmp_path / "a")
    told = "**It is not recorded that its head was trained: do not use its answers.**"
    assert told in (tmp_path / "a" / CARD).read_text(encoding="utf-8")
    assert told not in (saved / CARD).read_text(encoding="utf-8")


def test_many_labels_are_cut(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_cards, "MAX_ROWS", 5)
    card = card_of(saved)
    assert [row[0] for row in cells(card, "Labels")] == [label.replace("\n", "\\u000a") for label in HOSTILE[:5]]
    assert f"{len(HOSTILE) - 5} more labels stand in classifier.json." in card.text


def test_a_card_is_renewed_unless_a_person_edited_it(saved: Path) -> None:
    path, manifest = saved / CARD, read_manifest(saved)
    before, facts = path.read_bytes(), CardFacts(test=TEST)
    try:
        renew_card(saved, manifest, facts)
        assert len(ModelCard.load(path).data.eval_results or []) == 2
        assert is_sealed(path)
        TextClassifier.load(saved)
        inode = path.stat().st_ino
        renew_card(saved, manifest, facts)
        assert path.stat().st_ino == inode, "an equal card is not written"
        path.write_text("Mine.", encoding="utf-8")
        renew_card(saved, manifest, facts)
        assert path.read_text(encoding="utf-8") == "Mine."
        path.unlink()
        os.symlink("nowhere", path)
        renew_card(saved, manifest, facts)
        assert path.is_symlink()
        path.unlink()
        renew_card(saved, manifest, facts)
        assert is_sealed(path)
    finally:
        path.unlink(missing_ok=True)
        path.write_bytes(before)


def test_the_origin_goes_from_weights_to_a_saved_copy(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "bert")
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\nlanguage: ja\n---\n")
    encoder = Bert(weights=str(folder)).run(data=TextData(), context=RunContext(device="cpu"))
    made = classifier(encoder=encoder, origin=encoder.token_model.origin)
    made.save(tmp_path / "first")
    TextClassifier.load(tmp_path / "first").save(tmp_path / "second")
    first, second = (Encoder.load(tmp_path / name).token_model.origin for name in ("first", "second"))
    assert first is not None
    assert first == second
    assert (first.name, first.licence, first.languages) == ("weights", "cc-by-4.0", ("ja",))
    metadata: dict[str, Any] = ModelCard.load(tmp_path / "second" / CARD).data.to_dict()
    assert (metadata["license"], metadata["language"]) == ("cc-by-4.0", ["ja"])
