"""One run of domain adaptation: make the methods, choose one, measure it and train it.

Shapes: t texts of both domains, D dimension.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

from nlptl.artifact import digest_of
from nlptl.context import RunContext
from nlptl.errors import ArtifactError
from nlptl.finetuning.domains.adapt_settings import (
    Adapt,
    Adversarial,
    AutoAdaptation,
    Continue,
    Coral,
    LayerMethod,
    NoAdaptation,
    OneMethod,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from nlptl.evaluation.shift import Shift
    from nlptl.finetuning.domains.domain_heads import HeadTraining
    from nlptl.finetuning.domains.task import AdaptationMethod, Domains
    from nlptl.models.classifier import TextClassifier
    from nlptl.training.compute import Precision

HAS_LEARNT = "the given classifier was trained on labels, perhaps on these examples, so none of them can be held out"
REMEDY = "put domain_adaptation right behind classification_head"


@dataclasses.dataclass(frozen=True)
class Adaptation:
    """One run: what all methods share."""

    adapt: Adapt
    folds: int
    precision: Precision
    given: TextClassifier
    domains: Domains
    vectors: Tensor
    """(t, D) of the given encoder."""
    training: HeadTraining
    context: RunContext

    def chosen(self, shift: Shift) -> AdaptationMethod:
        """Return the method that the settings name, or the choice without target labels."""
        if not isinstance(self.adapt, AutoAdaptation):
            return self.method(self.adapt, "adapt")
        if self.given.head.has_learnt or not shift.is_shown:
            why = f"{HAS_LEARNT}: {REMEDY}" if self.given.head.has_learnt else "no shift is shown"
            self.context.record.add_finding(
                "choice", {"method": "none"}, f"auto: nothing is adapted (none), since {why}."
            )
            return self._head("none")
        return self._chosen_among(self.adapt)

    def _chosen_among(self, auto: AutoAdaptation) -> AdaptationMethod:
        """Choose by reverse validation."""
        from nlptl.finetuning.domains.method_trials import choose_method

        candidates = [self.method(candidate, f"adapt.candidates.{n}") for n, candidate in enumerate(auto.candidates)]
        with self.context.progress.task("reverse validation", total=None, unit="folds") as task:
            choice = choose_method(
                self._head("none"), candidates, self.domains, folds=self.folds, seed=self.context.seed,
                tick=lambda: task.advance(1),
            )  # fmt: skip
        settings = [candidate.model_dump(mode="json") for candidate in auto.candidates]
        found = {
            "method": choice.method.name,
            "candidate": choice.number,
            "settings": None if choice.number is None else settings[choice.number],
            "tried": [
                {**dataclasses.asdict(one), "settings": own} for one, own in zip(choice.tried, settings, strict=True)
            ],
        }
        self.context.record.add_finding("choice", found, choice.sentence())
        return choice.method

    def trained(self, method: AdaptationMethod) -> TextClassifier:
        """Record the accuracy on both domains, and return the method's classifier of all examples."""
        self._add_accuracy(method)
        fitted = method.fit(self.domains.task(self.domains.examples), seed=self.context.seed)
        self.context.record.trainable_parameters = fitted.trainable
        return fitted.classifier

    def _add_accuracy(self, method: AdaptationMethod) -> None:
        """Hold examples out in turn, unless the given classifier may know them."""
        from nlptl.finetuning.domains.accuracy import both_domains, held_out_hits

        seed, record = self.context.seed, self.context.record
        if self.given.head.has_learnt:
            told = (
                f"Held-out accuracy: unknown, since {HAS_LEARNT}. Test the classifier before trusting it, or {REMEDY}."
            )
            record.add_finding("held_out", False, told)
            return
        folds = self.domains.folds(self.folds, seed=seed, once=method.costly)
        none = held_out_hits(self._head("none"), self.domains, folds, seed=seed)
        taken = none if method.name == "none" else held_out_hits(method, self.domains, folds, seed=seed)
        found = both_domains(none, taken, self.domains)
        record.add_finding(
            "accuracy", {"method": method.name, **dataclasses.asdict(found)}, found.sentence(method.name)
        )

    def method(self, adapt: OneMethod, path: str) -> AdaptationMethod:
        """Return the method of the settings at `path`, ready to fit."""
        from nlptl.finetuning.domains.coral import aligned

        if isinstance(adapt, NoAdaptation):
            return self._head("none")
        if isinstance(adapt, Coral):
            shrinkage = None if adapt.shrinkage == "auto" else adapt.shrinkage
            return self._head("coral", align=functools.partial(aligned, shrinkage=shrinkage))
        if isinstance(adapt, Continue):
            return self._continued(adapt, path)
        return self._moving(adapt, f"domain_adaptation: {path}")

    def _head(self, name: str, *, align: Callable[[Tensor, Tensor], Tensor] | None = None) -> AdaptationMethod:
        """Return a method that trains a head on the given encoder's vectors."""
        from nlptl.finetuning.domains.domain_heads import FrozenVectors

        return FrozenVectors(name, self.given, self.vectors, self.training, align=align)

    def _continued(self, adapt: Continue, path: str) -> AdaptationMethod:
        """Train a copy of the encoder on the target's texts, for a head on its vectors."""
        from nlptl.finetuning.domains.domain_heads import FrozenVectors
        from nlptl.finetuning.domains.target_pretraining import pretrain_on_target
        from nlptl.models.classifier import TextClassifier

        context, own = self.context, digest_of(adapt.model_dump(mode="json"))[:12]
        if context.checkpoint_folder is not None:  # each candidate has checkpoints of its own
            folder, identity = context.checkpoint_folder / own, f"{context.run_identity}/{own}"
            context = dataclasses.replace(context, checkpoint_folder=folder, run_identity=identity)
        encoder, outcome = pretrain_on_target(
            self.given.encoder, [self.domains.texts[row] for row in self.domains.unlabelled.tolist()], adapt.training(),
            context=context, precision=self.precision, where=f"domain_adaptation: {path}",
        )  # fmt: skip
        prefix = "" if path == "adapt" else f"{path}: "  # another candidate may be of the same method
        self.context.record.add_finding(
            f"{prefix}continue", dataclasses.asdict(outcome), f"{prefix}{outcome.sentence()}"
        )
        given = TextClassifier(encoder, self.given.head, self.given.labels).eval()
        vectors = encoded(given, self.domains.texts, self.context)
        return FrozenVectors("continue", given, vectors, self.training, moved=outcome.trainable)

    def _moving(self, adapt: LayerMethod, where: str) -> AdaptationMethod:
        """Return a method over the top layers, and run the frozen layers."""
        from nlptl.finetuning.domains.adversarial import adversarial
        from nlptl.finetuning.domains.bottleneck_adapters import adapters
        from nlptl.finetuning.domains.moving_layers import MovingLayers

        if isinstance(adapt, Adversarial):
            recipe = adversarial(strength=adapt.strength, where=where)
        else:
            recipe = adapters(width=adapt.width, weight=adapt.weight, where=where)
        texts = self.domains.texts
        with self.context.progress.task("running the frozen layers", total=len(texts), unit="texts") as task:
            return MovingLayers(
                self.given, texts, self.vectors, self.training, recipe, adapt, precision=self.precision,
                after_batch=task.advance,
                after_step=lambda step, loss: self.context.record.step(adapt.method, step, loss),
            )  # fmt: skip


def encoded(given: TextClassifier, texts: list[str], context: RunContext) -> Tensor:
    """Return sentence vectors (t, D); ArtifactError if one is not finite."""
    import torch

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
