"""The method `head`: the encoder is frozen, only the head learns."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import model_validator

from nlptl.errors import ConfigError
from nlptl.finetuning.gradient.gradient_settings import GradientSettings
from nlptl.finetuning.method import Fitted, Method, linear_head_needed

if TYPE_CHECKING:
    from nlptl.context import RunContext
    from nlptl.data import TextData
    from nlptl.finetuning.examples import LabelledExamples
    from nlptl.models.classifier import TextClassifier


class HeadOnly(GradientSettings, Method):
    """The encoder is frozen, only the head learns (and the query of attention pooling)."""

    needs_linear_head: ClassVar[bool] = True
    reads_frozen_vectors: ClassVar[bool] = True
    learns_label_sets: ClassVar[bool] = True

    method: Literal["head"] = "head"
    """The name of this method."""
    solver: Literal["iterative", "auto", "logistic", "ridge", "lda"] = "iterative"
    """iterative trains any head by gradient descent. The others fit a linear head exactly; leaving one example out or
    cross-validation sets their strength and calibrates their probabilities. logistic: logistic regression. ridge: ridge
    regression. lda: linear discriminant analysis with a shrunk covariance. auto: the simplest that held-out examples do not
    speak against. With these solvers the settings of gradient descent, such as epochs, are refused."""

    @model_validator(mode="after")
    def _gradient_settings_fit(self) -> Self:
        """Refuse settings of gradient descent under a solver that has none."""
        for name, field in GradientSettings.model_fields.items():
            if self.solver != "iterative" and getattr(self, name) != field.default:
                raise ValueError(
                    f"{name}: found {getattr(self, name)} with solver {self.solver}, which fits the head exactly; expected this "
                    "setting only with solver iterative. Drop it, or set solver: iterative"
                )
        return self

    @property
    def title(self) -> str:
        """Name in messages."""
        return "head" if self.solver == "iterative" else f"head with solver {self.solver}"

    def check_head(self, hidden: int, data: TextData | None, *, layers: bool, where: str) -> None:
        """Refuse a head with a hidden layer where the solver fits a linear one."""
        if self.solver != "iterative":
            super().check_head(hidden, data, layers=layers, where=where)

    def check_data(self, data: TextData, *, where: str) -> None:
        """Refuse solvers that need one label a text where there may be several."""
        if data.has_label_sets and self.solver in ("ridge", "lda"):
            raise ConfigError(
                f"{where}.solver: {self.solver} learns one label a text, but the labelled rows have lists of labels. Choose "
                "logistic or iterative."
            )

    def fit(self, given: TextClassifier, examples: LabelledExamples, context: RunContext) -> Fitted:
        """Return the given encoder under a trained head."""
        if self.solver != "iterative":
            return self._solved(given, examples, context)
        from nlptl.finetuning.gradient.layer_tuner import LayerPlan, Rates
        from nlptl.finetuning.gradient.supervised import Supervised

        plan = None
        if given.encoder.pooling.query is not None:
            plan = LayerPlan(Rates(self.head_rate(over_layers=True), 0.0), top_layers=0)
        return Supervised(given, examples, context, self).fitted(plan)

    def _solved(self, given: TextClassifier, examples: LabelledExamples, context: RunContext) -> Fitted:
        """Return the given encoder under a linear head that is fitted exactly, calibrated on held-out examples."""
        import torch

        from nlptl.finetuning.linear import LabelledVectors, choose_head, write_head
        from nlptl.models.classifier import TextClassifier

        if given.head.hidden:
            raise linear_head_needed(self.title, given.head.hidden, where="finetune.update")
        if examples.label_sets is not None:
            return label_by_label(given, examples, context)
        first = torch.from_numpy(examples.groups.first)
        vectors = examples.frozen_vectors(given.encoder, progress=context.progress)
        vectors = vectors[first] if len(first) < len(examples) else vectors
        copies = torch.from_numpy(examples.groups.copies)
        rows = LabelledVectors.of(vectors, examples.label_ids[first], examples.label_count, copies=copies)
        if examples.is_skewed:
            rows = rows.balanced()
        assert self.solver != "iterative"
        choice = choose_head(rows) if self.solver == "auto" else choose_head(rows, methods=(self.solver,))
        found = {"solver": choice.fitted.method, "strength": choice.fitted.strength}
        context.record.add_finding("choice", found, choice.how)
        head = copy.deepcopy(given.head).cpu()
        head.fit_scale(vectors)
        write_head(choice.head, head)
        classifier = TextClassifier(given.encoder, head.to(given.device), given.labels).eval()
        numbers = choice.head.weights.numel() + len(choice.head.bias)
        owner, fitted = torch.from_numpy(examples.groups.owner), choice.fitted
        return Fitted(
            classifier, numbers, balanced=examples.is_skewed, met_skew=examples.is_skewed,
            held_out_logits=lambda: (fitted.out_of_fold_logits / fitted.temperature)[owner],
        )  # fmt: skip


def label_by_label(given: TextClassifier, examples: LabelledExamples, context: RunContext) -> Fitted:
    """Return the given encoder under one logistic regression for each label, where texts may have several."""
    import torch

    from nlptl.finetuning.linear import fit_one_vs_rest, write_head
    from nlptl.models.classifier import TextClassifier

    assert examples.label_sets is not None
    first, owner = map(torch.from_numpy, (examples.groups.first, examples.groups.owner))
    vectors = examples.frozen_vectors(given.encoder, progress=context.progress)[first]
    copies = torch.from_numpy(examples.groups.copies)
    with context.progress.task("fine-tune", total=examples.label_count, unit="labels") as task:
        found = fit_one_vs_rest(vectors, examples.label_sets[first], copies=copies, after_label=lambda: task.advance(1))
    context.record.add_finding("choice", {"solver": "logistic", "strengths": found.strengths}, found.how)
    head = copy.deepcopy(given.head).cpu()
    head.fit_scale(vectors)
    write_head(found.head, head)
    classifier = TextClassifier(given.encoder, head.to(given.device), given.labels).eval()
    numbers = found.head.weights.numel() + len(found.head.bias)
    return Fitted(classifier, numbers, held_out_logits=lambda: found.held_out_logits[owner])
