"""A chain from another domain's labels: checked, run, kept, compared, with no labelled example of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nlptl.artifact import read_manifest
from nlptl.context import RunContext
from nlptl.errors import ConfigError
from nlptl.runs.chain import ExternalDigests
from nlptl.runs.pipeline import Pipeline


@pytest.fixture
def chain(review_files: Path) -> Path:
    path = review_files / "adapt.yaml"
    path.write_text(
        f"""\
seed: 3
data: {{unlabelled: {review_files}/pile.txt, source: {review_files}/train.csv, test: {review_files}/test.csv}}
stages:
  - {{stage: skipgram, dim: 16, min_count: 1, epochs: 20, window: 10}}
  - {{stage: sentence_vectors, pooling: mean}}
  - {{stage: classification_head}}
  - {{stage: domain_adaptation, adapt: {{method: coral}}, l2: 0.1, folds: 2}}
compare:
  seeds: 2
  arms: {{source only: {{stages.3.adapt: {{method: none}}}}, adapted: {{}}}}
  tests: {{"all of them": {review_files}/test.csv}}
""",
        encoding="utf-8",
    )
    return path


def test_a_run_from_source_to_scores(chain: Path, review_files: Path) -> None:
    out = review_files / "out"
    result = Pipeline.from_yaml(chain).run(out, context=RunContext(device="cpu"), where="adapt.yaml")
    assert result.evaluation is not None
    assert result.comparison is not None
    assert result.comparison.arms == ("source only", "adapted")
    assert set(read_manifest(out / "3-classification_head").data) == {"source"}
    manifest = read_manifest(out / "4-domain_adaptation")
    assert set(manifest.data) == {"source", "unlabelled"}
    assert {"shift", "accuracy", "head"} <= set(manifest.report)
    json.dumps(manifest.report, allow_nan=False)
    again = Pipeline.from_yaml(chain).run(out, context=RunContext(device="cpu"), where="adapt.yaml")
    assert [outcome.kept for outcome in again.stages] == [True] * 4
    changed = Pipeline.from_yaml(chain, assignments=["stages.3.adapt.method=none", "compare=null"])
    third = changed.run(out, context=RunContext(device="cpu"), where="adapt.yaml")
    assert [outcome.kept for outcome in third.stages] == [True, True, True, False]


@pytest.mark.parametrize(
    ("assignments", "sentence"),
    [
        (
            ["data.source=null"],
            "stages.2: classification_head needs data.labelled, which is missing. "
            "Set data.labelled to a file, or data.label_names to predict from the names alone.",
        ),
        (
            ["stages.3={stage: finetune}"],
            "stages.3: finetune needs data.labelled, which is missing. "
            "Set data.labelled to a file, or data.label_names to predict from the names alone.",
        ),
        (
            ["stages.3.adapt={method: adapters}"],
            "stages.3.adapt.method: found adapters over word vectors or n-grams, which have no layers; expected none or "
            "coral, or a transformer. Choose one, or begin the chain with bert.",
        ),
    ],
)
def test_what_does_not_fit_is_told_first(chain: Path, assignments: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Pipeline.from_yaml(chain, assignments=assignments)
    assert sentence in str(caught.value).replace(str(chain), "adapt.yaml")


def test_both_domains_labels_and_a_missing_pile(chain: Path, review_files: Path) -> None:
    with pytest.raises(ConfigError, match=r"stages.3: domain_adaptation needs data.unlabelled, which is missing"):
        Pipeline.from_yaml(chain, assignments=["data.unlabelled=null", "stages.0={stage: bert}"])
    both = Pipeline.from_yaml(chain, assignments=[f"data.labelled={review_files}/train.csv", "compare=null"])
    data, _ = both.check()
    reads = [set(identity.data) for identity in both.identities(data, ExternalDigests())]
    assert reads[2:] == [{"labelled"}, {"source", "unlabelled", "labelled"}]
