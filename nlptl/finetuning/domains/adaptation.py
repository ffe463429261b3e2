"""One run of domain adaptation: make the methods, choose one, measure it and train it.

Shapes: t texts of both domains, D dimension.
"""

from __future__ import annotations

import copy
import dataclasses
import functools

import torch
from torch import Tensor

from nlptl.artifact import digest_of
from nlptl.context import RunContext
from nlptl.errors import ArtifactError, ConfigError
from nlptl.evaluation.shift import Shift, shift_between
from nlptl.finetuning.domains.accuracy import both_domains, held_out_hits
from nlptl.finetuning.domains.adapt_settings import Adapt, AutoAdaptation, Continue, Coral, NoAdaptation, OneMethod
from nlptl.finetuning.domains.coral import aligned
from nlptl.finetuning.domains.domain_heads import ONE_THREAD_NUMBERS, FrozenVectors, HeadTraining, choose_head_training
from nlptl.finetuning.domains.method_trials import choose_method
from nlptl.finetuning.domains.moving_layers import MovingLayers
from nlptl.finetuning.domains.task import AdaptationMethod, Domains
from nlptl.finetuning.gradient.fitting import Settings
from nlptl.finetuning.gradient.lora_adapters import merged
from nlptl.models.classifier import TextClassifier
from nlptl.pretraining.encoders.continued import continue_training
from nlptl.pretraining.encoders.pile import token_pile
from nlptl.pretraining.encoders.simcse import has_dropout
from nlptl.training.compute import Precision, one_thread_if

HAS_LEARNT = "the given classifier was trained on labels, perhaps on these examples, so none of them can be held out"
REMEDY = "put domain_adaptation right behind classification_head"
MAX_PASSES = 50  # of L-BFGS, which has converged by then
SHIFT_TEXTS = 1_000  # of each domain that measure the shift
PERMUTATIONS = 999  # behind the p-value of MMD


def adapted(
    given: TextClassifier, domains: Domains, adapt: Adapt, *, l2: float | None, folds: int, precision: Precision,
    context: RunContext,
) -> TextClassifier:  # fmt: skip
    """Return a classifier of all examples by the method of the settings, and record shift, choice and accuracy."""
    vectors = _encoded(given, domains.texts, context)
    with one_thread_if(vectors.numel() < ONE_THREAD_NUMBERS):
        shift = shift_between(
            vectors[: domains.source_count], vectors[domains.unlabelled], texts=SHIFT_TEXTS, permutations=PERMUTATIONS,
            seed=context.generator("shift").initial_seed(),
        )  # fmt: skip
    context.record.add_finding("shift", {**dataclasses.asdict(shift), "is_shown": shift.is_shown}, shift.sentence())
    epochs = None if given.head.dropout else MAX_PASSES
    settings = Settings(l2, epochs, batch_size=None, folds=folds, patience=1, seed=context.seed)
    with context.progress.task("choosing the head's penalty", total=None, unit="fits") as task:
        training = choose_head_training(given, vectors, domains, settings, tick=lambda: task.advance(1))
    context.record.add_finding("head", {"epochs": training.choice.epochs, "l2": training.choice.l2})
    work = _Adaptation(folds, precision, given, domains, vectors, training, context)
    method = work.chosen(adapt, shift)
    work.add_accuracy(method)
    fitted = method.fit(domains.task(domains.examples), seed=context.seed)
    context.record.trainable_parameters = fitted.trainable
    return fitted.classifier


@dataclasses.dataclass(frozen=True)
class _Adaptation:
    """Inputs that all methods of a run share."""

    folds: int
    precision: Precision
    given: TextClassifier
    domains: Domains
    vectors: Tensor  # (t, D) of the given encoder
    training: HeadTraining
    context: RunContext

    @property
    def none(self) -> FrozenVectors:
        """The source-only method."""
        return FrozenVectors("none", self.given, self.vectors, self.training)

    def chosen(self, adapt: Adapt, shift: Shift) -> AdaptationMethod:
        """Return the method that the settings name, or the choice without target labels."""
        if not isinstance(adapt, AutoAdaptation):
            return self._method(adapt, "adapt")
        if self.given.head.has_learnt or not shift.is_shown:
            why = f"{HAS_LEARNT}: {REMEDY}" if self.given.head.has_learnt else "no shift is shown"
            told = f"auto: nothing is adapted (none), since {why}."
            self.context.record.add_finding("choice", {"method": "none"}, told)
            return self.none
        candidates = [self._method(candidate, f"adapt.candidates.{n}") for n, candidate in enumerate(adapt.candidates)]
        with self.context.progress.task("reverse validation", total=None, unit="folds") as task:
            choice = choose_method(
                self.none, candidates, self.domains, folds=self.folds, seed=self.context.seed,
                tick=lambda: task.advance(1),
            )  # fmt: skip
        settings = [candidate.model_dump(mode="json") for candidate in adapt.candidates]
        found = {
            "method": choice.method.name,
            "candidate": choice.number,
            "settings": None if choice.number is None else settings[choice.number],
            "tried": [{**dataclasses.asdict(one), "settings": own} for one, own in zip(choice.tried, settings, strict=True)],
        }  # fmt: skip
        self.context.record.add_finding("choice", found, choice.sentence())
        return choice.method

    def add_accuracy(self, method: AdaptationMethod) -> None:
        """Record the held-out accuracy on both domains, unless the given classifier may know the examples."""
        seed, record = self.context.seed, self.context.record
        if self.given.head.has_learnt:
            remedy = f"Test the classifier before trusting it, or {REMEDY}."
            record.add_finding("held_out", False, f"Held-out accuracy: unknown, since {HAS_LEARNT}. {remedy}")
            return
        folds = self.domains.folds(self.folds, seed=seed, once=method.costly)
        none = held_out_hits(self.none, self.domains, folds, seed=seed)
        taken = none if method.name == "none" else held_out_hits(method, self.domains, folds, seed=seed)
        found = both_domains(none, taken, self.domains)
        figures = {"method": method.name, **dataclasses.asdict(found)}
        record.add_finding("accuracy", figures, found.sentence(method.name))

    def _method(self, adapt: OneMethod, path: str) -> AdaptationMethod:
        """Return the method of the settings at `path`, ready to fit."""
        if isinstance(adapt, NoAdaptation):
            return self.none
        if isinstance(adapt, Coral):
            align = functools.partial(aligned, shrinkage=None if adapt.shrinkage == "auto" else adapt.shrinkage)
            return dataclasses.replace(self.none, name="coral", align=align)
        if isinstance(adapt, Continue):
            return self._continued(adapt, path)
        return MovingLayers(
            self.given, self.domains.texts, self.vectors, self.training, adapt, precision=self.precision,
            where=f"domain_adaptation: {path}", context=self.context,
        )  # fmt: skip

    def _continued(self, adapt: Continue, path: str) -> FrozenVectors:
        """Continue the pretraining of a copy of the encoder on the target's texts, for a head on its vectors."""
        where = f"domain_adaptation: {path}"
        if len(self.given.encoder.transformer.bottlenecks):
            raise ConfigError(
                f"{where}: found an encoder with bottleneck adapters, which training on texts would leave behind; "
                "expected a plain one. Choose another method, or begin with plain weights."
            )
        encoder = copy.deepcopy(merged(self.given.encoder))
        if adapt.objective == "simcse" and not has_dropout(encoder):
            raise ConfigError(
                f"{where}.objective: found simcse, but these weights are set to no dropout, without which a text "
                "has only one view; expected an encoder with dropout. Choose objective: tsdae."
            )
        context, own = self.context, digest_of(adapt.model_dump(mode="json"))[:12]
        if context.checkpoint_folder is not None:  # each candidate has checkpoints of its own
            folder, identity = context.checkpoint_folder / own, f"{context.run_identity}/{own}"
            context = dataclasses.replace(context, checkpoint_folder=folder, run_identity=identity)
        texts = [self.domains.texts[row] for row in self.domains.unlabelled.tolist()]
        pile = token_pile(encoder, [texts], whole=False, name="unlabelled")
        outcome = continue_training(
            encoder, adapt.training(), pile, context, folder=None, precision=self.precision, stage=where
        )
        prefix = "" if path == "adapt" else f"{path}: "  # another candidate may be of the same method
        told = f"{prefix}{outcome.sentence()}"
        self.context.record.add_finding(f"{prefix}continue", dataclasses.asdict(outcome), told)
        given = TextClassifier(encoder, self.given.head, self.given.labels).eval()
        vectors = _encoded(given, self.domains.texts, self.context)
        return FrozenVectors("continue", given, vectors, self.training, moved=outcome.trainable)


def _encoded(given: TextClassifier, texts: list[str], context: RunContext) -> Tensor:
    """Return sentence vectors (t, D); ArtifactError if one is not finite."""
    with context.progress.task("encoding both domains", total=len(texts), unit="texts") as task:
        vectors = torch.from_numpy(given.encoder.encode(texts, after_batch=task.advance))
    broken = (~torch.isfinite(vectors).all(dim=1)).nonzero()[:, 0].tolist()
    if broken:
        raise ArtifactError(
            f"domain_adaptation: found vectors with NaN or infinite numbers for {len(broken)} of {len(texts)} texts, the first "
            f"{texts[broken[0]][:40]!r}; expected finite ones. Give an encoder whose weights are finite, or train it again "
            "with a lower learning_rate."
        )
    return vectors
