"""The scores as a 🤗 evaluate metric. `import evaluate` takes seconds; therefore only `load` does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import evaluate

from nlptl.disk.drafts import temporary_folder
from nlptl.evaluation.scores import evaluate_predictions

Labels: TypeAlias = Sequence[str] | Sequence[int]

_INPUTS = """
    predictions: predicted labels, as names (str) or as ids (int, the place in the label names)
    references: true labels, as predictions
    probabilities: one row per text, a column per label name (only if loaded with probabilities=True)
    seed, resamples: of the bootstrap intervals
"""
FIGURES = ("accuracy", "macro_f1", "log_loss", "expected_calibration_error")  # with intervals


def load(*, names: Sequence[str], probabilities: bool = False) -> evaluate.Metric:
    """Return the metric "classification_report" for the labels `names`. It works offline and leaves no files.

    `compute` returns rows, accuracy, macro_f1 and mcc of `nlptl.evaluation.scores.evaluate_predictions`, with the ends of
    their intervals (accuracy_low, accuracy_high, …), None where the texts are too few for one. With `probabilities` it
    takes a third input of that name, and also returns log_loss and expected_calibration_error. It raises DataError for a
    label that is not in `names`, and evaluate's ValueError for unsuitable inputs. It sees one process only: gather
    predictions before adding them.
    """
    import evaluate
    from datasets import Features, Value
    from datasets import Sequence as Row

    pair = ("predictions", "references")
    third = {"probabilities": Row(Value("float64"))} if probabilities else {}

    class ClassificationReport(evaluate.Metric):  # type: ignore[misc, unused-ignore]
        """evaluate_predictions with the interface of evaluate."""

        def _info(self) -> Any:
            return evaluate.MetricInfo(
                description="Accuracy, macro-F1, MCC and calibration of a text classifier, with intervals.",
                citation="",
                inputs_description=_INPUTS,
                features=[Features({**dict.fromkeys(pair, Value(kind)), **third}) for kind in ("string", "int64")],
            )

        def _compute(
            self, *, predictions: Labels, references: Labels, probabilities: Sequence[Sequence[float]] | None = None,
            seed: int = 0, resamples: int = 1000,
        ) -> dict[str, float]:  # fmt: skip
            labels, predicted = _label_names(references, names), _label_names(predictions, names)
            evaluation = evaluate_predictions(
                labels=labels, predicted=predicted, probabilities=probabilities, names=names, seed=seed,
                resamples=resamples,
            )  # fmt: skip
            figures: dict[str, float] = {"rows": evaluation.rows, "mcc": evaluation.mcc}
            for name in FIGURES:
                if (interval := getattr(evaluation, name)) is not None:
                    figures |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
            return figures

    # evaluate creates its folder even if it keeps everything in memory; nothing uses it afterwards.
    with temporary_folder("metric") as folder:
        return ClassificationReport(cache_dir=str(folder), keep_in_memory=True)


def _label_names(labels: Labels, names: Sequence[str]) -> list[str]:
    # evaluate_predictions refuses an id outside the label set, with its place.
    return [names[label] if isinstance(label, int) and 0 <= label < len(names) else str(label) for label in labels]
