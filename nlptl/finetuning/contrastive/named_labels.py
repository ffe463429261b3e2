"""Labels that have a name but no example: further rows of a fitted linear head, which follow the names.

A method learns the labels that have examples. A further row is the log-odds that a text has the label: by Bayes' rule, from the
cosine between the text and the name. How much nearer a label's texts are to its name than others, and how they scatter, is what
the labels with examples show. Without such a scale a classifier hardly ever predicts a label without examples (Chao et al. 2016).

Shapes: n examples, W labels with words (S of those with examples, then U without), D dimension, K labels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from nlptl.context import Record
from nlptl.data.label_sentences import LabelSentences, label_sentences
from nlptl.errors import ConfigError
from nlptl.evaluation.held_out import dealt_folds
from nlptl.finetuning.contrastive.named_head import named_head
from nlptl.finetuning.contrastive.zero_shot import name_vectors
from nlptl.finetuning.linear import LinearHead, with_temperature, write_head
from nlptl.finetuning.method import Fitted, Method
from nlptl.finetuning.probabilities import Calibration
from nlptl.models.classifier import TextClassifier
from nlptl.models.heads import Head

if TYPE_CHECKING:
    from nlptl.context import RunContext
    from nlptl.data import LabelNames, TextData
    from nlptl.finetuning.examples import LabelledExamples
    from nlptl.models.encoder import Encoder

MIN_NAMED = 2  # labels with examples and words, from which the scale is taken
PARTS = 3  # of the examples and their labels, which are held out and hidden in turn; a part is one more training
PRIOR_TEXTS, PRIOR_VARIANCE = 4, 0.01  # by which the scatter of cosines is held where few texts show it
MIN_DISTANCE = 1e-3  # in cosines: names that tell nothing weigh nothing


def check_named_labels(method: Method, data: TextData, *, hidden: int, where: str) -> None:
    """Raise ConfigError where labels have a name alone and the method, the other labels or the head cannot bear that."""
    unseen = data.labels_without_rows
    if not unseen or data.labelled is None:
        return
    method.with_named_labels(unseen, where=where)
    told = f"{where}: {labels_told(unseen)}"
    if hidden:
        raise ConfigError(
            f"{told}, for which a name stands in under a linear head alone, but the classification head has a hidden layer of "
            f"{hidden} units. Set hidden: 0 in classification_head, or add examples."
        )
    seen = [label for label in data.label_set.names if label not in unseen]
    named = sum(len(_words([label], data.label_names)) > 0 for label in seen)
    if named < MIN_NAMED:
        raise ConfigError(
            f"{told}, and {named or 'none'} of the other {len(seen)} a name that says something; expected {MIN_NAMED} at least, "
            "to compare with. Name all labels under data.label_names, or add examples."
        )


def labels_told(labels: Sequence[str], *, shown: int = 4) -> str:
    """Return which labels have no example, as the beginning of a sentence."""
    more = f" and {len(labels) - shown} more" if len(labels) > shown else ""
    found = f"{len(labels)} labels have" if len(labels) > 1 else "1 label has"
    return f"{found} no example ({', '.join(labels[:shown])}{more})"


def fit_with_named_labels(
    method: Method, given: TextClassifier, examples: LabelledExamples, context: RunContext
) -> Fitted:
    """Return what the method makes of the labels with examples, under a head that has a row for each other label too.

    The scale of such rows is tried out: some of the labels with examples are hidden in turn, and the rest is learnt. Of two
    labels none can be hidden, so that the encoder stays frozen: one that has moved towards its labels would seem too good.
    """
    method = method.with_named_labels([examples.labels[label] for label in examples.unseen], where="finetune.update")
    seen = examples.of_seen_labels()
    fit = method.fit if seen.label_count > MIN_NAMED else named_head
    fitted = fit(_learner(given, seen, context), seen, context)
    quiet, scales = dataclasses.replace(context, record=Record(), checkpoint_folder=None), []
    for learnt, held_out in _trials(seen, seed=context.seed):
        part = learnt.of_seen_labels()
        scales.append(_Scale.of(fit(_learner(given, part, context), part, quiet), learnt, held_out))
    scale = _Scale.mean([scale for scale in scales if scale is not None])
    _tell(scale, [examples.labels[label] for label in examples.unseen], context.record)
    return _extended(fitted, scale, seen, examples)


def _trials(seen: LabelledExamples, *, seed: int) -> Iterator[tuple[LabelledExamples, LabelledExamples]]:
    """Yield examples to learn, without some texts and some labels, and the others."""
    labels = seen.label_ids.numpy()
    hidden = np.arange(seen.label_count) if seen.label_count > MIN_NAMED else np.full(seen.label_count, -1)
    for part, split in enumerate(dealt_folds(labels, seen.groups, parts=PARTS, seed=seed)):
        kept = np.zeros(len(labels), dtype=bool)
        kept[split.training] = hidden[labels[split.training]] % PARTS != part
        unseen = sorted(set(range(seen.label_count)) - set(labels[kept].tolist()))
        if seen.label_count - len(unseen) >= MIN_NAMED:
            learnt = dataclasses.replace(seen.select(np.flatnonzero(kept).tolist()), unseen=tuple(unseen))
            yield learnt, seen.select(np.flatnonzero(~kept).tolist())


@dataclasses.dataclass(frozen=True)
class _Frame:
    """Cosines of texts to names, from the middle of the examples."""

    labels: tuple[int, ...]  # (W,) label ids: S labels with examples, then U without
    directions: Tensor  # (W, D) unit vectors along which each name differs from the names of labels with examples
    centre: Tensor  # (D,) mean of the labels' mean vectors, over `length`
    length: float  # mean of the examples' vectors

    @classmethod
    def of(cls, encoder: Encoder, examples: LabelledExamples) -> _Frame:
        """Return the frame of the examples that an encoder has learnt, by all names that say something."""
        own = encoder.alone()  # views know texts of the pile, and a name is none
        labels, names = examples.labels, examples.label_names
        seen, unseen = (
            [label for label in part if _words([labels[label]], names)] for part in (examples.seen(), examples.unseen)
        )
        sentences = _words([labels[label] for label in (*seen, *unseen)], names)
        directions = name_vectors(torch.from_numpy(own.encode(list(sentences.texts))), sentences)
        directions = normalize(directions - directions[: len(seen)].mean(dim=0), dim=1)
        vectors = _own_vectors(encoder, examples)
        length = float(vectors.norm(dim=1).mean()) or 1.0
        centre = torch.stack([vectors[examples.label_ids == label].mean(dim=0) for label in examples.seen()]).mean(
            dim=0
        )
        return cls((*seen, *unseen), directions, centre / length, length)

    def cosines(self, vectors: Tensor) -> Tensor:
        """Return about the cosine (n, W) of each text's vector to each name."""
        return (vectors / self.length - self.centre) @ self.directions.T


@dataclasses.dataclass(frozen=True)
class _Scale:
    """What is seen of cosines to the names of labels whose texts were not learnt."""

    distance: float  # by which a label's texts are nearer to its name than those of other labels
    variance: float  # among the texts of one label, and among other labels' means
    shift: float  # mean of the cosines of other labels' texts
    certainty: float  # mean log of the summed odds that a head gives to its labels, over their number

    @classmethod
    def of(cls, fitted: Fitted, learnt: LabelledExamples, held_out: LabelledExamples) -> _Scale | None:
        """Measure a classifier on texts that it has not learnt; None where they show nothing."""
        encoder, ids = fitted.classifier.encoder, held_out.label_ids
        frame = _Frame.of(encoder, learnt)
        cosines, known = frame.cosines(_own_vectors(encoder, held_out)), learnt.seen()
        distances, variances, shifts = [], [], []
        for column, label in enumerate(frame.labels):
            own = cosines[ids == label, column]
            others = [cosines[ids == other, column] for other in known if other != label]
            others = [texts for texts in others if len(texts)]
            if (learnt.unseen and label in known) or not len(own) or not others:
                continue
            means = torch.stack([texts.mean() for texts in others])
            scatter = sum(float((texts - texts.mean()).pow(2).sum()) for texts in (own, *others))
            free = len(own) + sum(map(len, others)) - len(others) - 1
            within = (scatter + PRIOR_TEXTS * PRIOR_VARIANCE) / (free + PRIOR_TEXTS)
            distances.append(float(own.mean() - means.mean()))
            variances.append(within + (float(means.var()) if len(means) > 1 else 0.0))
            shifts.append(float(means.mean()) if learnt.unseen else 0.0)  # two names that were learnt are opposites
        of_known = torch.isin(ids, torch.tensor(known))
        if not distances or not bool(of_known.any()):
            return None
        logits = _linear(fitted).logits(torch.from_numpy(encoder.encode(held_out.texts))[of_known])
        summed = (logits - logits.mean(dim=1, keepdim=True)).logsumexp(dim=1).mean()
        return cls(_mean(distances), _mean(variances), _mean(shifts), float(summed) - math.log(len(known)))

    @classmethod
    def mean(cls, scales: Sequence[_Scale]) -> _Scale:
        """Return the mean; of none, a name that tells nothing, and a head that knows nothing."""
        if not scales:
            return cls(0.0, PRIOR_VARIANCE, 0.0, 0.0)
        return cls(*(_mean(values) for values in zip(*map(dataclasses.astuple, scales), strict=True)))

    def rows(self, frame: _Frame, *, unseen: int) -> LinearHead:
        """Return the rows (U, D) of the labels without examples, each as frequent as a label with examples.

        With cosines normal of equal variance around c with the label and c - distance without it, the log-odds are linear.
        """
        directions = frame.directions[-unseen:]
        slope = max(MIN_DISTANCE, self.distance) / self.variance
        bias = self.certainty - slope * (directions @ frame.centre + self.shift + max(MIN_DISTANCE, self.distance) / 2)
        return LinearHead(slope / frame.length * directions, bias)


def _extended(fitted: Fitted, scale: _Scale, seen: LabelledExamples, examples: LabelledExamples) -> Fitted:
    """Return the fit with a row for each label without examples, which takes its share of the probabilities."""
    encoder, before, known = fitted.classifier.encoder, fitted.classifier.head, _linear(fitted)
    count, all_labels = seen.label_count, examples.label_count
    new = scale.rows(_Frame.of(encoder, examples), unseen=len(examples.unseen))
    weights, bias = known.weights.new_zeros(all_labels, before.dim), known.bias.new_zeros(all_labels)
    weights[examples.seen()], bias[examples.seen()] = known.weights, known.bias
    further = list(examples.unseen)  # certainty is over logits whose mean is 0
    weights[further] = pad(new.weights, (0, before.dim - encoder.alone().dim)) + known.weights.mean(dim=0)
    bias[further] = new.bias + known.bias.mean()
    head = Head(before.dim, all_labels)
    head.centre.copy_(before.centre)
    head.scale.copy_(before.scale)
    write_head(LinearHead(weights, bias), head)
    shares = torch.full((all_labels,), 1 / all_labels, dtype=torch.float64)
    learnt = seen.label_shares(balanced=fitted.balanced) if fitted.shares is None else torch.tensor(fitted.shares)
    shares[examples.seen()] = learnt.to(shares) * count / all_labels
    return dataclasses.replace(
        fitted,
        classifier=TextClassifier(encoder, head.to(fitted.classifier.device), examples.labels).eval(),
        calibration=Calibration(by_validation=fitted.calibration.by_validation),
        shares=tuple(shares.tolist()),
    )


def _learner(given: TextClassifier, seen: LabelledExamples, context: RunContext) -> TextClassifier:
    """Return the given encoder under a fresh head of the labels with examples."""
    head = Head(given.encoder.dim, seen.label_count, dropout=given.head.dropout)
    head.initialise(context.generator("classification_head"))
    return TextClassifier(given.encoder, head.to(given.device), seen.labels).eval()


def _linear(fitted: Fitted) -> LinearHead:
    """Return the head over vectors as they are, with the temperature that held-out examples ask for."""
    head, calibration = fitted.classifier.head, fitted.calibration
    weights = (head.last_linear.weight / head.scale).detach().double().cpu()
    bias = head.last_linear.bias.detach().double().cpu() - weights @ head.centre.double().cpu()
    return with_temperature(LinearHead(weights, bias), calibration.temperature if calibration.held_out else 1.0)


def _own_vectors(encoder: Encoder, examples: LabelledExamples) -> Tensor:
    """Return the vectors (n, D) of the encoder without the views that are joined to it."""
    return examples.frozen_vectors(encoder)[:, : encoder.alone().dim].double()


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _words(labels: Sequence[str], names: LabelNames | None) -> LabelSentences:
    return label_sentences(labels, names)


def _tell(scale: _Scale, labels: Sequence[str], record: Record) -> None:
    found = {"labels": list(labels), "distance": scale.distance, "deviation": math.sqrt(scale.variance)}
    says = scale.distance > MIN_DISTANCE
    told = "so texts get them by their names" if says else (
        "and the other labels' texts are no nearer to their own names than to others, so that names tell nothing"
    )  # fmt: skip
    record.add_finding("named_labels", found, f"{labels_told(labels)}, {told}.", warns=not says)
