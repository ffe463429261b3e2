"""The arms of the few-label benchmark that fit scikit-learn's logistic regression to fixed vectors of the texts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import arms
import numpy as np
from fewshot_task import Task, guesses, timed

FOLDS, PENALTIES = 5, 10
STEPS = 1000


def regression(*, folder: str, device: str, longest: int) -> arms.Run:
    """Return a run of logistic regression on frozen vectors."""
    from sklearn.linear_model import LogisticRegression

    return on_vectors(lambda _: LogisticRegression(max_iter=STEPS), folder, device, longest)


def cross_validated(*, folder: str, device: str, longest: int) -> arms.Run:
    """Return a run of the same with the penalty of the lowest log-loss on held-out folds, of ten that scikit-learn takes."""
    from sklearn.linear_model import LogisticRegressionCV

    def head(task: Task) -> Any:
        folds = min(FOLDS, np.bincount(task.ids()).min())
        return LogisticRegressionCV(
            Cs=PENALTIES, cv=int(folds), scoring="neg_log_loss", l1_ratios=(0.0,), use_legacy_attributes=False,
            max_iter=STEPS,
        )  # fmt: skip

    return on_vectors(head, folder, device, longest)


def on_vectors(head: Callable[[Task], Any], folder: str, device: str, longest: int) -> arms.Run:
    """Return a run of a head on frozen, normalised vectors; those of the test are computed once a set."""
    model = sentence_transformer(folder, device, longest)
    encode = functools.partial(model.encode, normalize_embeddings=True, show_progress_bar=False)
    tests: dict[str, tuple[np.ndarray, arms.Row]] = {}

    def run(task: Task) -> arms.Row:
        row: arms.Row = {}
        with timed(row, "seconds"):
            fitted = head(task).fit(encode(task.labelled.texts()), task.ids())
        if task.data_set not in tests:
            with timed(row, "predict_seconds"):
                vectors = encode(task.test.texts())
            tests[task.data_set] = vectors, {key: row[key] for key in row if "predict" in key}
        vectors, seconds = tests[task.data_set]
        return {**row, **seconds, **guesses(fitted.predict_proba(vectors), fitted.classes_)}

    return run


def words(**_: Any) -> arms.Run:
    """Return a run of logistic regression on tf-idf of single words and pairs of words in the labelled texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    def run(task: Task) -> arms.Row:
        row: arms.Row = {}
        with timed(row, "seconds"):
            fitted = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=STEPS))
            fitted.fit(task.labelled.texts(), task.ids())
        with timed(row, "predict_seconds"):
            probabilities = fitted.predict_proba(task.test.texts())
        return {**row, **guesses(probabilities, fitted.classes_)}

    return run


def sentence_transformer(folder: str, device: str, longest: int) -> Any:
    """Return the weights as sentence-transformers has them; weights that are no such folder get mean pooling."""
    from sentence_transformers import SentenceTransformer

    if (Path(folder) / "modules.json").is_file():
        model = SentenceTransformer(folder, device=device)
    else:
        from sentence_transformers.sentence_transformer import modules as models

        tokens = models.Transformer(folder)
        pooling = models.Pooling(tokens.get_word_embedding_dimension(), pooling_mode="mean")
        model = SentenceTransformer(modules=[tokens, pooling, models.Normalize()], device=device)
    model.max_seq_length = longest
    return model
