"""Hub data sets: what is asked of 🤗 datasets, what becomes of its answer, and how its errors are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest

from nlptl.data import DataSettings, load_data
from nlptl.errors import DataError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLPTL_CACHE", str(tmp_path))


def answer_with(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[tuple[Any, Any]]:
    """Let `datasets.load_dataset` give or raise `answer`; return the list in which its arguments are kept."""
    calls: list[tuple[Any, Any]] = []

    def load_dataset(*args: Any, **kwargs: Any) -> Any:
        calls.append((args, kwargs))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return calls


def reviews() -> datasets.Dataset:
    features = datasets.Features(
        {"review": datasets.Value("string"), "stars": datasets.ClassLabel(names=["poor", "fine"])}
    )
    info = datasets.DatasetInfo(
        features=features, download_checksums={f"hf://datasets/owner/reviews@{COMMIT}/train.parquet": {}}
    )
    return datasets.Dataset.from_dict({"review": ["bad", "good", "nice"], "stars": [0, 1, 1]}, info=info)


def settings(**source: Any) -> DataSettings:
    return DataSettings.model_validate({"labelled": {"hub": "owner/reviews", "split": "train", **source}})


def test_class_label_ids_become_names_and_the_commit_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = answer_with(monkeypatch, reviews())
    data, report = load_data(settings(text="review", label="stars"), seed=1)
    assert data.labelled is not None
    assert data.labelled.texts() == ["bad", "good", "nice"]
    assert data.labelled.labels() == ["poor", "fine", "fine"]
    assert data.labelled.name == "owner/reviews, split train"
    assert report.parts["labelled"].revisions == (COMMIT,)
    assert calls == [(("owner/reviews", None), {"split": "train", "revision": None})]


def test_configuration_and_revision_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = answer_with(monkeypatch, reviews())
    chosen = settings(hub="owner/reviews/small", split="train[:10%]", revision="v2", text="review", label="stars")
    load_data(chosen, seed=1)
    assert calls == [(("owner/reviews", "small"), {"split": "train[:10%]", "revision": "v2"})]


def test_a_big_data_set_is_memory_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlptl.data.sources._BIG_BYTES", 10)
    answer_with(monkeypatch, reviews())
    data, _ = load_data(settings(text="review", label="stars"), seed=1)
    assert data.labelled is not None
    assert data.labelled.mapped is not None
    assert data.labelled.labels() == ["poor", "fine", "fine"]


def fault(monkeypatch: pytest.MonkeyPatch, answer: Any, **source: Any) -> str:
    answer_with(monkeypatch, answer)
    with pytest.raises(DataError) as caught:
        load_data(settings(**source), seed=1)
    return str(caught.value)


def test_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ConnectionError("Couldn't reach 'owner/reviews' on the Hub (LocalEntryNotFoundError)")
    assert fault(monkeypatch, error, hub="owner/reviews/small") == (
        "data.labelled: the data set 'owner/reviews/small' needs a connection to huggingface.co (Couldn't reach "
        "'owner/reviews' on the Hub (LocalEntryNotFoundError)). On a machine with a connection, run "
        "load_dataset('owner/reviews', 'small', split='train').to_parquet('train.parquet') and give that file here, "
        "or copy that machine's folder ~/.cache/huggingface to this one."
    )


def test_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    error = datasets.exceptions.DatasetNotFoundError("Dataset 'owner/reviews' doesn't exist on the Hub.")
    assert fault(monkeypatch, error) == (
        "data.labelled: the Hugging Face Hub has no data set 'owner/reviews' (Dataset 'owner/reviews' doesn't exist "
        "on the Hub). Check that the name is OWNER/NAME, or log in with `hf auth login` if the data set is private."
    )


def test_missing_split(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ValueError("Unknown split \"trian\". Should be one of ['train', 'test'].")
    assert fault(monkeypatch, error, split="trian") == (
        "data.labelled: the data set 'owner/reviews' has no split 'trian'; its splits are train, test. Did you mean "
        "'train'? Correct the split."
    )


def test_any_other_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    error = RuntimeError("Dataset scripts are no longer supported, but found reviews.py")
    assert fault(monkeypatch, error) == (
        "data.labelled: the data set 'owner/reviews' cannot be loaded (Dataset scripts are no longer supported, but "
        "found reviews.py). Only data sets of plain data files are supported. Run load_dataset('owner/reviews', "
        "split='train').to_parquet('train.parquet') where it can be loaded, and give that file here."
    )


def test_missing_column(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fault(monkeypatch, reviews(), label="stars") == (
        "owner/reviews, split train: there is no column 'text' with the texts; the columns are 'review', 'stars'. "
        "Name the column with `text_column:`, or with `text:` under this source."
    )


def test_an_id_without_a_name_is_an_empty_label(monkeypatch: pytest.MonkeyPatch) -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["a", "b"])})
    hidden = datasets.Dataset.from_dict({"text": ["x", "y"], "label": [0, -1]}, features=features)
    assert fault(monkeypatch, hidden) == (
        "owner/reviews, split train, row 2: the label is empty. Remove the row, fill in the label, or set `empty_label: skip` "
        "to leave out all such rows."
    )
