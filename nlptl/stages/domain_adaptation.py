"""Stage three: bring a classifier from a labelled source domain to a target domain of which there are only texts.

Shapes: n examples, t texts, D dimension, K labels.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from nlptl.artifact import Kind, digest_of
from nlptl.config import Config, auto_or
from nlptl.errors import ArtifactError, ConfigError, DataError
from nlptl.stages.adapt import Adapt, Adapters, Adversarial, Auto, Continue, Coral, Nothing
from nlptl.stages.stage import Need, Part, RunContext, TokenModelKind

if TYPE_CHECKING:
    from torch import Tensor

    from nlptl.data import TextData
    from nlptl.domains.heads import HeadTraining
    from nlptl.domains.shift import Shift
    from nlptl.domains.task import Domains, Method
    from nlptl.models.classifier import TextClassifier

LEAST = 2  # examples of a label in the source: one to learn from, one to hold out
MOST_PASSES = 50  # of L-BFGS, which has converged by then


class DomainAdaptation(Config):
    """Train a classifier on labelled examples of one domain for use in another, of which unlabelled texts are at hand."""

    stage: Literal["domain_adaptation"] = "domain_adaptation"
    """The name of this stage."""
    adapt: Adapt = Auto()
    """How the domains are brought together; auto chooses without target labels."""
    l2: Annotated[float | Literal["auto"], auto_or(float, least=0)] = "auto"
    """Penalty on half the squared weights of the head; larger is smoother. auto: chosen by cross-validation on the
    examples. Where layers move (adversarial, adapters) it shapes the head with which they start, and nothing after."""
    folds: int = Field(default=5, ge=2, le=20)
    """Parts in which examples are held out in turn; once where layers move."""
    target_texts: int = Field(default=10_000, ge=10)
    """Unlabelled texts that are used at most, drawn by the seed; more align better and take longer."""
    shift_texts: int = Field(default=1_000, ge=10, le=5_000)
    """Texts of each domain by which the shift is measured; more see a smaller shift."""
    permutations: int = Field(default=999, ge=99, le=100_000)
    """Random exchanges behind the p-value of MMD; more make it finer."""
    precision: Literal["auto", "float32", "tf32", "bfloat16"] = "auto"
    """Of the matrix products where layers move. auto: bfloat16 where the device computes it natively, else float32."""

    takes: ClassVar[Kind | None] = "classifier"
    gives: ClassVar[Kind] = "classifier"
    version: ClassVar[int] = 2
    shared: ClassVar[bool] = True

    @property
    def needs(self) -> frozenset[Need]:
        """Labelled examples of the source, texts of the target."""
        return frozenset({"source", "unlabelled"})

    @property
    def draws(self) -> bool:
        """Folds and batches are drawn."""
        return True

    def reads(self, data: TextData) -> frozenset[Part]:
        """Source and target texts, and the target's labelled examples where given, which join the training."""
        wanted: frozenset[Part] = frozenset({"source", "unlabelled"})
        return wanted | ({"labelled"} if data.labelled is not None else set())

    def check(self, *, where: str) -> None:
        """Refuse a shrinkage above 1."""
        for path, method in self._methods():
            if isinstance(method, Coral) and method.shrinkage != "auto" and method.shrinkage > 1:
                raise ConfigError(
                    f"{where}.{path}.shrinkage: found {method.shrinkage}; expected auto or a number from 0 to 1. Correct the "
                    "value."
                )

    def check_model(self, token_model: TokenModelKind, *, where: str) -> None:
        """Refuse methods that move layers where there are none."""
        for path, method in self._methods():
            if token_model != "transformer" and not isinstance(method, Nothing | Coral):
                raise ConfigError(
                    f"{where}.{path}.method: found {method.method} over word vectors, which have no layers; expected none "
                    "or coral, or a transformer. Choose one, or begin the chain with stage: bert."
                )

    def check_data(self, data: TextData, *, where: str) -> None:
        """Refuse data without one of the domains, or with too few texts to compare them by, to learn from or to hold out."""
        from collections import Counter

        from nlptl.domains.shift import check_size

        if data.source is None:
            raise DataError(f"{where}: found no examples of the source domain; it learns from them. Give data.source.")
        if data.unlabelled is None:
            raise DataError(f"{where}: found no texts of the target domain; it adapts to them. Give data.unlabelled.")
        check_size(len(data.source), part="source", where=where)
        check_size(len(data.unlabelled), part="unlabelled", where=where)
        self._check_continue(data, where)
        once = set(zip(data.source.texts(), data.source.labels(), strict=True))  # copies are held out together
        label, count = min(Counter(label for _, label in once).items(), key=lambda item: (item[1], item[0]))
        if count < LEAST:
            raise DataError(
                f"{where}: found {count} example of label {label!r} in data.source; expected at least {LEAST} different ones, "
                "one of them to be held out. Add examples."
            )

    def _check_continue(self, data: TextData, where: str) -> None:
        """Refuse target texts that continued training has too few different ones of."""
        from nlptl.pretraining.pile import LEAST_TEXTS

        paths = [path for path, method in self._methods() if isinstance(method, Continue)]
        assert data.unlabelled is not None
        distinct = len(set(data.unlabelled.texts())) if paths else LEAST_TEXTS
        if distinct < LEAST_TEXTS:
            raise DataError(
                f"{where}: {paths[0]}: found {distinct} distinct texts in data.unlabelled; expected at least {LEAST_TEXTS} to "
                "continue training on. Add texts, or choose another method."
            )

    def outside(self) -> Mapping[str, str]:
        """Nothing outside the data shapes the result."""
        return {}

    def run(self, given: TextClassifier, *, data: TextData, context: RunContext | None = None) -> TextClassifier:
        """Return a new classifier for the target domain; `given` stays as it is, and no test text is looked at.

        `given` should have a fresh head. Where it is trained, encoder and head may know the examples, so that none can be
        held out: no accuracy is told then, and auto adapts nothing. A fresh head on an encoder that has learnt from these
        labels hides that, and both accuracies come out too high.

        Raises DataError for a domain without texts, ConfigError for a method that the encoder has no layers for or that
        does not converge, ArtifactError for an encoder whose vectors are no finite numbers.
        """
        context = context or RunContext()
        self.check_data(data, where="domain_adaptation")
        self.check(where="domain_adaptation")
        kind = given.encoder.token_model.kind
        self.check_model(kind, where="domain_adaptation")
        if kind == "transformer" and given.device != context.torch_device():
            given = copy.deepcopy(given).to(context.torch_device())
        domains = self._domains(given, data, context)
        vectors = _encoded(given, domains.texts, context)
        shift = self._shift(vectors, domains, context)
        work = _Work(self, given, domains, vectors, self._training(given, vectors, domains, context), context)
        return work.trained(work.chosen(shift))

    def _methods(self) -> list[tuple[str, Nothing | Continue | Coral | Adversarial | Adapters]]:
        """Return the methods that the settings name, each with its path."""
        if not isinstance(self.adapt, Auto):
            return [("adapt", self.adapt)]
        return [(f"adapt.candidates.{number}", method) for number, method in enumerate(self.adapt.candidates)]

    def _domains(self, given: TextClassifier, data: TextData, context: RunContext) -> Domains:
        """Lay the texts of both domains end to end."""
        import torch

        from nlptl.domains.task import Domains

        assert data.source is not None
        assert data.unlabelled is not None
        _check_labels(given, data)
        parts = [data.source] if data.labelled is None else [data.source, data.labelled]
        target = data.unlabelled.texts()
        if len(target) > self.target_texts:
            drawn = torch.randperm(len(target), generator=context.generator("target_texts"))[: self.target_texts]
            target = [target[row] for row in drawn.sort().values.tolist()]
        names = [label for part in parts for label in part.labels()]
        texts = [text for part in parts for text in part.texts()]
        return Domains([*texts, *target], given.label_ids(names), len(data.source))

    def _shift(self, vectors: Tensor, domains: Domains, context: RunContext) -> Shift:
        from nlptl.domains.heads import SMALL
        from nlptl.domains.shift import shift_between
        from nlptl.training import one_thread_if

        with one_thread_if(vectors.numel() < SMALL):
            found = shift_between(
                vectors[: domains.source],
                vectors[domains.unlabelled],
                texts=self.shift_texts,
                permutations=self.permutations,
                seed=context.generator("shift").initial_seed(),
            )
        context.record.find("shift", {**dataclasses.asdict(found), "is_shown": found.is_shown}, found.sentence())
        return found

    def _training(self, given: TextClassifier, vectors: Tensor, domains: Domains, context: RunContext) -> HeadTraining:
        from nlptl.domains.heads import choose_head
        from nlptl.fitting import Settings

        l2 = None if self.l2 == "auto" else self.l2
        epochs = None if given.head.dropout else MOST_PASSES
        settings = Settings(l2, epochs, batch_size=None, folds=self.folds, patience=1, seed=context.seed)
        with context.progress.task("choosing the head's penalty", total=None, unit="fits") as task:
            training = choose_head(given, vectors, domains, settings, tick=lambda: task.advance(1))
        context.record.find("head", {"epochs": training.choice.epochs, "l2": training.choice.l2})
        return training


@dataclasses.dataclass(frozen=True)
class _Work:
    """One run: what all methods share."""

    settings: DomainAdaptation
    given: TextClassifier
    domains: Domains
    vectors: Tensor
    training: HeadTraining
    context: RunContext

    def chosen(self, shift: Shift) -> Method:
        """Return the method that the settings name, or the one that stands up without target labels."""
        from nlptl.domains.accuracy import FRESH, LEARNT_ALREADY
        from nlptl.domains.choice import choose_method

        adapt, record = self.settings.adapt, self.context.record
        if not isinstance(adapt, Auto):
            return self.method(adapt, "adapt")
        if self.given.head.has_learnt:
            told = f"auto: {LEARNT_ALREADY} to choose a method by, and nothing is adapted (none): {FRESH}."
            record.find("choice", {"method": "none"}, told)
            return self.method(Nothing(), "adapt")
        if not shift.is_shown:
            record.find("choice", {"method": "none"}, "auto: no shift is shown, so nothing is adapted (none).")
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
        record.find("choice", found, verdict.sentence())
        return verdict.method

    def trained(self, method: Method) -> TextClassifier:
        """Tell both domains' accuracy, and return what the method makes of all examples."""
        self._tell_accuracy(method)
        fitted = method.fit(self.domains.task(self.domains.examples), seed=self.context.seed)
        self.context.record.find("trainable_parameters", fitted.trainable)
        return fitted.classifier

    def _tell_accuracy(self, method: Method) -> None:
        """Hold examples out in turn, unless the given classifier may know them."""
        from nlptl.domains.accuracy import FRESH, LEARNT_ALREADY, both_domains, held_out_hits
        from nlptl.domains.folds import folds_of

        seed, record = self.context.seed, self.context.record
        if self.given.head.has_learnt:
            told = f"Held-out accuracy: unknown, since {LEARNT_ALREADY}: test it before trusting it, or {FRESH}."
            record.find("held_out", False, told)
            return
        folds = folds_of(self.domains, folds=self.settings.folds, seed=seed, once=method.costly)
        none = held_out_hits(self.method(Nothing(), "adapt"), self.domains, folds, seed=seed)
        taken = none if method.name == "none" else held_out_hits(method, self.domains, folds, seed=seed)
        found = both_domains(none, taken, self.domains)
        record.find("accuracy", {"method": method.name, **dataclasses.asdict(found)}, found.sentence(method.name))

    def method(self, adapt: Nothing | Continue | Coral | Adversarial | Adapters, path: str) -> Method:
        """Return a method with its settings, which stand at `path`, ready to fit."""
        from nlptl.domains import heads

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
        from nlptl.domains.continued import trained_on
        from nlptl.domains.heads import FrozenVectors
        from nlptl.models.classifier import TextClassifier
        from nlptl.training import precision_for

        target = [self.domains.texts[row] for row in self.domains.unlabelled.tolist()]
        host, own = self.context, digest_of(adapt.model_dump(mode="json"))[:12]
        if host.keep is not None:  # several candidates may train on the same texts, each with checkpoints of its own
            host = dataclasses.replace(host, keep=host.keep / own, keep_identity=f"{host.keep_identity}/{own}")
        precision = precision_for(self.settings.precision, self.context.torch_device())
        encoder, outcome = trained_on(
            self.given.encoder, target, objective=adapt.objective, precision=precision, host=host,
            course=adapt.model_dump(exclude={"method", "objective"}, exclude_none=True), where=f"domain_adaptation: {path}",
        )  # fmt: skip
        name, told = "continue", outcome.sentence()
        if path != "adapt":  # another candidate may be of the same method
            name, told = f"{path}: continue", f"{path}: {told}"
        self.context.record.find(name, dataclasses.asdict(outcome), told)
        given = TextClassifier(encoder, self.given.head, self.given.labels).eval()
        vectors = _encoded(given, self.domains.texts, self.context)
        return FrozenVectors("continue", given, vectors, self.training, moved=outcome.trainable)

    def _moving(self, adapt: Adversarial | Adapters, path: str) -> Method:
        """Return a method over the top layers, the frozen ones run."""
        from nlptl.domains.adapters import adapters
        from nlptl.domains.adversarial import adversarial
        from nlptl.domains.layers import Course, MovingLayers
        from nlptl.training import precision_for

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
                after_step=lambda step, loss: self.context.follow(adapt.method, step, loss),
            )  # fmt: skip


def _encoded(given: TextClassifier, texts: list[str], context: RunContext) -> Tensor:
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


def _check_labels(given: TextClassifier, data: TextData) -> None:
    if set(data.label_set.names) != set(given.labels):
        raise DataError(
            f"domain_adaptation: the head knows the labels {', '.join(given.labels)}, the examples have "
            f"{', '.join(data.label_set.names)}; both must be equal. Attach a fresh classification_head."
        )
