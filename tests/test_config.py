"""Settings: strict YAML, all faults at once, each one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlptl.config import dump_yaml, load_yaml, override, parse
from nlptl.errors import ConfigError
from nlptl.runs.pipeline import Pipeline

CHAIN = """\
data: {unlabelled: pile.txt, labelled: train.csv}
stages:
  - {stage: skipgram}
  - {stage: classification_head}
  - {stage: finetune}
"""


def faults(tmp_path: Path, text: str) -> tuple[str, ...]:
    path = tmp_path / "p.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        Pipeline.from_yaml(path)
    return tuple(fault.replace(str(tmp_path) + "/", "") for fault in caught.value.faults)


def test_a_right_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(CHAIN, encoding="utf-8")
    chain = Pipeline.from_yaml(path, assignments=["stages.0.dim=50", "seed=4"])
    assert (chain.seed, chain.stages[0].dim, chain.stages[2].update.method) == (4, 50, "head")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("skipgram}", "skipgram, dim: -3}", "p.yaml: stages.0.dim is -3, but must be at least 1."),
        (
            "skipgram}",
            "skipgram, subwords: {mim: 2}}",
            "p.yaml: stages.0.subwords.mim is not a setting. Did you mean 'min'? Known here: min, max, buckets.",
        ),
        (
            "skipgram}",
            "skipgram, subwords: {min: 7}}",
            "p.yaml: stages.0.subwords: found min: 7 and max: 6; expected max to be at least min. Raise max or lower min.",
        ),
        (
            "skipgram}",
            "skipgram, phrases: maybe}",
            "p.yaml: stages.0.phrases is 'maybe', but must be a block of settings (threshold, min_count).",
        ),
        (
            "skipgram}",
            "skipgram, engine: gpuu}",
            "p.yaml: stages.0.engine is 'gpuu', but must be one of auto, cpu, gpu, gensim, ppmi. Did you mean 'gpu'?",
        ),
        (
            "skipgram}",
            "skipgram, window: 1000}",
            "p.yaml: stages.0.window is 1000, but must be at most 100.",
        ),
        (
            "skipgram}",
            "skipgram, epoch: 5}",
            "p.yaml: stages.0.epoch is not a setting. Did you mean 'epochs'? Known here: stage, dim, window, negatives, "
            "min_count, subsample, epochs, learning_rate, engine, smoothing, deterministic, subwords, phrases, include_labelled, "
            "text, vectors, continue_training.",
        ),
        (
            "stage: skipgram",
            "stage: skipgarm",
            "p.yaml: stages.0.stage is 'skipgarm', but must be one of skipgram, bert, ngrams, sentence_vectors, "
            "classification_head, domain_adaptation, distil, finetune. Did you mean 'skipgram'?",
        ),
        (
            "stage: finetune",
            "stage: finetune, update: {method: head, rank: 8}",
            "p.yaml: stages.2.update.rank is not a setting of head, but of lora, contrastive. Known here: learning_rate, epochs, "
            "l2, batch_size, folds, patience, label_weights, label_smoothing, precision, method, solver.",
        ),
        (
            "stage: finetune",
            "stage: finetune, update: {method: loro}",
            "p.yaml: stages.2.update.method is 'loro', but must be one of head, partial, full, lora, contrastive, self_training, "
            "words, auto. Did you mean 'lora'?",
        ),
        (
            "labelled: train.csv}",
            "labelled: train.csv, shot: 8}",
            "p.yaml: data.shot is not a setting. Did you mean 'shots'? Known here: unlabelled, source, labelled, validation, "
            "test, hold_out, label_names, text_column, label_column, labels, delimiter, quoting, encoding, header, sheet, "
            "max_text_length, shots, drop_leaks, empty_text, empty_label.",
        ),
        (
            "stages:",
            "stage:",
            "p.yaml: stages is missing. It has no default, so it must be set.",
        ),
        (
            "  - {stage: classification_head}\n",
            "",
            "p.yaml: stages.1: finetune takes a classifier, but stages.0 gives an encoder; each stage must take what the "
            "one before gives. Reorder the chain or add the missing stage.",
        ),
        (
            ", labelled: train.csv",
            "",
            "p.yaml: stages.1: classification_head needs data.labelled, which is missing. "
            "Set data.labelled to a file, or data.label_names to predict from the names alone.",
        ),
        (
            "skipgram}",
            "skipgram, text: {preset: tweet}}",
            "p.yaml: stages.0.text.preset is 'tweet', but must be one of plain, tweets. Did you mean 'tweets'?",
        ),
    ],
)
def test_each_fault_is_one_sentence(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert old in CHAIN
    assert sentence in faults(tmp_path, CHAIN.replace(old, new))


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = CHAIN.replace("skipgram}", "skipgram, dim: x, epoch: 1}").replace("data:", "sed: 1\ndata:")
    told = faults(tmp_path, text)
    assert [fault.split()[1] for fault in told] == ["stages.0.dim", "stages.0.epoch", "sed"]


@pytest.mark.parametrize("value", ["!!int foo", "!!bool foo", "!!timestamp foo", "9" * 5000, "[" * 3000])
def test_values_that_yaml_cannot_read(tmp_path: Path, value: str) -> None:
    (told,) = faults(tmp_path, f"seed: {value}\n")
    assert told.startswith("p.yaml")
    with pytest.raises(ConfigError, match=r"the value is not valid YAML\. Put it in quotes\."):
        override({}, [f"seed={value}"])


def test_a_list_is_no_key(tmp_path: Path) -> None:
    (told,) = faults(tmp_path, "? [a, b]\n: 1\n")
    assert told == "p.yaml: a value cannot be read as YAML (unhashable type: 'list'). Put it in quotes."


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("stages.2.update.epochs=foo", "is 'foo', but must be auto or a whole number of at least 1."),
        ("stages.2.update.epochs=true", "is True, but must be auto or a whole number of at least 1."),
        ("stages.2.update.learning_rate=0", "is 0, but must be auto or a number above 0."),
        ("stages.2.update.l2=-1", "is -1, but must be auto or a number of at least 0."),
        ("stages.2.update.batch_size=1.5", "is 1.5, but must be auto or a whole number of at least 1."),
    ],
)
def test_auto_or_a_number(tmp_path: Path, setting: str, sentence: str) -> None:
    (tmp_path / "p.yaml").write_text(CHAIN, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        Pipeline.from_yaml(tmp_path / "p.yaml", assignments=["stages.2.update.method=head", setting])
    assert caught.value.faults == (f"{tmp_path / 'p.yaml'}: {setting.split('=', maxsplit=1)[0]} {sentence}",)


def test_broken_yaml_names_its_line(tmp_path: Path) -> None:
    assert faults(tmp_path, "seed: 1\ndata: [1, 2\n") == (
        "p.yaml:3: this is not valid YAML (expected ',' or ']', but got '<stream end>'). Check the indentation, colons and "
        "brackets of this line.",
    )


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    assert faults(tmp_path, "seed: 1\nseed: 2\n") == ("p.yaml:2: 'seed' is given twice. Remove one of the two.",)


def test_a_list_is_no_pipeline(tmp_path: Path) -> None:
    assert faults(tmp_path, "- 1\n") == ("p.yaml: found list; expected a block with data: and stages: . Write one.",)


def test_an_empty_file_is_no_pipeline(tmp_path: Path) -> None:
    assert faults(tmp_path, "# nothing yet\n") == ("p.yaml: the file is empty. Write data: and stages:.",)


def test_a_folder_is_no_pipeline(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_yaml(tmp_path)
    assert str(caught.value) == f"{tmp_path}: is a folder. Give a YAML file."


def test_a_missing_file_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        load_yaml("nowhere/p.yaml")
    assert str(caught.value) == "nowhere/p.yaml: there is no such file. Give the path of a YAML file."


def test_a_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes("seed: 1 # é".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"the file cannot be read \(.*\)\. It must be a YAML file in UTF-8\.$"):
        load_yaml(path)


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("dim", "--set dim: the assignment is not of the form PATH=VALUE. Write it like stages.0.dim=50."),
        (
            "stages.².dim=1",
            "--set stages.².dim=1: position '²' is not in the list of length 1. Positions count from 0.",
        ),
        (
            "stages.7.dim=1",
            "--set stages.7.dim=1: position '7' is not in the list of length 1. Positions count from 0.",
        ),
        ("seed.x=1", "--set seed.x=1: 'x' cannot be set inside the plain value 1. Check the path."),
        ("seed=[1", "--set seed=[1: the value is not valid YAML. Put it in quotes."),
    ],
)
def test_a_wrong_assignment_is_told(assignment: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override({"seed": 1, "stages": [{"dim": 1}]}, [assignment])
    assert str(caught.value) == sentence


def test_settings_survive_yaml(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(CHAIN, encoding="utf-8")
    chain = Pipeline.from_yaml(tmp_path / "p.yaml")
    (tmp_path / "again.yaml").write_text(dump_yaml(chain.model_dump(mode="json")), encoding="utf-8")
    assert Pipeline.from_yaml(tmp_path / "again.yaml").model_dump() == chain.model_dump()


def test_parse_names_the_place() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(Pipeline, {"seed": -1, "stages": [{"stage": "skipgram"}]}, where="here")
    assert caught.value.faults == ("here: seed is -1, but must be at least 0.",)


@pytest.mark.parametrize("value", ["1:30", "0x10", "010", "1_000", "2024-01-01", "0b1", "1e", "1.0.0"])
def test_what_is_no_plain_number_is_a_text(tmp_path: Path, value: str) -> None:
    """YAML 1.1 would read 1:30 as 90, 010 as 8 and 1_000 as 1000."""
    text = CHAIN.replace("skipgram}", f"skipgram, dim: {value}}}")
    assert faults(tmp_path, text) == (f"p.yaml: stages.0.dim is {value!r}, but must be a whole number.",)


@pytest.mark.parametrize(
    ("text", "value"), [("1e-5", 1e-5), ("1E5", 1e5), (".5", 0.5), ("3.", 3.0), ("+3", 3), ("-0", 0)]
)
def test_numbers_of_yaml(tmp_path: Path, text: str, value: float) -> None:
    (tmp_path / "a.yaml").write_text(f"a: {text}\n", encoding="utf-8")
    read = load_yaml(tmp_path / "a.yaml")
    assert read == {"a": value}
    assert type(read["a"]) is type(value)


@pytest.mark.parametrize(
    "value", ["1e5", "1:30", "0x10", "010", ".inf", "2024-01-01", "yes", "~", "5.", 1e22, 1e-7, True]
)
def test_what_is_written_reads_back_equal(tmp_path: Path, value: object) -> None:
    (tmp_path / "a.yaml").write_text(dump_yaml({"a": value}), encoding="utf-8")
    assert load_yaml(tmp_path / "a.yaml") == {"a": value}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("true", "True"),
        ("'3'", "'3'"),
        ("3.0", "3.0"),
        ("no", "False"),
        ("1e22", "1e+22"),
        (".inf", "inf"),
        ("[3]", "[3]"),
    ],
)
def test_only_a_whole_number_is_one(tmp_path: Path, value: str, found: str) -> None:
    text = CHAIN.replace("skipgram}", f"skipgram, min_count: {value}}}")
    assert faults(tmp_path, text) == (f"p.yaml: stages.0.min_count is {found}, but must be a whole number.",)


def test_an_empty_name_of_a_file_is_told(tmp_path: Path) -> None:
    text = CHAIN.replace("pile.txt", "''")
    assert faults(tmp_path, text) == (
        "p.yaml: data.unlabelled is not a source. Give the path of a file, or a block with `file: ...` or `hub: ...`.",
    )


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (BOMB, ":6: aliases stand for more than 100,000 values. Write the values out."),
        ("a: &a [*a]\n", ":1: an alias stands for a value that contains it. Write the values out."),
        ("a: &a {x: 1}\nb: {<<: *a}\n", ":2: the merge key << is not read. Write the values out."),
        (
            "a: !!python/object/apply:os.system [x]\n",
            ":1: a tag with ! is not read, since settings are plain values. Remove it.",
        ),
        ("a: !secret x\n", ":1: a tag with ! is not read, since settings are plain values. Remove it."),
        ("[" * 5000, ": its brackets or blocks are nested too deeply. Remove some of them."),
        ("- " * 5000, ": its brackets or blocks are nested too deeply. Remove some of them."),
        (f"a: '{'x' * 2**19}'\n", ": the file has more than 524,288 bytes. Settings are shorter; give another file."),
    ],
)
def test_yaml_that_would_take_memory_or_run_code(tmp_path: Path, text: str, sentence: str) -> None:
    assert faults(tmp_path, text) == (f"p.yaml{sentence}",)


def test_aliases_of_a_few_values_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: &a [1, 2]\nb: [*a, *a]\n", encoding="utf-8")
    assert load_yaml(tmp_path / "a.yaml") == {"a": [1, 2], "b": [[1, 2], [1, 2]]}


def test_only_the_first_of_many_faults_are_told(tmp_path: Path) -> None:
    told = faults(
        tmp_path, "data:\n" + "".join(f"  d{number}: 1\n" for number in range(3000)) + "stages: [{stage: skipgram}]\n"
    )
    assert [fault.split()[1] for fault in told[:-1]] == [f"data.d{number}" for number in range(20)]
    assert told[-1] == "p.yaml: 2,980 more faults follow. Correct these first."


def test_a_long_assignment_is_told_in_short() -> None:
    with pytest.raises(ConfigError) as caught:
        override({}, ["a=[" + "x" * 1000])
    assert str(caught.value) == f"--set a=[{'x' * 54}...: the value is not valid YAML. Put it in quotes."
