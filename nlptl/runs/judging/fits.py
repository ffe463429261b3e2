"""Fits of chains to the splits of a judging, each kept as a line of a file as soon as it is there.

Chains share encoders, and all folds share the vectors of an encoder that does not learn. Shapes: J judged rows, K labels.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlptl.artifact import digest_of
from nlptl.context import Record, RunContext
from nlptl.data import LabelNames, TextData, TextTable
from nlptl.data.label_sentences import spoken
from nlptl.runs.chain import ExternalDigests
from nlptl.runs.judging.fit_rows import DIGITS, FitRow, FitRows
from nlptl.runs.judging.judged_chain import JudgedChain, chain_of
from nlptl.runs.judging.splits import Judging
from nlptl.stages.union import as_finetune

if TYPE_CHECKING:
    from nlptl.finetuning.examples import LabelledExamples
    from nlptl.models.classifier import TextClassifier

PILE_OF_ENCODERS, PILE_OF_FITS = 20_000, 1_000  # texts that judged fits learn from, drawn from larger piles

Floats = NDArray[np.float64]


@dataclasses.dataclass
class SharedEncoder:
    """Classifier with a fresh head over an encoder that chains share, and vectors that folds share."""

    given: TextClassifier
    examples: LabelledExamples
    seconds: float  # that making it took
    judged: NDArray[np.float32] | None = None  # vectors of the judged texts


class Fits:
    """Fits of one judging: made once, read back after a kill, and dropped when the data or the settings change."""

    def __init__(self, data: TextData, judging: Judging, path: Path | None, context: RunContext) -> None:
        """`path` holds the fits; None where the caller keeps what it makes of them."""
        self.data, self.judging, self.labels = data, judging, data.label_set.names
        self.rows = FitRows(path)
        self._context, self._digests = context, ExternalDigests()
        self._encoders: dict[str, SharedEncoder] = {}

    def known(self, chain: JudgedChain, split: int) -> FitRow | None:
        """Return a fit that is kept from an earlier call."""
        return self.rows.known(self.identity(chain, split), split)

    def fit(self, chain: JudgedChain, split: int) -> FitRow:
        """Return the fit of a chain to a split, made or kept."""
        if (row := self.known(chain, split)) is not None:
            return self.rows.use(row)
        encoding = self.shared(chain).seconds if chain.stages else 0.0
        begin = time.monotonic()
        found = self.predicted(chain, split)
        return self._add(chain, split, found, encoding + time.monotonic() - begin)

    def fit_by(self, chain: JudgedChain, split: int, train: Callable[[], TextClassifier]) -> FitRow:
        """Return the fit of a chain to a split, kept or by `train`, which learns what the split does."""
        if (row := self.known(chain, split)) is not None:
            return self.rows.use(row)
        begin = time.monotonic()
        classifier = train()
        seconds = time.monotonic() - begin
        texts = self.judging.table.select(self.judging.splits[split].judged).texts()
        with self._context.progress.task("scoring the test texts", total=len(texts), unit="texts") as task:
            return self._add(chain, split, classifier.probabilities(texts, after_batch=task.advance), seconds)

    def shared(self, chain: JudgedChain) -> SharedEncoder:
        """Return the chain's encoder under a fresh head, made once for all chains and folds."""
        key = chain.encoder_key
        if key not in self._encoders:
            self._encoders[key] = self._made(chain, self.data.labelled)
        return self._encoders[key]

    def _of_split(self, chain: JudgedChain, split: int) -> SharedEncoder:
        """Return the encoder of a fit: the shared one, or one of the texts that this fit learns."""
        if chain.reads_all:
            return self.shared(chain)
        assert self.data.labelled is not None
        return self._made(chain, self.data.labelled.select(self.judging.splits[split].training))

    def _add(self, chain: JudgedChain, split: int, probabilities: Floats, seconds: float) -> FitRow:
        """Keep what a fit has predicted."""
        row = FitRow(
            candidate=chain.kind, split=split, identity=self.identity(chain, split), seconds=round(seconds, 3),
            probabilities=np.round(probabilities, DIGITS).tolist(),
        )  # fmt: skip
        return self.rows.add(row)

    def predicted(self, chain: JudgedChain, split: int) -> Floats:
        """Fit a chain to a split and return the probabilities of its judged rows; nothing is kept."""
        if chain.learns == "shares":
            return self._shares(split)
        shared, part = self._of_split(chain, split), self.judging.splits[split]
        update = as_finetune(chain.stages[-1])
        context = RunContext(seed=self._context.seed, device=self._context.device)
        classifier = update.learn(shared.given, self._examples(chain, shared, split), context)
        if classifier.encoder is not shared.given.encoder:
            texts = self.judging.table.select(part.judged).texts()
            return classifier.probabilities(texts)
        return _by_head(classifier, self._judged_vectors(shared)[part.judged])

    def _shares(self, split: int) -> Floats:
        """Return the shares of the labels among the texts learnt, for every judged row."""
        assert self.data.labelled is not None
        part = self.judging.splits[split]
        learnt = self.data.label_set.ids(self.data.labelled.select(part.training).labels())
        shares = np.bincount(learnt, minlength=len(self.labels)) / len(learnt)
        return np.tile(shares, (len(part.judged), 1))

    def _examples(self, chain: JudgedChain, shared: SharedEncoder, split: int) -> LabelledExamples:
        from nlptl.finetuning.examples import LabelledExamples

        if chain.learns == "names":
            names = LabelNames(tuple((label, spoken(label) or label) for label in sorted(self.labels)))
            return LabelledExamples.of(TextData(label_names=names), self.labels)
        if as_finetune(chain.stages[-1]).update.reads_frozen_vectors:
            shared.examples.frozen_vectors(shared.given.encoder, progress=self._context.progress)
        some = shared.examples.select(self.judging.splits[split].training.tolist())
        return dataclasses.replace(some, unlabelled=_drawn(self.data.unlabelled, PILE_OF_FITS, self._context.seed))

    def _judged_vectors(self, shared: SharedEncoder) -> NDArray[np.float32]:
        """Return the vectors of all judged texts, each encoded once."""
        if shared.judged is None:
            assert self.data.labelled is not None
            same_rows = self.judging.table.digest == self.data.labelled.digest  # folds may judge some of the rows alone
            if same_rows and shared.examples.knows_vectors(shared.given.encoder):
                shared.judged = shared.examples.frozen_vectors(shared.given.encoder).numpy()
            else:
                texts = self.judging.table.texts()
                with self._context.progress.task("encoding the judged texts", total=len(texts), unit="texts") as task:
                    shared.judged = shared.given.encoder.encode(texts, after_batch=task.advance)
        return shared.judged

    def _made(self, chain: JudgedChain, read: TextTable | None) -> SharedEncoder:
        """Return an encoder that reads these labelled texts beside the pile, under a head for all labels."""
        from nlptl.finetuning.examples import LabelledExamples

        begin = time.monotonic()
        pile = _drawn(self.data.unlabelled, PILE_OF_ENCODERS, self._context.seed)
        data = TextData(labelled=self.data.labelled, unlabelled=pile)
        artifact: Any = None
        context = dataclasses.replace(self._context, record=Record(), checkpoint_folder=None)
        for stage in chain.stages[:-1]:
            given = dataclasses.replace(data, labelled=read) if stage.gives == "encoder" else data
            artifact = stage.run(artifact, data=given, context=context)
        if artifact.encoder.token_model.kind == "transformer":
            artifact = artifact.to(context.torch_device())
        return SharedEncoder(artifact, LabelledExamples.of(data, artifact.labels), time.monotonic() - begin)

    def identity(self, chain: JudgedChain, split: int) -> str:
        """Return a digest of all that shapes a fit."""
        part, labelled = self.judging.splits[split], self.data.labelled
        assert labelled is not None
        judged = digest_of([self.judging.table.digest, part.judged.tolist(), part.training.tolist()])
        stages: list[str] = []
        if chain.stages:
            whole = chain_of(chain.stages, seed=self._context.seed)
            stages = [one.own for one in whole.identities(self.data, self._digests)]
        read = [] if chain.reads_all else ["texts of the fit"]
        return digest_of([chain.kind, labelled.digest, judged, self.labels, stages[-1:], *read])


def _drawn(pile: TextTable | None, count: int, seed: int) -> TextTable | None:
    """Return at most `count` texts of a pile, drawn at random, in its order."""
    if pile is None or len(pile) <= count:
        return pile
    return pile.select(np.sort(np.random.default_rng(seed).permutation(len(pile))[:count]))


def _by_head(classifier: TextClassifier, vectors: NDArray[np.float32]) -> Floats:
    """Return the probabilities that the classifier's head gives vectors (J, D)."""
    import torch

    from nlptl.models.at_rest import at_rest

    head = at_rest(classifier.head)
    with torch.inference_mode():
        logits = head(torch.from_numpy(vectors).to(head.centre.device))
    return np.asarray(torch.softmax(logits.double(), dim=1).cpu().numpy())
