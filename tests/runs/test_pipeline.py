"""The runner: check first, publish whole, keep what is unchanged, survive a kill."""

from __future__ import annotations

import json
import multiprocessing.process
import os
import re
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from nlptl.artifact import read_manifest
from nlptl.context import RunContext
from nlptl.disk.locks import run_lock
from nlptl.errors import ArtifactError, ConfigError, DataError, NlptlError, StorageError
from nlptl.interfaces.text import comparison_lines, run_lines, show_lines
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.progress import SilentProgress
from nlptl.runs import runner
from nlptl.runs.pipeline import Pipeline
from nlptl.stages.finetune import FineTune
from nlptl.stages.skipgram import SkipGram
from tests.forked import FORKED
from tests.models.tiny import tiny_folder

TEXTS = ["a good and lovely film", "the plot is awful and dull", "no known words qqq"]


def run(path: Path, out: Path, *assignments: str) -> runner.RunResult:
    return Pipeline.from_yaml(path, assignments=assignments).run(out, context=RunContext(device="cpu"), where=path.name)


def kept(result: runner.RunResult) -> list[bool]:
    return [outcome.kept for outcome in result.stages]


def test_a_run_leaves_whole_stages_and_scores(review_files: Path) -> None:
    out = review_files / "out"
    result = run(review_files / "small.yaml", out)
    assert sorted(path.name for path in out.iterdir()) == [
        ".inputs.json", ".lock", "1-skipgram", "2-sentence_vectors", "3-classification_head", "4-finetune", "data.json",
        "evaluation.json", "finished.json", "pipeline.yaml",
    ]  # fmt: skip
    assert kept(result) == [False] * 4
    assert result.evaluation is not None
    assert result.evaluation.accuracy.value >= 0.8
    history = [json.loads(line) for line in (out / "1-skipgram" / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in history] == list(range(1, 21))
    manifest = read_manifest(out / "4-finetune")
    assert manifest.parent == read_manifest(out / "3-classification_head").identity
    assert (manifest.seed, manifest.trainable_parameters) == (3, 34)
    assert set(manifest.data) == {"labelled", "unlabelled"}
    assert isinstance(Encoder.load(out / "2-sentence_vectors"), Encoder)
    assert TextClassifier.load(out).predict(TEXTS) == TextClassifier.load(out / "4-finetune").predict(TEXTS)
    resolved = Pipeline.from_yaml(out / "pipeline.yaml")
    assert resolved.stages[0].negatives == 5


def test_what_has_not_changed_is_kept(review_files: Path) -> None:
    path, out = review_files / "small.yaml", review_files / "out"
    run(path, out)
    assert kept(run(path, out)) == [True] * 4
    assert kept(run(path, out, "stages.3.update.l2=0.5")) == [True, True, True, False]
    assert kept(run(path, out, "stages.1.pooling=mean", "stages.3.update.l2=0.5")) == [True, False, False, False]
    assert kept(run(path, out, "seed=4")) == [False] * 4
    (review_files / "pile.txt").write_text((review_files / "pile.txt").read_text() + "one more good film\n")
    assert kept(run(path, out, "seed=4")) == [False] * 4
    assert kept(run(path, out, "seed=4")) == [True] * 4


def test_a_damaged_stage_runs_again(review_files: Path) -> None:
    path, out = review_files / "small.yaml", review_files / "out"
    first = run(path, out)
    (out / "2-sentence_vectors" / "pooling.safetensors").write_bytes(b"")
    (out / "4-finetune" / "manifest.json").unlink()
    (out / "4-finetune" / "head.safetensors").unlink()
    for rest in (out / "4-finetune").iterdir():
        rest.unlink()
    second = run(path, out)
    assert kept(second) == [True, False, True, False]
    assert second.evaluation == first.evaluation


def test_stages_of_an_older_chain_go(review_files: Path) -> None:
    path, out = review_files / "small.yaml", review_files / "out"
    run(path, out)
    text = path.read_text().replace("  - {stage: sentence_vectors, pooling: sif}\n", "")
    path.write_text(text)
    run(path, out)
    assert sorted(p.name for p in out.glob("[0-9]*")) == ["1-skipgram", "2-classification_head", "3-finetune"]


def test_faults_are_told_before_anything_trains(review_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, out = review_files / "small.yaml", review_files / "out"

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something trained")

    monkeypatch.setattr(runner, "_run_stage", refuse)
    with pytest.raises(ConfigError) as caught:
        run(path, out, "stages.0.vectors=nowhere.txt", "stages.0.continue_training=false", "stages.0.epochs=-1")
    assert str(caught.value) == (f"{path}: stages.0.epochs is -1, but must be auto or a whole number of at least 0.")
    with pytest.raises(ConfigError) as caught:
        run(path, out, "stages.0.continue_training=true")
    assert str(caught.value) == (
        "small.yaml: stages.0.continue_training: found true without vectors; expected a file to continue from. "
        "Add vectors: PATH, or drop continue_training."
    )
    (review_files / "v.txt").write_text("good 1 2 3\nbad 1 2 4\n")
    with pytest.raises(ConfigError) as caught:
        run(path, out, f"stages.0.vectors={review_files / 'v.txt'}")
    assert str(caught.value) == (
        f"small.yaml: stages.0.dim: found 16, but the vectors in {review_files / 'v.txt'} have 3; both must be equal. "
        "Drop dim or set it to 3."
    )
    with pytest.raises(ConfigError) as caught:
        run(path, out, "stages.3.update.epochs=0")
    assert (
        str(caught.value) == f"{path}: stages.3.update.epochs is 0, but must be auto or a whole number of at least 1."
    )
    (review_files / "test.csv").write_text("text,label\nfine,splendid\n")
    with pytest.raises(
        DataError, match=r"test\.csv:2: .*train\.csv has no label 'splendid'; its labels are 'negative', 'positive'"
    ):
        run(path, out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("update", "name", "seen_by_the_settings"),
    [
        ("{method: contrastive}", "contrastive", True),
        ("{method: head, solver: ridge}", "head with solver ridge", True),
        ("{method: auto}", "auto", False),
    ],
)
def test_a_hidden_layer_under_a_linear_fit_is_told_before_anything_trains(
    review_files: Path, update: str, name: str, seen_by_the_settings: bool
) -> None:
    path = review_files / "small.yaml"
    bert = f"stages.0={{stage: bert, weights: {tiny_folder(review_files / 'bert', 'bert')}}}"
    settings = [bert, "stages.1.pooling=mean", "stages.2.hidden=8", f"stages.3.update={update}"]
    chain = None if seen_by_the_settings else Pipeline.from_yaml(path, assignments=settings)
    with pytest.raises(ConfigError) as caught:
        Pipeline.from_yaml(path, assignments=settings) if chain is None else chain.check(where=str(path))
    assert str(caught.value) == (
        f"{path}: stages.3.update: {name} needs a linear head, but the classification head has a hidden layer of 8 units. "
        "Set hidden: 0 in classification_head, or choose another update."
    )


def test_a_hidden_layer_under_a_linear_fit_is_told_of_an_arm(review_files: Path) -> None:
    path = compared(review_files)
    arm = "compare.arms.pretrained={stages.2.hidden: 8, stages.3.update.solver: lda}"
    with pytest.raises(
        ConfigError, match=r"^x: compare\.arms\.pretrained: stages\.3\.update: head with solver lda needs"
    ):
        Pipeline.from_yaml(path, assignments=[arm]).check(where="x")


def test_a_hidden_layer_is_left_alone_where_nothing_refuses_it(review_files: Path) -> None:
    path = review_files / "small.yaml"
    auto = ["stages.2.hidden=8", "stages.3.update={method: auto}"]
    assert run(path, review_files / "out", *auto).stages[-1].manifest.report["update"] == "head"
    bert = [f"stages.0={{stage: bert, weights: {tiny_folder(review_files / 'bert', 'bert')}}}", "stages.1.pooling=mean"]
    Pipeline.from_yaml(path, assignments=[*bert, *auto, "stages.1.layer=0"]).check()
    names = ["data.labelled=null", "data.label_names={positive: good, negative: bad}"]
    contrastive = ["stages.2.hidden=8", "stages.3.update={method: contrastive}"]
    Pipeline.from_yaml(path, assignments=[*bert, *contrastive, *names]).check()
    (review_files / "train.csv").write_text("text,label\ngood,1\nbad,0\n")
    Pipeline.from_yaml(path, assignments=[*bert, *auto, "data.test=null"]).check()


def test_models_of_augmentation_that_are_missing_are_told_before_anything_trains(review_files: Path) -> None:
    path, plain = review_files / "small.yaml", tiny_folder(review_files / "bert", "bert")
    kinds = [
        "{kind: masked_lm, weights: ./nowhere}",
        f"{{kind: masked_lm, weights: {plain}}}",
        "{kind: back_translation, forward: there, backward: back}",
    ]
    update = f"stages.3.update={{method: contrastive, augment: [{', '.join(kinds)}]}}"
    chain = Pipeline.from_yaml(path, assignments=[f"stages.0={{stage: bert, weights: {plain}}}", update])
    with pytest.raises(ConfigError) as caught:
        chain.check(where="p.yaml")
    at, folder = "p.yaml: stages.3.update.augment", "expected a sequence-to-sequence model in transformers' layout"
    assert caught.value.faults == (
        f"{at}.0.weights: ./nowhere: no such folder; expected weights there. Check the path.",
        f"{at}.1.weights: {plain}: found no masked-LM head; expected weights that carry one, which sentence encoders do not. "
        "Give those of a masked LM, such as google-bert/bert-base-uncased, or choose another kind.",
        f"{at}.2.forward: there: found no folder with a config.json; {folder}. Check the path.",
        f"{at}.2.backward: back: found no folder with a config.json; {folder}. Check the path.",
    )


def test_all_identities_are_known_before_the_first_stage_runs(
    review_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: FineTune) -> dict[str, str]:
        raise ConfigError("gone in between")

    def trained(*_: object, **__: object) -> None:
        raise AssertionError("something trained")

    monkeypatch.setattr(FineTune, "external_digests", refuse)
    monkeypatch.setattr(runner, "_run_stage", trained)
    with pytest.raises(ConfigError, match="gone in between"):
        run(review_files / "small.yaml", review_files / "out")
    assert not (review_files / "out").exists()


def test_a_gpu_that_is_not_there_is_told(review_files: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError) as caught:
        RunContext(device="cuda").torch_device()
    assert str(caught.value) == ("device is 'cuda', but torch finds no GPU on this machine. Choose auto or cpu.")


def test_two_runs_on_one_folder(review_files: Path) -> None:
    with run_lock(review_files / "out"), pytest.raises(ArtifactError, match=rf"another run \(process {os.getpid()}\)"):
        run(review_files / "small.yaml", review_files / "out")


def test_a_folder_that_no_disk_takes_is_told_before_anything_is_read(review_files: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        run(review_files / "small.yaml", review_files / "a\0b")
    assert str(caught.value) == (
        f"{str(review_files / 'a') + chr(0) + 'b'!r}: holds a NUL character; expected a path without one. Check the path."
    )


def test_a_folder_that_cannot_be_written(review_files: Path) -> None:
    (review_files / "out").touch()
    with pytest.raises(StorageError) as caught:
        run(review_files / "small.yaml", review_files / "out")
    assert str(caught.value) == (
        f"{review_files / 'out'}: cannot be written (File exists); a file stands where a folder is "
        "expected. Choose another path."
    )


def _in_child(path: str, out: str, killed_at: int | None, writes: str | None) -> None:
    """Run, and die by kill -9 just before the file operation `killed_at`, counted from 0 in order."""
    import torch

    torch.set_num_threads(1)
    operations = 0

    def before(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal operations
        if _is_write(event, arguments) and any(str(one).startswith(out) for one in arguments):
            if operations == killed_at:
                os.kill(os.getpid(), signal.SIGKILL)
            operations += 1

    sys.addaudithook(before)
    run(Path(path), Path(out))
    if writes is not None:
        Path(writes).write_text(str(operations))


def _is_write(event: str, arguments: tuple[object, ...]) -> bool:
    """Say whether an audit event is about to change a disk."""
    opened_to_write = (
        event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR) != 0
    )
    return opened_to_write or event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")


def _start(*arguments: object) -> multiprocessing.process.BaseProcess:
    child = FORKED.Process(target=_in_child, args=arguments)
    child.start()
    return child


def _ended(*children: multiprocessing.process.BaseProcess) -> list[int | None]:
    for child in children:
        child.join(240)
    return [child.exitcode for child in children]


def test_kill_at_ten_moments(review_files: Path) -> None:
    """Kill -9 between two file operations, then the same command: the predictions are those of an undisturbed run."""
    path, calm, writes = str(review_files / "small.yaml"), review_files / "calm", review_files / "writes"
    assert _ended(_start(path, str(calm), None, str(writes))) == [0]
    expected = TextClassifier.load(calm).predict_proba(TEXTS)
    operations = int(writes.read_text())
    moments = [operations * number // 10 for number in range(10)]
    assert len(set(moments)) == 10
    outs = [review_files / f"killed-{moment}" for moment in moments]
    for two in (slice(start, start + 2) for start in range(0, 10, 2)):  # side by side
        killed = [_start(path, str(out), moment, None) for out, moment in zip(outs[two], moments[two], strict=True)]
        assert _ended(*killed) == [-signal.SIGKILL] * 2
        for out in outs[two]:
            for folder in out.glob("[0-9]*"):
                assert (folder / "manifest.json").is_file(), "a stage's folder is there whole or not at all"
        assert _ended(*[_start(path, str(out), None, None) for out in outs[two]]) == [0, 0]
        for out in outs[two]:
            assert not list(out.glob(".*.draft-*"))
            np.testing.assert_array_equal(TextClassifier.load(out).predict_proba(TEXTS), expected)


def compared(review_files: Path) -> Path:
    path = review_files / "compared.yaml"
    test = review_files / "test.csv"
    path.write_text(
        (review_files / "small.yaml").read_text()
        + f"""\
compare:
  seeds: 2
  arms:
    alone: {{data.unlabelled: null, stages.0.epochs: 0}}
    pretrained: {{}}
  tests: {{"all of them": {test}}}
  redraw: {test}
"""
    )
    return path


def without_costs(rows: str) -> list[str]:
    """Return the rows of a comparison without what their trainings cost, and the digest that covers it."""
    return sorted(row.split(', "cost": ')[0] for row in rows.splitlines())


def test_a_comparison_pairs_its_arms_and_resumes(review_files: Path) -> None:
    path, out = compared(review_files), review_files / "out"
    result = run(path, out).comparison
    assert result is not None
    assert result.arms == ("alone", "pretrained")
    assert [(found.texts, found.seeds) for found in result.results] == [(20, 2), (8, 2)]
    rows = (out / "comparison.jsonl").read_text()
    assert len(rows.splitlines()) == 8
    edited = re.sub(r'(?<="correct": ")[01]', lambda bit: str(1 - int(bit[0])), rows.splitlines()[0])
    (out / "comparison.jsonl").write_text("\n".join([edited, *rows.splitlines()[1:5]]) + '\n{"arm": "al')

    said: list[str] = []

    class Count(SilentProgress):
        def say(self, text: str) -> None:
            said.append(text)

    again = Pipeline.from_yaml(path).run(out, context=RunContext(device="cpu", progress=Count()), where="x")
    assert again.comparison == result
    assert without_costs((out / "comparison.jsonl").read_text()) == without_costs(rows)
    stages = [f"{outcome.folder.name}: kept, nothing it depends on has changed." for outcome in again.stages]
    damage = (
        f"{out / 'comparison.jsonl'}: 2 rows were cut off by a kill, or changed; what is missing is computed again."
    )
    assert said == [*stages, damage]
    said.clear()
    Pipeline.from_yaml(path).run(out, context=RunContext(device="cpu", progress=Count()), where="x")
    assert said == [*stages, "comparison: kept, nothing that its 8 trials depend on has changed."]
    told = list(comparison_lines(result))
    assert told[0] == "Accuracy on all of them in %, 2 seeds [95 % interval]:"
    assert told[-1].endswith("2 seeds are few: a claim needs 20 or more.")
    assert json.loads((out / "comparison.json").read_text())["sentence"] == result.sentence


def test_a_wrong_arm_is_told(review_files: Path) -> None:
    path = compared(review_files)
    path.write_text(path.read_text().replace("stages.0.epochs", "stages.0.epoch"))
    with pytest.raises(
        ConfigError, match=r"compare\.arms\.alone: stages\.0\.epoch is not a setting\. Did you mean 'epochs'\?"
    ):
        Pipeline.from_yaml(path).check(where="x")


def test_reports_tell_what_happened(review_files: Path) -> None:
    out = review_files / "out"
    told = "\n".join(run_lines(run(review_files / "small.yaml", out)))
    assert "of the words in the test texts are not in the vocabulary." in told
    assert "Test: accuracy " in told
    short, shown = "\n".join(show_lines(out)), "\n".join(show_lines(out, details=True))
    for part in (
        "4-finetune: seed 3, on cpu.",
        "Settings: dim=16",
        "Learnt from unlabelled (digest ",
        "Nearest neighbours: ",
        "macro-F1 ",
        "Made with nlptl",
    ):
        assert part in shown
        assert part not in short
    assert "Test: accuracy " in short
    with pytest.raises(ArtifactError) as caught:
        list(show_lines(review_files / "nothing"))
    assert str(caught.value) == (
        f"{review_files / 'nothing'}: no such folder; expected a run or one of its stages. Check the path."
    )
    with pytest.raises(ArtifactError) as caught:
        list(show_lines(review_files))
    assert str(caught.value) == (
        f"{review_files}: holds no finished stage; expected the folder of a run. Run the pipeline first."
    )


def test_existing_vectors_are_taken_or_trained_on(review_files: Path) -> None:
    path, out = review_files / "small.yaml", review_files / "out"
    (review_files / "v.txt").write_text("\n".join(["good 1 0 0", "awful 0 1 0", "unheard 0 0 1"]) + "\n")
    vectors = [f"stages.0={{stage: skipgram, vectors: {review_files / 'v.txt'}, min_count: 1, epochs: 2"]
    taken = run(path, out, vectors[0] + "}", "stages.1.pooling=mean")
    encoder = Encoder.load(taken.stages[0].folder)
    np.testing.assert_array_equal(encoder.encode(["GOOD", "good awful"]), [[1, 0, 0], [0.5, 0.5, 0]])
    assert kept(run(path, out, vectors[0] + "}", "stages.1.pooling=mean")) == [True] * 4
    on = run(path, out, vectors[0] + ", continue_training: true}", "stages.1.pooling=mean")
    encoder = Encoder.load(on.stages[0].folder)
    np.testing.assert_array_equal(encoder.encode(["unheard"]), [[0, 0, 1]])
    near = encoder.encode(["good", "film"])
    assert 0 < float(np.abs(near[0] - [1, 0, 0]).max()) < 0.5
    assert np.abs(near[1]).max() > 0
    (review_files / "v.txt").write_text("good 1 0 1\nawful 0 1 0\n")
    assert kept(run(path, out, vectors[0] + "}", "stages.1.pooling=mean"))[0] is False


def test_what_nlptl_did_not_write_stays(review_files: Path) -> None:
    path, out = review_files / "small.yaml", review_files / "out"
    for name in ("2024-website", "9-finetune", "3x-site", ".my.draft-1"):
        (out / name).mkdir(parents=True)
        (out / name / "manifest.json").write_text("{}")
        (out / name / "index.html").touch()
    run(path, out)
    assert {p.name for p in out.iterdir()} >= {"2024-website", "9-finetune", "3x-site", ".my.draft-1", "1-skipgram"}
    assert list(show_lines(out))
    (out / "1-skipgram" / "thesis.txt").touch()
    with pytest.raises(ArtifactError) as caught:
        run(path, out, "seed=9")
    assert str(caught.value) == (
        f"{out / '1-skipgram'}: holds thesis.txt, which nlptl did not write; nothing was overwritten. Choose another path."
    )


def test_a_users_pipeline_file_is_not_overwritten(review_files: Path) -> None:
    own = review_files / "pipeline.yaml"
    own.write_text((review_files / "small.yaml").read_text())
    with pytest.raises(ArtifactError) as caught:
        run(own, review_files)
    assert str(caught.value) == (
        f"{own}: a file that nlptl did not write stands here; nothing was overwritten. Choose another folder with --out."
    )


def test_a_lost_manifest_is_repaired(review_files: Path) -> None:
    path, out = review_files / "small.yaml", review_files / "out"
    run(path, out)
    manifest = out / "1-skipgram" / "manifest.json"
    manifest.unlink()
    assert kept(run(path, out)) == [False, True, True, True]
    manifest.write_text(manifest.read_text().replace('"seed": 3', '"seed": 4'))
    assert kept(run(path, out)) == [False, True, True, True], "damage is noticed, and mended"


def test_an_unfinished_run_is_not_used(review_files: Path) -> None:
    path, out = review_files / "small.yaml", review_files / "out"
    run(path, out)
    for file in (out / "4-finetune").iterdir():
        file.unlink()
    with pytest.raises(ArtifactError) as caught:
        TextClassifier.load(out)
    assert str(caught.value) == (
        f"{out}: stage 4-finetune is not finished under the settings of pipeline.yaml; a run is used by "
        "its last stage. Run the pipeline to its end."
    )
    assert not any("accuracy" in line for line in show_lines(out))


def test_a_run_under_other_settings_that_failed_is_not_used(
    review_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = review_files / "small.yaml", review_files / "out"
    run(path, out)
    TextClassifier.load(out)

    def stops(*_: object, **__: object) -> None:
        raise ConfigError("stop")

    with monkeypatch.context() as patch:
        patch.setattr(SkipGram, "run", stops)
        with pytest.raises(ConfigError):
            run(path, out, "stages.0.dim=7")
    with pytest.raises(ArtifactError, match=r"stage 1-skipgram is not finished under the settings of pipeline\.yaml"):
        TextClassifier.load(out)
    run(path, out)
    TextClassifier.load(out)


def test_a_run_does_not_begin_with_what_it_will_overwrite(review_files: Path) -> None:
    path, out = review_files / "small.yaml", review_files / "out"
    run(path, out)
    inside = out / "1-skipgram" / "x.txt"
    inside.write_text("1 8\nfilm 1 2 3 4 5 6 7 8\n")
    with pytest.raises(ConfigError) as caught:
        run(path, out, f"stages.0.vectors={inside}")
    assert str(caught.value) == (
        f"{path.name}: stages.0.vectors: found {inside}, which stands in this run's own folder; expected another place, this "
        "run would overwrite it. Choose another folder with --out."
    )


def test_checkpoints_of_others_stay(review_files: Path) -> None:
    path, out = review_files / "small.yaml", review_files / "out"
    for name in (".thesis.checkpoints", ".9-bert.checkpoints"):
        (out / name).mkdir(parents=True)
    run(path, out)
    assert (out / ".thesis.checkpoints").is_dir()
    assert not (out / ".9-bert.checkpoints").exists()


def test_damaged_scores_are_made_again(review_files: Path) -> None:
    path, out = review_files / "small.yaml", review_files / "out"
    first = run(path, out)
    for text in ("[]", "{}", "x", '{"identity": 1}'):
        (out / "evaluation.json").write_text(text)
        assert list(show_lines(out))
        assert run(path, out).evaluation == first.evaluation


def test_edited_scores_are_told_and_made_again(review_files: Path) -> None:
    path, out, said = review_files / "small.yaml", review_files / "out", list[str]()
    first = run(path, out)
    scores = json.loads((out / "evaluation.json").read_text())
    scores["evaluation"]["accuracy"]["value"] = 0.995
    (out / "evaluation.json").write_text(json.dumps(scores))
    sentence = (
        f"{out / 'evaluation.json'}: differs from the digest that it holds; it was changed. Run the pipeline again."
    )
    shown = list(show_lines(out))
    assert shown[-1] == sentence
    assert not any("99.5" in line or ".995" in line for line in shown)

    class Said(SilentProgress):
        def say(self, text: str) -> None:
            said.append(text)

    again = Pipeline.from_yaml(path).run(out, context=RunContext(device="cpu", progress=Said()))
    assert again.evaluation == first.evaluation
    assert f"{sentence} The test texts are scored again." in said
    assert not any("changed" in line for line in show_lines(out))


def test_the_resolved_settings_run_again(review_files: Path) -> None:
    (review_files / "v.txt").write_text("good 1 0\nawful 0 1\n")
    setting = f"stages.0={{stage: skipgram, vectors: {review_files / 'v.txt'}}}"
    run(review_files / "small.yaml", review_files / "out", setting)
    assert kept(run(review_files / "out" / "pipeline.yaml", review_files / "out")) == [True] * 4


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "stages.0.epochs: 0",
            "seed: 9",
            "x: compare.arms.alone.seed: both arms must share it, or they could not be compared pair by pair; expected other "
            "settings, such as stages.0.epochs. Remove it.",
        ),
        (
            "stages.0.epochs: 0",
            "data.shots: 2",
            "x: compare.arms.alone.data.shots: both arms must share it, or they could not be compared pair by pair; expected "
            "other settings, such as stages.0.epochs. Remove it.",
        ),
        (
            "data.unlabelled: null, stages.0.epochs: 0",
            "stages: [{stage: skipgram}]",
            "x: compare.arms.alone: the chain ends with skipgram, which is no classifier; only classifiers can be compared. "
            "Keep the last stages.",
        ),
        (
            "stages.0.epochs: 0",
            "stages.3.priors: {positiv: 0.9}",
            "x: compare.arms.alone: stages.3.priors: found the label 'positiv'; expected negative, positive. Did you mean "
            "'positive'? Correct the label.",
        ),
    ],
)
def test_arms_that_cannot_be_compared(review_files: Path, old: str, new: str, sentence: str) -> None:
    path = compared(review_files)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ConfigError) as caught:
        Pipeline.from_yaml(path).check(where="x")
    assert str(caught.value) == sentence


def test_only_classifiers_are_compared(review_files: Path) -> None:
    path = compared(review_files)
    text = path.read_text().replace("  - {stage: classification_head}\n", "")
    path.write_text(text.replace("  - {stage: finetune, update: {method: head}}\n", ""))
    with pytest.raises(ConfigError) as caught:
        Pipeline.from_yaml(path)
    assert str(caught.value) == (
        f"{path}: compare: the chain ends with sentence_vectors, which gives an encoder; only classifiers can be compared. "
        "Add a classification_head and finetune, or drop compare."
    )


def test_arms_are_told_apart_by_name_and_by_their_files(review_files: Path) -> None:
    path, out = compared(review_files), review_files / "out"
    text = path.read_text().replace(f"  redraw: {review_files / 'test.csv'}\n", "")
    path.write_text(text)
    first = run(path, out).comparison
    swapped = text.replace("alone:", "x:").replace("pretrained:", "alone:").replace("x:", "pretrained:")
    path.write_text(swapped)
    second = run(path, out).comparison
    assert first is not None
    assert second is not None
    assert second.arms == ("pretrained", "alone")
    assert [s.value for s in second.results[0].accuracies] == [s.value for s in first.results[0].accuracies]
    (out / "comparison.jsonl").write_bytes(b'{"arm": 1}\n[]\n\xff\n{"seed"\n' + (out / "comparison.jsonl").read_bytes())
    assert run(path, out).comparison == second
    path.write_text(text.split("compare:")[0])
    run(path, out)
    assert not list(out.glob("comparison*"))


def test_leaks_into_a_comparison_are_dropped_and_told(review_files: Path) -> None:
    path, out = compared(review_files), review_files / "out"
    train, test = review_files / "train.csv", review_files / "test.csv"
    train.write_text(train.read_text() + test.read_text().splitlines()[1] + "\n")
    path.write_text(path.read_text().replace(f"test: {test}}}", "test: null}", 1))
    said: list[str] = []

    class Hear(SilentProgress):
        def say(self, text: str) -> None:
            said.append(text)

    Pipeline.from_yaml(path).run(out, context=RunContext(device="cpu", progress=Hear()), where="x")
    assert "alone: 1 rows of labelled stand in the comparison's tests and were left out." in said


def test_all_faults_of_stages_and_data_are_told_at_once(review_files: Path) -> None:
    vectors = "stages.0={stage: skipgram, vectors: nowhere.txt}"
    with pytest.raises(ConfigError) as caught:
        run(review_files / "small.yaml", review_files / "out", vectors, "data.test=nowhere.csv")
    assert len(caught.value.faults) == 2
    assert caught.value.faults[0].startswith(
        "small.yaml: stages.0.vectors: nowhere.txt: no such file; expected word vectors"
    )
    assert caught.value.faults[1].startswith("small.yaml: data.test: there is no file 'nowhere.csv'")


def test_a_chain_without_texts_is_told_before_it_runs(review_files: Path) -> None:
    (review_files / "v.txt").write_text("good 1 0\nawful 0 1\n")
    path = review_files / "bare.yaml"
    chain = f"{{stage: skipgram, vectors: {review_files / 'v.txt'}}}, {{stage: sentence_vectors, pooling: sif}}"
    path.write_text(f"stages: [{chain}]\n")
    with pytest.raises(DataError) as caught:
        run(path, review_files / "out")
    assert str(caught.value) == (
        "bare.yaml: stages.1: found no texts for sif pooling; it is fitted on data.unlabelled. "
        "Give some, or use mean pooling."
    )
    path.write_text("stages: [{stage: skipgram}]\n")
    with pytest.raises(DataError) as caught:
        run(path, review_files / "out")
    assert str(caught.value) == (
        "bare.yaml: stages.0: found no texts to learn from; expected a pile of them. Give data.unlabelled."
    )


def test_texts_of_one_word_train_without_a_loss(review_files: Path) -> None:
    (review_files / "pile.txt").write_text("good\nbad\ndull\n" * 5)
    out = review_files / "out"
    run(review_files / "small.yaml", out, "stages.0.include_labelled=false", "stages.0.epochs=1")
    assert (out / "1-skipgram" / "history.jsonl").read_text() == '{"epoch": 1}\n'


def test_whole_chains_are_compared(review_files: Path, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "tiny", "bert")
    path = compared(review_files)
    chain = (
        f"[{{stage: bert, weights: {folder}}}, {{stage: classification_head}}, "
        "{stage: finetune, update: {method: partial, top_layers: 1, epochs: 1, l2: 0.1}}]"
    )
    text = path.read_text().split("  redraw:")[0]
    path.write_text(text.replace("  tests:", f"    a transformer: {{stages: {chain}}}\n  tests:"))
    result = run(path, review_files / "out").comparison
    assert result is not None
    assert result.arms == ("alone", "pretrained", "a transformer")
    (found,) = result.results
    assert len(found.accuracies) == 3
    assert len(found.differences) == 2
    assert "'a transformer'" in result.sentence


def test_rows_without_a_label_may_be_the_whole_pile(tmp_path: Path) -> None:
    stages = "stages:\n  - {stage: skipgram, min_count: 1, include_labelled: false}\n  - {stage: classification_head}\n"
    (tmp_path / "p.yaml").write_text("data: {labelled: train.csv, empty_label: unlabelled}\n" + stages)
    (tmp_path / "train.csv").write_text("text,label\ngood soup,pos\nfree text,\nbad soup,neg\n")
    data, _ = Pipeline.from_yaml(tmp_path / "p.yaml").check()
    assert data.unlabelled is not None
    assert data.unlabelled.texts() == ["free text"]
    (tmp_path / "train.csv").write_text("text,label\ngood soup,pos\nbad soup,neg\n")
    with pytest.raises(NlptlError, match="found no texts to learn from"):
        Pipeline.from_yaml(tmp_path / "p.yaml").check()
