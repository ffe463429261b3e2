"""TextClassifier: text to label and probabilities. Encoder + head + label names.

Shapes: B texts, K labels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from nlptl import artifact
from nlptl.data import LabelSet
from nlptl.data.learnt_texts import FILE as LEARNT
from nlptl.data.learnt_texts import LearntTexts
from nlptl.data.python_texts import EmptyPrediction, TextColumns, TextsLike, given_texts, strings
from nlptl.errors import ArtifactError, ConfigError
from nlptl.inference.abstention.abstention import FILE as ABSTENTION
from nlptl.inference.abstention.abstention import Abstention, PredictionSet, usable_abstention
from nlptl.inference.abstention.conformal import SetCoverage
from nlptl.inference.file_names import CLASSIFIER, HEAD
from nlptl.inference.predictor import UNTRAINED, labels_of
from nlptl.inference.settings_files import SEPARATOR, ClassifierSettings, head_shapes, read_settings
from nlptl.models.at_rest import at_rest
from nlptl.models.encoder import Encoder, count_parameters
from nlptl.models.encoder_files import PROBES, check_read_back
from nlptl.models.heads import Head
from nlptl.models.model_card import write_card
from nlptl.models.other_tools import add_head
from nlptl.models.packing import Batch
from nlptl.models.pretrained import fill
from nlptl.models.static_logits import StaticLogits
from nlptl.models.tensor_files import check_shapes
from nlptl.versions import artifact_in_use

if TYPE_CHECKING:
    from nlptl.models.explaining.explanation import Explanation


class TextClassifier(nn.Module):
    """probabilities = softmax(head(encoder(text))); `labels` holds the K names in the order of the columns.

    Where a text may have several labels, probabilities = sigmoid(head(encoder(text))).
    """

    def __init__(self, encoder: Encoder, head: Head, labels: Sequence[str]) -> None:
        super().__init__()
        if head.label_count != len(labels):
            raise ValueError(f"the head has {head.label_count} outputs for {len(labels)} labels")
        self.encoder, self.head, self.labels = encoder, head, tuple(labels)
        self.learnt: LearntTexts | None = None  # hashes of the texts that it was trained on, where they are known
        self.abstention: Abstention | None = None  # what prediction sets need, where it is known
        self.separator = SEPARATOR  # between the labels of a text in a file's cell
        self._static_logits = StaticLogits()

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.encoder.device

    @property
    def multi_label(self) -> bool:
        """Whether a text may have several labels, or none."""
        return self.head.thresholds is not None

    def label_ids(self, labels: Sequence[str]) -> Tensor:
        """Return the ids (B,) of label names, their places in `labels`. Raises DataError for an unknown one."""
        return torch.tensor(LabelSet(self.labels).ids(labels), dtype=torch.int64)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B, K)."""
        return cast("Tensor", self.head(self.encoder(batch)))

    def predict_proba(
        self, texts: TextsLike, *, text: TextColumns = "text", empty_text: EmptyPrediction = "predict",
        after_batch: Callable[[int], None] | None = None,
    ) -> NDArray[np.float64]:  # fmt: skip
        """Return probabilities (B, K), columns in the order of `labels`.

        Each row sums to 1. Where `multi_label`, each number is the probability that the text has this label.
        `texts`, `text` and `empty_text` are those of `predict`; under "none" a row without a text has NaN everywhere.
        A head that was never trained raises ConfigError.
        """
        self.check_trained()
        given = given_texts(texts, text=text, empty_text=empty_text)
        found = self.probabilities(given.texts, after_batch=after_batch)
        if given.rows is None or empty_text != "none":
            return found
        every = np.full((given.count, len(self.labels)), np.nan)
        every[given.rows] = found
        return every

    def probabilities(
        self, texts: Sequence[str], *, after_batch: Callable[[int], None] | None = None
    ) -> NDArray[np.float64]:
        """Return probabilities (B, K) by the head as it stands, trained or not."""
        logits = self._static_logits.logits(self.encoder, self.head, texts, after_batch)
        if logits is not None:
            return cast("NDArray[np.float64]", self.head.probabilities(logits).numpy())
        return self.probabilities_of(self.encoder.encode(texts, after_batch=after_batch))

    def probabilities_of(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probabilities (B, K) of texts with these sentence vectors (B, D)."""
        head = at_rest(self.head)
        with torch.inference_mode(), torch.autocast(self.device.type, enabled=False):
            logits = head(torch.from_numpy(vectors).to(head.centre.device))
            return cast("NDArray[np.float64]", head.probabilities(logits).cpu().numpy())

    def labels_of(self, probabilities: NDArray[np.float64]) -> list[Any]:
        """Return the most probable label of each row of probabilities (B, K), or a tuple of labels where `multi_label`."""
        return labels_of(probabilities, self.labels, self.head.thresholds)

    @overload
    def predict(
        self,
        texts: TextsLike,
        *,
        text: TextColumns = "text",
        empty_text: Literal["predict", "refuse", "skip"] = "predict",
    ) -> list[str]: ...

    @overload
    def predict(
        self, texts: TextsLike, *, text: TextColumns = "text", empty_text: Literal["none"]
    ) -> list[str | None]: ...

    def predict(
        self, texts: TextsLike, *, text: TextColumns = "text", empty_text: EmptyPrediction = "predict"
    ) -> list[Any]:
        """Return the most probable label of each text.

        Where `multi_label`, it is the tuple of a text's labels, which may be empty; the annotation leaves that out.

        Texts come as a list, tuple, generator, array or Series, as a frame or data set with the column `text`, or as a file's
        path. Anything else raises DataError. By default ("predict") an empty string has a label as any text has, and a row
        whose text is missing (None, NaN) raises DataError. Both kinds raise it under `empty_text="refuse"`, are left out under
        "skip", and get None under "none", so that all labels stay in their rows. A head that was never trained raises ConfigError.
        """
        probabilities = self.predict_proba(texts, text=text, empty_text=empty_text)
        found = self.labels_of(probabilities)
        if empty_text != "none":
            return found
        has_text = (~np.isnan(probabilities[:, 0])).tolist()
        return [labels if known else None for labels, known in zip(found, has_text, strict=True)]

    def predict_sets(
        self, texts: TextsLike, coverage: float = 0.9, *, text: TextColumns = "text",
        after_batch: Callable[[int], None] | None = None,
    ) -> list[PredictionSet]:  # fmt: skip
        """Return the prediction set of each text: the labels that it may have, and whether it looks like one of no known label.

        A share `coverage` of new texts has its label in its set, if they are like the labelled ones, on average over draws of
        these; more makes larger sets. `coverage` of a set says how far the share may be from that. Where the most probable label
        alone is right more often, so are the sets, for none is empty. A text like a few odd ones among the labelled ones, such as
        foreign ones, is not unknown; an audit of the data finds these. Texts come as in `predict`; rows without a text raise
        DataError. Raises ConfigError for a classifier of several labels a text or without held-out logits, DataError where
        their texts are too few for the coverage.
        """
        held = self.checked_abstention(where="predict_sets").coverage(coverage, where="predict_sets")
        return self.sets_and_probabilities(strings(texts, text=text), held, after_batch=after_batch)[0]

    def sets_and_probabilities(
        self, texts: Sequence[str], coverage: SetCoverage, *, after_batch: Callable[[int], None] | None = None
    ) -> tuple[list[PredictionSet], NDArray[np.float64]]:
        """Return the prediction sets of texts and their probabilities (B, K), at a coverage of `checked_abstention`."""
        abstention = self.checked_abstention(where="predict_sets")
        vectors = self.encoder.encode(texts, after_batch=after_batch)
        probabilities = self.probabilities_of(vectors)
        return abstention.sets(texts, vectors, probabilities, self.labels, coverage=coverage), probabilities

    def checked_abstention(self, *, where: str) -> Abstention:
        """Return what prediction sets need. Raises ConfigError, which begins with `where`, where it is not there."""
        self.check_trained()
        return usable_abstention(
            self.abstention, multi_label=self.multi_label, weight=self.head.last_weight, where=where
        )

    def explain(
        self, texts: TextsLike, *, text: TextColumns = "text", tokens: int | None = None,
        after_batch: Callable[[int], None] | None = None,
    ) -> list[Explanation]:  # fmt: skip
        """Return what each word of each text contributes to the logit of each label.

        Exact where a linear head reads sums over words: word vectors under a linear pooling, and views. By occlusion, the
        deletion of words, for transformers and heads with a hidden layer: every word costs its text, or its sentence where
        texts are read by sentence, once more. `tokens` bounds that for one text, 32,000 by default; of a long text, more let
        more words be deleted one by one and not in groups. Each `Explanation` tells its method and its error.
        Texts come as in `predict`; rows without a text raise DataError. A head that was never trained raises ConfigError.
        """
        from nlptl.models.explaining.explain import MAX_TOKENS, Predicted, explained

        self.check_trained()
        given = strings(texts, text=text)
        shares = self.probabilities(given)
        labels = [(found,) if isinstance(found, str) else found for found in self.labels_of(shares)]
        predicted = Predicted(self.labels, shares, labels, self.head.thresholds)
        limit = MAX_TOKENS if tokens is None else tokens
        if limit < 1:
            raise ConfigError(f"tokens: found {limit}; expected 1 or more. Leave it out for {MAX_TOKENS:,}.")
        return [*explained(self.encoder, self.head, given, predicted, tokens=limit, after_batch=after_batch)]

    def check_trained(self) -> None:
        """Raise ConfigError for a head into which nothing was ever written: its labels would say nothing of a text."""
        if self.head.is_fresh:
            raise ConfigError(UNTRAINED)

    @staticmethod
    def files() -> frozenset[str]:
        """Return the names of all files that a classifier's folder may hold, those of its encoder included."""
        return Encoder.files() | {CLASSIFIER, HEAD, LEARNT, ABSTENTION}

    def save(self, folder: Path | str) -> None:
        """Publish the classifier as a folder that `TextClassifier.load` reads: whole or not at all."""
        total, versions = count_parameters(self), artifact.library_versions()
        manifest = artifact.Manifest(kind="classifier", versions=versions, total_parameters=total)

        def write(draft: Path) -> None:
            self.write_files(draft)
            write_card(draft, manifest)

        artifact.publish(folder, write, manifest)

    def write_files(self, folder: Path) -> None:
        """Write the classifier's files into an existing folder. Raises ArtifactError if they read back differently."""
        self.encoder.write_parts(folder)
        self.write_head(folder)
        add_head(folder, self.labels, multi_label=self.multi_label)
        again = TextClassifier.read_files(folder).to(self.device)
        self.encoder.check_written(folder, again.encoder)
        texts = [*PROBES, *self.labels]
        check_read_back(folder, "classifier", "probabilities", self.probabilities(texts), again.probabilities(texts))

    def write_head(self, folder: Path) -> None:
        """Write what stands over the encoder: head, labels, hashes of learnt texts, held-out logits."""
        save_file({name: tensor.contiguous() for name, tensor in self.head.state_dict().items()}, folder / HEAD)
        settings = {"labels": list(self.labels), "head": self.head.settings()}
        settings |= {"separator": self.separator} if self.multi_label else {}
        (folder / CLASSIFIER).write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if self.learnt is not None:
            self.learnt.write(folder)
        if self.abstention is not None:
            self.abstention.write(folder)

    @classmethod
    def load(cls, folder: Path | str) -> TextClassifier:
        """Read a classifier from a folder of `save`, of a stage that gives one, or of a whole run: its version in use."""
        return artifact.read_published(artifact_in_use(folder), cls.read_files, kind="classifier")

    @classmethod
    def read_files(cls, folder: Path) -> TextClassifier:
        """Read the files of `write_files`. Raises ArtifactError if one is missing or damaged."""
        settings, what = read_settings(folder / CLASSIFIER, ClassifierSettings), f"the head that {CLASSIFIER} describes"
        check_shapes(folder / HEAD, head_shapes(settings.head), what=what)
        head = Head.from_settings(settings.head.model_dump())
        fill(head, folder / HEAD, what=what)
        encoder = Encoder.read_files(folder)
        if encoder.dim != head.dim:
            raise ArtifactError(
                f"{folder / CLASSIFIER}: found a head of dim {head.dim} over vectors of {encoder.dim} numbers; both must be "
                "equal. The folder is damaged. Run the stage again."
            )
        classifier = cls(encoder, head, settings.labels).eval()
        classifier.learnt, classifier.separator = LearntTexts.read(folder), settings.separator
        classifier.abstention = Abstention.read(folder, label_count=head.label_count, dim=encoder.dim)
        return classifier
