"""One run of domain adaptation: methods made of their settings, one of them chosen, trained, and what it brings told.

Shapes: t texts of both domains, D dimension.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from nlptl.artifact import digest_of
from nlptl.context import RunContext
from nlptl.errors import ArtifactError
from nlptl.finetuning.domains.settings import Adapters, Adversarial, Auto, Continue, Coral, Nothing

if TYPE_CHECKING:
    from torch import Tensor

    from nlptl.evaluation.shift import Shift
    from nlptl.finetuning.domains.domain_heads import HeadTraining
    from nlptl.finetuning.domains.task import Domains, Method
    from nlptl.models.classifier import TextClassifier
    from nlptl.stages.domain_adaptation import DomainAdaptation


@dataclasses.dataclass(frozen=True)
class Adaptation:
    """One run: what all methods share."""

    settings: DomainAdaptation
    given: TextClassifier
    domains: Domains
    vectors: Tensor
    training: HeadTraining
    context: RunContext

    def chosen(self, shift: Shift) -> Method:
        """Return the method that the settings name, or the one that stands up without target labels."""
        from nlptl.finetuning.domains.accuracy import FRESH, LEARNT_ALREADY
        from nlptl.finetuning.domains.method_trials import choose_method

        adapt, record = self.settings.adapt, self.context.record
        if not isinstance(adapt, Auto):
            return self.method(adapt, "adapt")
        if self.given.head.has_learnt:
            told = f"auto: {LEARNT_ALREADY} to choose a method by, and nothing is adapted (none): {FRESH}."
            record.add_finding("choice", {"method": "none"}, told)
            return self.method(Nothing(), "adapt")
        if not shift.is_shown:
            record.add_finding("choice", {"method": "none"}, "auto: no shift is shown, so nothing is adapted (none).")
            return self.method(Nothing(), "adapt")
        candidates = [self.method(candidate, f"adapt.candidates.{n}") for n, candidate in enumerate(adapt.candidates)]
        with self.context.progress.task("reverse validation", total=None, unit="folds") as task:
            verdict = choose_method(
                self.method(Nothing(), "adapt"), candidates, self.domains, folds=self.settings.folds,
                seed=self.context.seed, tick=lambda: task.advance(1),
            )  # fmt: skip
        settings = [candidate.model_dump(mode="json") for candidate in adapt.candidates]
        found = {
            "method": verdict.method.name,
            "candidate": verdict.number,
            "settings": None if verdict.number is None else settings[verdict.number],
            "tried": [
                {**dataclasses.asdict(one), "settings": own} for one, own in zip(verdict.tried, settings, strict=True)
            ],
        }
        record.add_finding("choice", found, verdict.sentence())
        return verdict.method

    def trained(self, method: Method) -> TextClassifier:
        """Tell both domains' accuracy, and return what the method makes of all examples."""
        self._tell_accuracy(method)
        fitted = method.fit(self.domains.task(self.domains.examples), seed=self.context.seed)
        self.context.record.trainable_parameters = fitted.trainable
        return fitted.classifier

    def _tell_accuracy(self, method: Method) -> None:
        """Hold examples out in turn, unless the given classifier may know them."""
        from nlptl.finetuning.domains.accuracy import FRESH, LEARNT_ALREADY, both_domains, held_out_hits
        from nlptl.finetuning.domains.folds import folds_of

        seed, record = self.context.seed, self.context.record
        if self.given.head.has_learnt:
            told = f"Held-out accuracy: unknown, since {LEARNT_ALREADY}: test it before trusting it, or {FRESH}."
            record.add_finding("held_out", False, told)
            return
        folds = folds_of(self.domains, folds=self.settings.folds, seed=seed, once=method.costly)
        none = held_out_hits(self.method(Nothing(), "adapt"), self.domains, folds, seed=seed)
        taken = none if method.name == "none" else held_out_hits(method, self.domains, folds, seed=seed)
        found = both_domains(none, taken, self.domains)
        record.add_finding(
            "accuracy", {"method": method.name, **dataclasses.asdict(found)}, found.sentence(method.name)
        )

    def method(self, adapt: Nothing | Continue | Coral | Adversarial | Adapters, path: str) -> Method:
        """Return a method with its settings, which stand at `path`, ready to fit."""
        from nlptl.finetuning.domains import domain_heads as heads

        if isinstance(adapt, Coral):
            shrinkage = None if adapt.shrinkage == "auto" else adapt.shrinkage
            return heads.coral(self.given, self.vectors, self.training, shrinkage=shrinkage)
        if isinstance(adapt, Continue):
            return self._continued(adapt, path)
        if isinstance(adapt, Adversarial | Adapters):
            return self._moving(adapt, path)
        return heads.FrozenVectors("none", self.given, self.vectors, self.training)

    def _continued(self, adapt: Continue, path: str) -> Method:
        """Train a copy of the encoder on the target's texts; heads then learn on its vectors."""
        from nlptl.finetuning.domains.continued import trained_on
        from nlptl.finetuning.domains.domain_heads import FrozenVectors
        from nlptl.models.classifier import TextClassifier
        from nlptl.training.compute import precision_for

        target = [self.domains.texts[row] for row in self.domains.unlabelled.tolist()]
        host, own = self.context, digest_of(adapt.model_dump(mode="json"))[:12]
        if (
            host.checkpoint_folder is not None
        ):  # several candidates may train on the same texts, each with checkpoints of its own
            host = dataclasses.replace(
                host, checkpoint_folder=host.checkpoint_folder / own, run_identity=f"{host.run_identity}/{own}"
            )
        precision = precision_for(self.settings.precision, self.context.torch_device())
        encoder, outcome = trained_on(
            self.given.encoder, target, objective=adapt.objective, precision=precision, host=host,
            course=adapt.model_dump(exclude={"method", "objective"}, exclude_none=True), where=f"domain_adaptation: {path}",
        )  # fmt: skip
        name, told = "continue", outcome.sentence()
        if path != "adapt":  # another candidate may be of the same method
            name, told = f"{path}: continue", f"{path}: {told}"
        self.context.record.add_finding(name, dataclasses.asdict(outcome), told)
        given = TextClassifier(encoder, self.given.head, self.given.labels).eval()
        vectors = encoded(given, self.domains.texts, self.context)
        return FrozenVectors("continue", given, vectors, self.training, moved=outcome.trainable)

    def _moving(self, adapt: Adversarial | Adapters, path: str) -> Method:
        """Return a method over the top layers, the frozen ones run."""
        from nlptl.finetuning.domains.adapters import adapters
        from nlptl.finetuning.domains.adversarial import adversarial
        from nlptl.finetuning.domains.layers import Course, MovingLayers
        from nlptl.training.compute import precision_for

        where = f"domain_adaptation: {path}"
        if isinstance(adapt, Adversarial):
            recipe = adversarial(strength=adapt.strength, where=where)
        else:
            recipe = adapters(width=adapt.width, weight=adapt.weight, where=where)
        precision = precision_for(self.settings.precision, self.context.torch_device())
        course = Course(adapt.epochs, adapt.batch_size, adapt.learning_rate, adapt.top_layers, precision)
        texts = self.domains.texts
        with self.context.progress.task("running the frozen layers", total=len(texts), unit="texts") as task:
            return MovingLayers(
                self.given, texts, self.vectors, self.training, recipe, course, after_batch=task.advance,
                after_step=lambda step, loss: self.context.log_step(adapt.method, step, loss),
            )  # fmt: skip


def encoded(given: TextClassifier, texts: list[str], context: RunContext) -> Tensor:
    """Return sentence vectors (t, D); ArtifactError where one is no finite number."""
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
