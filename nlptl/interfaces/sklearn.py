"""scikit-learn's face: a classifier of texts and an encoder of texts as estimators.

    from nlptl.interfaces.sklearn import TextClassifierEstimator, TextEncoder

    cross_val_score(TextClassifierEstimator(unlabelled=pile), texts, labels)
    GridSearchCV(TextClassifierEstimator(update="head"), {"update__l2": [0.01, 0.1, 1.0]})
    make_pipeline(TextEncoder("minilm"), LogisticRegression())

They learn from texts: a list, an array, a Series, or a frame with one column or with the column `text`. Where they are
pickled, as by joblib's processes, what they have learnt travels as the files of its folder, which are checked when they are
read. To keep a classifier, save `estimator.classifier_`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from nlptl.context import RunContext
from nlptl.data.text_data import TextData
from nlptl.disk.drafts import files_in, temporary_folder
from nlptl.interfaces.class_labels import Classes, check_equally_many, values_of
from nlptl.interfaces.estimator_parts import (
    filled_texts_of,
    fitted_encoder,
    pile_of,
    texts_of,
    told_as_value_error,
    with_settings,
)
from nlptl.interfaces.parameter_names import as_parameters

if TYPE_CHECKING:
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder


@dataclasses.dataclass(frozen=True)
class _Files:
    """Content of a published folder."""

    kind: str
    content: Mapping[str, bytes]


class _TextEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """What both estimators share: nested settings, tags of texts, and how their state travels."""

    def set_params(self, **params: Any) -> Self:
        """Set parameters. `encoder__NAME`, `update__NAME` and `sentence_vectors__NAME` change one setting inside them.

        `encoder__BLOCK__NAME` changes one inside a block of theirs. Raises ValueError for what cannot be changed so.
        """
        own = self.get_params(deep=False)
        nested: dict[str, dict[str, Any]] = {}
        plain: dict[str, Any] = {}
        for name, value in params.items():
            outer, inside, inner = name.partition("__")
            if inside and outer in own and outer in ("encoder", "update", "sentence_vectors"):
                nested.setdefault(outer, {})[inner] = value
            else:
                plain[name] = value
        super().set_params(**plain)
        for name, settings in nested.items():
            with told_as_value_error():
                setattr(self, name, with_settings(getattr(self, name), name, settings))
        return self

    def _context(self) -> RunContext:
        """Return the context of a fit. Raises ConfigError for a seed or a device that no run has."""
        return RunContext(seed=self.get_params()["seed"], device=self.get_params()["device"])

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: X holds texts, in one dimension."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags

    def __getstate__(self) -> dict[str, Any]:
        return {name: _packed(value) for name, value in super().__getstate__().items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({name: _unpacked(value) for name, value in state.items()})


class TextClassifierEstimator(ClassifierMixin, _TextEstimator):  # type: ignore[misc]
    """Classifier of texts: an encoder, a head over its vectors, and a method of fine-tuning.

    Classes are of any hashable kind. `fit` takes no sample_weight: methods weigh labels by `update__label_weights`.

    After `fit`: `classes_`; `classifier_`, a TextClassifier whose labels are the classes in words; `findings_`, sentences about
    what was learnt.
    """

    def __init__(
        self, encoder: Any = None, update: Any = "head", *, unlabelled: Any = None, sentence_vectors: Any = None,
        label_names: Any = None, seed: int = 13, device: str = "auto",
    ) -> None:  # fmt: skip
        """Keep the parameters; `fit` checks them.

        `encoder`: minilm, glove, skipgram or ngrams (both learnt from the texts), a folder, a name on the Hub, settings of a
        stage, a stage, or an Encoder. None: minilm where it is installed, else word vectors of the texts. Of fewer than 2,000
        texts, skipgram learns every word (`encoder__min_count`), unless a stage is given.
        `update`: the name of a method of fine-tuning (head, auto, words, contrastive, …), its settings as a dict, or the method.
        `unlabelled`: texts without labels, from which encoder and method may learn beside those of X. Empty ones are left out.
        `sentence_vectors`: settings of that stage, such as {"pooling": "mean"}. None keeps the encoder's own pooling, and fits
        one to the texts for word vectors that were learnt here.
        `label_names`: words that name each class, for the methods that use them.
        """
        self.encoder = encoder
        self.update = update
        self.unlabelled = unlabelled
        self.sentence_vectors = sentence_vectors
        self.label_names = label_names
        self.seed = seed
        self.device = device

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from texts X and their classes y. Raises ValueError, one sentence a fault."""
        from nlptl.stages.classification_head import ClassificationHead
        from nlptl.stages.finetune import FineTune

        with told_as_value_error():
            finetune = FineTune(update={"method": self.update} if isinstance(self.update, str) else self.update)
            texts, classes = filled_texts_of(X), Classes.of(y)
            check_equally_many(texts, classes.ids)
            pile = pile_of(self.unlabelled) or None
            data, labels = classes.labelled(texts, unlabelled=pile, label_names=self.label_names)
            context = self._context()
            encoder = fitted_encoder(self.encoder, self.sentence_vectors, data, context)
            finetune.check(where="estimator")
            finetune.check_data(data, where="estimator")
            head = ClassificationHead().run(encoder, data=data, context=context)
            self.classifier_: TextClassifier = finetune.run(head, data=data, context=context)
        self.classes_: NDArray[Any] = classes.values
        self.findings_ = tuple(map(as_parameters, context.record.sentences))
        self._columns = [self.classifier_.labels.index(label) for label in labels]
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return probabilities (texts, classes), columns in the order of `classes_`."""
        check_is_fitted(self)
        with told_as_value_error():
            return self.classifier_.predict_proba(texts_of(X))[:, self._columns]

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each text."""
        best = self.predict_proba(X).argmax(axis=1)
        found: NDArray[Any] = self.classes_[best]
        return found

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy. scikit-learn's own takes tuples for several labels of a text."""
        found = values_of(self.predict(X))
        with told_as_value_error():
            truth = values_of(y)
            check_equally_many(found, truth)
        right = [guess == true for guess, true in zip(found, truth, strict=True)]
        return float(np.average(right, weights=sample_weight))


class TextEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _TextEstimator):  # type: ignore[misc]
    """Transformer from texts to a dense matrix of sentence vectors.

    After `fit`: `encoder_`, an Encoder; `findings_`, sentences about what was learnt.
    """

    def __init__(
        self, encoder: Any = None, *, unlabelled: Any = None, sentence_vectors: Any = None, normalize: bool = False,
        seed: int = 13, device: str = "auto",
    ) -> None:  # fmt: skip
        """Keep the parameters; `fit` checks them.

        `encoder`, `unlabelled` and `sentence_vectors` are those of TextClassifierEstimator. `normalize` scales each vector to
        length 1.
        """
        self.encoder = encoder
        self.unlabelled = unlabelled
        self.sentence_vectors = sentence_vectors
        self.normalize = normalize
        self.seed = seed
        self.device = device

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the encoder from texts X, where it learns at all. Raises ValueError, one sentence a fault."""
        with told_as_value_error():
            data = TextData(unlabelled=[*pile_of(self.unlabelled), *texts_of(X)], empty_text="skip")
            context = self._context()
            self.encoder_: Encoder = fitted_encoder(self.encoder, self.sentence_vectors, data, context)
        self.findings_ = tuple(map(as_parameters, context.record.sentences))
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return the sentence vectors (texts, dimensions) in float32."""
        check_is_fitted(self)
        with told_as_value_error():
            return self.encoder_.encode(texts_of(X), normalize=self.normalize)

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: the result is in float32, whatever X is."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    @property
    def _n_features_out(self) -> int:
        return self.encoder_.dim


def _packed(value: Any) -> Any:
    """Return a model as the files of its folder, other values as they are."""
    kind = "" if type(value).__module__.partition(".")[0] != "nlptl" else type(value).__name__
    if kind not in ("Encoder", "TextClassifier"):
        return value
    with temporary_folder("estimator") as place:
        folder = place / "model"
        value.save(folder)
        return _Files(kind, {path.relative_to(folder).as_posix(): path.read_bytes() for path in files_in(folder)})


def _unpacked(value: Any) -> Any:
    """Return a model from the files of its folder, which are checked; other values as they are."""
    if not isinstance(value, _Files):
        return value
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder

    with temporary_folder("estimator") as place:
        folder = Path(place) / "model"
        for name, content in value.content.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return (Encoder if value.kind == "Encoder" else TextClassifier).load(folder)
