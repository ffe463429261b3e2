"""Several weights in the stage bert: tried on the labelled texts, within limits, the best taken and the reason told."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from nlptl.config import dump_yaml, parse
from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import ConfigError, DataError
from nlptl.finetuning.selection import encoder_choice
from nlptl.finetuning.selection.encoder_limits import facts_of
from nlptl.interfaces.encoder_tables import choice_lines
from nlptl.models import known_encoders
from nlptl.models.known_encoders import KNOWN, known_encoder
from nlptl.models.weights import find_weights
from nlptl.pretraining.encoders.objectives import SimCSE
from nlptl.progress import few_digits
from nlptl.runs.chain import ExternalDigests
from nlptl.runs.pipeline import Pipeline
from nlptl.stages.bert import Bert
from tests.models.tiny import tiny_folder

GOOD, BAD = ["good", "great", "lovely"], ["bad", "dull", "wrong"]
TEXTS = [
    f"{the} {noun} is {word}" for the in ("the", "a") for noun in ("film", "story", "number") for word in (*GOOD, *BAD)
]
LABELS = ["yes" if text.split()[-1] in GOOD else "no" for text in TEXTS]
DATA = TextData(labelled=(TEXTS, LABELS))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return weights that tell texts apart, and weights in whose vectors all texts are alike."""
    root = tmp_path_factory.mktemp("encoders")
    telling = tiny_folder(root / "telling", "bert")
    blind = tiny_folder(root / "blind", "bert", seed=1)
    from safetensors.torch import load_file, save_file

    tensors = load_file(blind / "model.safetensors")
    tensors["embeddings.word_embeddings.weight"].zero_()
    save_file(tensors, blind / "model.safetensors", metadata={"format": "pt"})
    return str(telling), str(blind)


def chosen(
    context: RunContext | None = None, data: TextData = DATA, **settings: Any
) -> tuple[dict[str, Any], list[str]]:
    """Run the stage and return what it found out, and its warnings."""
    context = context or RunContext(device="cpu")
    Bert(**settings).run(data=data, context=context)
    return context.record.report["encoder_choice"], context.record.warnings


def refusal(error: type[Exception] = ConfigError, data: TextData = DATA, **settings: Any) -> str:
    with pytest.raises(error) as told:
        Bert(**settings).run(data=data, context=RunContext(device="cpu"))
    return str(told.value)


def test_the_encoder_that_tells_the_labels_apart_is_taken(folders: tuple[str, str]) -> None:
    telling, blind = folders
    for weights in ((blind, telling), (telling, blind)):
        context = RunContext(device="cpu")
        encoder = Bert(weights=weights).run(data=DATA, context=context)
        found = context.record.report["encoder_choice"]
        assert found["chosen"] == telling
        assert [row["encoder"] for row in found["rows"]] == [telling, blind]
        assert found["rows"][0]["log_evidence"] > found["rows"][1]["log_evidence"]
        assert context.record.sentences[0] == found["why"]
        alone = Bert(weights=telling).run(data=TextData(), context=RunContext(device="cpu"))
        assert np.array_equal(encoder.encode(TEXTS), alone.encode(TEXTS))


def test_the_reason_says_whether_the_lead_is_beyond_the_noise(
    folders: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    telling, blind = folders
    found, _ = chosen(weights=(blind, telling))
    assert found["why"].startswith(
        f"Encoder: {telling} was taken of 2, since its vectors explain the labels of 36 texts best: log-evidence "
    )
    assert found["why"].endswith(f"above {blind}, beyond the noise.")
    monkeypatch.setattr(encoder_choice, "Z", 1e6)
    assert chosen(weights=(blind, telling))[0]["why"].endswith(f"above {blind}, which is within the noise.")


def test_a_table_tells_score_interval_speed_and_facts(folders: tuple[str, str]) -> None:
    telling, blind = folders
    (Path(telling) / "README.md").write_text("---\nlicense: mit\nlanguage:\n- en\n- ja\n---\nA card.\n")
    report = {"encoder_choice": chosen(weights=(blind, telling))[0]}
    (Path(telling) / "README.md").unlink()
    first = report["encoder_choice"]["rows"][0]
    assert first["low"] < first["accuracy"] <= first["high"]
    assert first["milliseconds"] > 0
    assert (first["licence"], first["languages"], first["year"]) == ("mit", ["en", "ja"], None)
    size = (Path(telling) / "model.safetensors").stat().st_size
    assert first["megabytes"] == size / 1e6 > 0
    lines = list(choice_lines(report, why=True))
    assert list(choice_lines(report, why=False)) == lines[:-1]
    assert " ".join(lines[1].split()) == "encoder evidence held-out accuracy ms a text MB licence languages year"
    assert few_digits(size / 1e6) in lines[3].split()
    assert max(map(len, lines[:-1])) <= 100
    assert lines[-1] == report["encoder_choice"]["why"]
    assert list(choice_lines({}, why=True)) == []


def test_the_table_names_also_what_was_not_tried_and_the_end_of_long_paths(folders: tuple[str, str]) -> None:
    telling, blind = folders
    found, _ = chosen(weights=(blind, telling, "./nowhere"))
    assert f"Encoder: {telling} was taken of the 2 that were tried of 3, since" in found["why"]
    _, header, _, *rows = choice_lines({"encoder_choice": found}, why=False)
    assert [row.split()[0] for row in rows] == ["telling", "blind", "./nowhere"]
    assert rows[-1].split()[1:] == ["not", "tried"]
    first = found["rows"][0]
    two = [{**first, "encoder": f"/long/folder/of/encoders/{name}/telling"} for name in ("one", "two")]
    _, header, _, *rows = choice_lines({"encoder_choice": {"rows": two, "skipped": {}}}, why=False)
    assert [row.split()[0] for row in rows] == ["one/telling", "two/telling"]
    assert max(map(len, [header, *rows])) <= 100


def test_weights_that_are_not_at_hand_are_skipped_and_named(folders: tuple[str, str]) -> None:
    telling, blind = folders
    settings = {"weights": ("./nowhere", telling, "someone/encoder", blind), "choose": {"offline": True}}
    _, warnings = chosen(**settings)
    assert warnings == [
        "./nowhere was not tried: no such folder; expected weights there. Check the path.",
        "someone/encoder was not tried: it is not a folder here and was not downloaded before, and `offline` leaves the Hub "
        "alone; expected one of both. Run hf download with this name where there is a connection, or drop `offline`.",
    ]
    assert Bert(**settings).remarks(DATA) == [warning.replace("was not tried", "is not tried") for warning in warnings]


def test_without_any_weights_at_hand_there_is_nothing_to_choose() -> None:
    sentence = (
        "bert.weights: found no encoder to choose of 2; expected one that is at hand and within `choose`. ./nowhere, ./neither: "
        "no such folder; expected weights there. Check the path."
    )
    assert refusal(weights=("./nowhere", "./neither")) == sentence
    with pytest.raises(ConfigError) as told:
        Bert(weights=("./nowhere", "./neither")).check(where="x.yaml: stages.0")
    assert str(told.value) == f"x.yaml: stages.0{sentence.removeprefix('bert')}"


def test_the_only_one_left_is_taken_unseen(folders: tuple[str, str]) -> None:
    found, _ = chosen(weights=("./nowhere", folders[1]))
    assert (found["chosen"], found["rows"]) == (folders[1], [])
    assert found["why"] == f"Encoder: {folders[1]}, the only one that may be tried."
    assert list(choice_lines({"encoder_choice": found}, why=True)) == []


def test_a_label_with_one_text_each_decides_nothing(folders: tuple[str, str]) -> None:
    data = TextData(labelled=(["good film", "bad film"], ["yes", "no"]))
    found, _ = chosen(data=data, weights=folders)
    assert found["why"] == f"Encoder: {folders[0]}, the first, since no label has a second text."


def limited(folder: str, **limits: Any) -> str:
    """Return the sentence with which the limits skip a folder, or nothing."""
    skipped = Bert(weights=(folder, f"{folder}/../blind"), choose=limits)._candidates("bert").skipped
    return skipped.get(folder, "")


@pytest.mark.parametrize(
    ("card", "limits", "sentence"),
    [
        ("", {"languages": ["en"]},
         "its languages are not known, and choose.languages asks for en. Drop that limit, or leave the encoder out."),
        ("", {"languages": ["en", "ja"], "licences": ["MIT"]},
         "its licence is not known, and choose.licences asks for one; its languages are not known, and choose.languages asks for "
         "en, ja. Drop these limits, or leave the encoder out."),
        ("", {"licences": ["MIT"]},
         "its licence is not known, and choose.licences asks for one. Drop that limit, or leave the encoder out."),
        ("license: gpl-3.0", {"licences": ["MIT", "Apache-2.0"]},
         "its licence is gpl-3.0, and choose.licences allows MIT, Apache-2.0. Add it there, or leave the encoder out."),
        ("language: en", {"languages": ["en", "ja"]},
         "it was not trained on ja of choose.languages. Drop that there, or leave the encoder out."),
        ("", {"max_megabytes": 0.01},
         "it has 0.02 MB, and choose.max_megabytes allows 0.01. Raise that, or leave the encoder out."),
        ("license: mit\nlanguage: [en, ja]", {"licences": ["MIT"], "languages": ["ja"], "max_megabytes": 5}, ""),
        ("license: 'MIT'\nlanguages:\n  - en\n  - ja\ntags:\n- de", {"licences": ["mit"], "languages": ["ja"]}, ""),
    ],
    ids=str,
)  # fmt: skip
def test_limits_of_size_licence_and_language(
    card: str, limits: dict[str, Any], sentence: str, folders: tuple[str, str], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders[0], tmp_path / "weights"))
    shutil.copytree(folders[1], tmp_path / "blind")
    for place in (tmp_path / "blind",):  # always within the limits
        (place / "README.md").write_text("---\nlicense: mit\nlanguage: [en, ja]\n---\n")
    if card:
        (folder / "README.md").write_text(f"---\n{card}\n---\nA card.\n")
    if "max_megabytes" in limits and sentence:
        with pytest.raises(ConfigError, match="found no encoder to choose of 2"):
            limited(str(folder), **limits)
        limits = {"max_megabytes": limits["max_megabytes"]}
        return
    assert limited(str(folder), **limits) == sentence


def test_a_folder_whose_config_names_a_well_known_encoder_has_its_facts(
    folders: tuple[str, str], tmp_path: Path
) -> None:
    for name, facts in (("thenlper/gte-small", ("MIT", ("en",), 2023)), ("someone/encoder", (None, (), None))):
        folder = Path(shutil.copytree(folders[0], tmp_path / name))
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "_name_or_path": name}))
        found = facts_of(find_weights(str(folder), None, where="here"))
        assert (found.licence, found.languages, found.year) == facts
        assert found.megabytes < 5
        (folder / "README.md").write_text("---\nlicense: gpl-3.0\n---\n")
        assert facts_of(find_weights(str(folder), None, where="here")).licence == "gpl-3.0", "its own card is nearer"


def test_a_well_known_encoder_beyond_the_limits_is_not_fetched(folders: tuple[str, str]) -> None:
    stage = Bert(weights=("BAAI/bge-base-en-v1.5", "intfloat/e5-small-v2", *folders),
                 choose={"max_megabytes": 100})  # fmt: skip
    assert stage._candidates("bert").skipped == {
        "BAAI/bge-base-en-v1.5": "it has 438 MB, and choose.max_megabytes allows 100. Raise that, or leave the encoder out.",
        "intfloat/e5-small-v2": "it has 133 MB, and choose.max_megabytes allows 100. Raise that, or leave the encoder out.",
    }


def test_a_limit_of_speed(folders: tuple[str, str]) -> None:
    sentence = refusal(weights=folders, choose={"max_milliseconds": 1e-6})
    assert sentence.startswith(
        "bert.weights: found no encoder to choose of 2; expected one that is at hand and within `choose`. "
    )
    assert all(f"{folder}: it takes about " in sentence for folder in folders)  # the quickest first, whichever that is
    assert (
        sentence.count("ms a text, and choose.max_milliseconds allows 1e-06. Raise that, or leave the encoder out.")
        == 2
    )


def test_little_time_compares_on_fewer_texts_then_skips_the_slowest(
    folders: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paces = {folders[0]: 1.0, folders[1]: 3.0}  # seconds a character
    loaded = encoder_choice._loaded

    def slow(*arguments: Any, **named: Any) -> list[encoder_choice.EncoderTrial]:
        return [dataclasses.replace(one, pace=paces[one.name]) for one in loaded(*arguments, **named)]

    monkeypatch.setattr(encoder_choice, "_loaded", slow)
    monkeypatch.setattr(encoder_choice, "COUNTS", (36, 8))
    whole, part = sum(map(len, TEXTS)), 8 * len(TEXTS[0])
    assert len(_compared(monkeypatch, weights=folders, choose={"minutes": 4.2 * whole / 60})) == 36
    assert len(_compared(monkeypatch, weights=folders, choose={"minutes": 3.0 * whole / 60})) == 8
    found, warnings = chosen(weights=folders, choose={"minutes": 2.0 * part / 60})
    assert found["chosen"] == folders[0]
    assert warnings[0].startswith(f"{folders[1]} was not tried: trying it would take about ")
    assert warnings[0].endswith(" minutes, more than choose.minutes leaves. Raise that.")


def _compared(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> list[str]:
    """Return the texts on which encoders are compared."""
    seen: list[list[str]] = []
    vectors = encoder_choice._vectors

    def watched(encoder: Any, texts: Any, *rest: Any, **named: Any) -> Any:
        seen.append(list(texts))
        return vectors(encoder, texts, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(encoder_choice, "_vectors", watched)
        chosen(**settings)
    assert seen[-1] == seen[-2]  # of both encoders
    return seen[-1]


def test_long_texts_are_compared_sentence_by_sentence(
    folders: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules: list[int | None] = []
    vectors = encoder_choice._vectors

    def watched(encoder: Any, texts: Any, *rest: Any, by_sentence: bool) -> Any:
        found = vectors(encoder, texts, *rest, by_sentence=by_sentence)
        rules.append(by_sentence)
        assert encoder.token_model.rule.sentence_start is None  # as it was loaded
        return found

    monkeypatch.setattr(encoder_choice, "_vectors", watched)
    long = [" ".join([f"{text} and the number of good things in it is great."] * 4) for text in TEXTS]
    chosen(weights=folders, data=TextData(labelled=(long, LABELS)))
    assert all(rules)
    rules.clear()
    chosen(weights=folders)
    assert not any(rules)


def test_labels_are_needed(folders: tuple[str, str]) -> None:
    sentence = (
        "found several weights and no labelled texts; expected some to choose by. Give data.labelled, or one `weights`."
    )
    assert refusal(DataError, TextData(unlabelled=TEXTS), weights=folders) == f"bert: {sentence}"
    with pytest.raises(DataError) as told:
        Bert(weights=folders).check_data(TextData(unlabelled=TEXTS), where="x.yaml: stages.0")
    assert str(told.value) == f"x.yaml: stages.0: {sentence}"
    assert Bert(weights=folders).needs == {"labels"}
    source = TextData(source=(TEXTS, LABELS), unlabelled=["a text"])
    assert chosen(data=source, weights=folders)[0]["chosen"] == folders[0]
    assert Bert(weights=folders).reads(source) == {"source"}


def test_the_identity_holds_the_labels_and_every_candidate(folders: tuple[str, str], tmp_path: Path) -> None:
    other = Path(shutil.copytree(folders[1], tmp_path / "other"))
    stage = Bert(weights=(folders[0], str(other)))
    assert stage.reads(DATA) == {"labelled"}
    assert Bert(weights=folders[0]).reads(DATA) == set()
    before = stage.external_digests()
    assert set(before) == {f"{key}.{number}" for key in ("weights", "name", "revision") for number in (0, 1)}
    settings = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**settings, "hidden_dropout_prob": 0.3}))
    assert stage.external_digests() != before
    assert stage.input_paths() == {"weights.0": Path(folders[0]), "weights.1": other}
    assert stage.watched_paths() == {Path(folders[0]), other}
    shutil.rmtree(other)
    assert stage.watched_paths() is None  # it may come back
    assert set(stage.external_digests()) == {"weights.0", "name.0", "revision.0"}


def test_an_interrupted_stage_goes_on_with_its_choice(folders: tuple[str, str], tmp_path: Path) -> None:
    context = RunContext(device="cpu", checkpoint_folder=tmp_path, run_identity="one")
    first, _ = chosen(context, weights=folders)
    swapped = RunContext(device="cpu", checkpoint_folder=tmp_path, run_identity="one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder_choice, "choose_encoder", lambda *_, **__: pytest.fail("chosen again"))
        assert chosen(swapped, weights=folders)[0] == first
    other = RunContext(device="cpu", checkpoint_folder=tmp_path, run_identity="two")
    assert chosen(other, weights=folders)[0]["chosen"] == first["chosen"]


def test_the_chosen_encoder_is_trained_on_the_pile(folders: tuple[str, str]) -> None:
    context = RunContext(device="cpu")
    stage = Bert(weights=folders, continue_=SimCSE(steps=2))
    stage.run(data=TextData(labelled=(TEXTS, LABELS), unlabelled=[f"{text} too" for text in TEXTS]), context=context)
    assert context.record.report["encoder_choice"]["chosen"] == folders[0]
    assert context.record.report["continue"]["steps"] == 2


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"weights": []}, "here: found no weights, or the same ones twice, in the list; name each encoder once."),
        (
            {"weights": ["minilm", "minilm"]},
            "here: found no weights, or the same ones twice, in the list; name each encoder once.",
        ),
        (
            {"weights": ["minilm", "a/b"], "revision": "main"},
            "here: found revision and several weights; a revision belongs to one. Remove it.",
        ),
        (
            {"choose": {"minutes": 1}},
            "here: found choose without several weights; give a list, such as weights: [minilm, ./other].",
        ),
        (
            {"weights": ["a", "b"], "scratch": {}},
            "here: found several weights and scratch; set one or the other, not both.",
        ),
        ({"weights": ["a", 3]}, "here: weights.1 is 3, but must be a text; put it in quotes."),
        ({"weights": 3}, "here: weights is 3, but must be a text, or a list such as [a, b], or null."),
        ({"weights": ["a", "b"], "choose": {"minutes": 0}}, "here: choose.minutes is 0, but must be greater than 0."),
    ],
    ids=str,
)
def test_faults_of_the_settings_are_told(raw: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as told:
        parse(Bert, raw, where="here")
    assert str(told.value) == sentence


def test_settings_survive_yaml_and_one_of_a_list_is_no_choice() -> None:
    stage = parse(Bert, {"weights": ["minilm", "a/b"], "choose": {"licences": ["MIT"]}}, where="here")
    assert parse(Bert, yaml.safe_load(dump_yaml(stage.model_dump(mode="json"))), where="here") == stage
    assert parse(Bert, {"weights": ["a/b"]}, where="here").weights == "a/b"
    for name, info in type(stage.choose).model_fields.items():
        assert info.description, name


def test_paths_of_a_list_are_relative_to_the_pipeline_file(folders: tuple[str, str], tmp_path: Path) -> None:
    for folder in folders:
        shutil.copytree(folder, tmp_path / Path(folder).name)
    (tmp_path / "data.csv").write_text(
        "text,label\n" + "".join(f"{t},{y}\n" for t, y in zip(TEXTS, LABELS, strict=True))
    )
    raw = {"data": {"labelled": "data.csv"}, "stages": [{"stage": "bert", "weights": ["telling", "blind"]}]}
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(raw))
    pipeline = Pipeline.from_yaml(tmp_path / "p.yaml")
    data, _ = pipeline.check()
    moved = shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name}-moved"))
    again = Pipeline.from_yaml(Path(moved) / "p.yaml")
    one, other = (one.identities(data, ExternalDigests())[0].own for one in (pipeline, again))
    assert one == other
    result = pipeline.run(tmp_path / "run", context=RunContext(device="cpu"))
    assert Path(result.stages[0].manifest.report["encoder_choice"]["chosen"]).name == "telling"


def test_a_well_known_encoder_gets_the_prompt_of_its_authors(
    folders: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    e5 = known_encoder("intfloat/multilingual-e5-small")
    assert e5 is not None
    folder = shutil.copytree(folders[0], tmp_path / "e5")
    monkeypatch.setattr(known_encoders, "KNOWN", (dataclasses.replace(e5, name=str(folder)),))
    prompted = Bert(weights=str(folder))
    assert prompted.run(data=TextData()).token_model.rule.prompt == "query: "
    assert prompted.external_digests()["prompt"] == "query: "
    assert Bert(weights=str(folder), prompt="").run(data=TextData()).token_model.rule.prompt == ""
    (Path(folder) / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "q: "}}))
    assert prompted.run(data=TextData()).token_model.rule.prompt == ""  # the folder's own word counts
    assert "prompt" not in prompted.external_digests()


def test_known_encoders_are_told_apart_and_described() -> None:
    assert len({one.name for one in KNOWN}) == len(KNOWN) >= 8
    assert known_encoder("minilm") is known_encoder("sentence-transformers/all-MiniLM-L6-v2")
    assert known_encoder("someone/else") is None
    for one in KNOWN:
        assert one.name.count("/") == 1
        assert one.revision is None or len(one.revision) == 40
        assert one.languages.split()
        assert 0 < one.parameters * 2 <= one.megabytes * 1.02 <= one.parameters * 4.2 + 2  # two or four bytes each


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
