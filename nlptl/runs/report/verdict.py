"""Verdict on a classifier in one sentence, what shows it, and what to do next."""

from __future__ import annotations

import csv
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.evaluation.intervals import Estimate, Interval
from nlptl.evaluation.label_sets import AnyEvaluation, LabelSetEvaluation
from nlptl.evaluation.scores import Evaluation, LabelScores
from nlptl.faults import cut
from nlptl.runs.reading.texts import told_path
from nlptl.runs.report.facts import Advice, Headline, Rival, Standing
from nlptl.runs.start.files import NEXT_LABELS, SUSPECTS

if TYPE_CHECKING:
    from nlptl.artifact import Manifest

WIDE = 0.05  # half of an interval of the accuracy, from which more test texts are advised
WANTED = 0.03  # half of the interval that they should bring
MAX_ADVICE = 4
WEAK_RECALL = 0.6
FEW_EXAMPLES = 10  # of a label, below which more are advised
NOT_SHOWN = "not shown to be better than"
Z = 1.96


def verdict_of(headline: Headline | None, standing: Standing | None, *, texts_learnt: int = 0) -> str:
    """Return the verdict in one sentence. `texts_learnt` of the judged texts were learnt from."""
    if headline is None:
        return "This run has no judged texts, so how well it labels new texts is not known."
    found: dict[str, list[str]] = {"better than": [], NOT_SHOWN: [], "worse than": []}
    simple = simplest(standing)
    best = better_way(standing)
    for rival in (simple, best if best is not simple else None):
        if rival is not None and standing is not None and not rival.is_this:
            found[_way(advantage(rival, standing))].append(_told(f"“{brief(rival.name)}”", rival.accuracy.value))
    if headline.guessing is not None:
        low = headline.accuracy.low
        way = "better than" if low is not None and low > headline.guessing else NOT_SHOWN
        found[way].append(_told(f"always answering “{cut(headline.guess)}”", headline.guessing))
    told = [f"{way} {' and '.join(names)}" for way, names in found.items() if names]
    share = headline.accuracy.value
    about = f"{'about ' * (share not in (0, 1))}{100 * share:.0f} of 100 new texts"
    sentence = f"It gives {about} exactly their labels" if headline.by_sets else f"It labels {about} correctly"
    end = f": {', but '.join(told)}" if told else f"; {headline.by_f1}" * bool(headline.by_f1)
    learnt = "; some of these texts were learnt from, so this is too high" if texts_learnt else ""
    return f"{sentence}{end}{learnt}."


def proof_of(headline: Headline | None) -> str:
    """Return what shows the verdict."""
    if headline is None:
        return "Set `test:` under `data:` in the pipeline file, or `hold_out: 0.2`, and run it again."
    on = headline.on if headline.on.endswith(".") else f"Judged on {headline.on}."
    low, high = headline.accuracy.low, headline.accuracy.high
    if low is None or high is None:
        return f"{on} That is too little for an interval."
    digits = 0 if round(100 * low) < round(100 * high) else 1
    share = f"{100 * low:.{digits}f} to {100 * high:.{digits}f} of 100"
    ends = f"Expect {share} on other texts of this kind (95 % interval)."
    return " ".join(filter(None, [on, ends, headline.more]))


def simplest(standing: Standing | None) -> Rival | None:
    """Return the rival that stands for the simple way, which may be this classifier itself; None without one."""
    return None if standing is None else next((one for one in standing.rivals if one.name == standing.simple), None)


def brief(name: str) -> str:
    """Return the name of a way without what it says in brackets, as a sentence names it."""
    return cut(name.partition(" (")[0])


def better_way(standing: Standing | None) -> Rival | None:
    """Return the way that is better than this classifier by the most, of those that are shown to be; None without one."""
    if standing is None:
        return None
    gains = {one.name: advantage(one, standing) for one in standing.rivals if not one.is_this}
    lost = {name: gain.value for name, gain in gains.items() if gain is not None and (gain.high or 0) < 0}
    return min((one for one in standing.rivals if one.name in lost), key=lambda one: lost[one.name], default=None)


def advantage(rival: Rival, standing: Standing) -> Estimate | None:
    """Return how much more accurate this classifier is than another way, as far as both were measured in pairs."""
    this = next((one for one in standing.rivals if one.is_this), None)
    if this is not None and this.difference is not None and standing.reference == rival.name:
        return this.difference
    found = rival.difference
    if this is None or found is None or standing.reference != this.name:
        return None
    low, high = (None if end is None else -end for end in (found.high, found.low))
    return Estimate(-found.value, low, high, found.level)


def unjudged(run: Path, manifests: Sequence[Manifest]) -> tuple[str, str, tuple[Advice, ...]]:
    """Return verdict, proof and next steps for a run without a classifier, whose stages have these manifests."""
    found = list[Advice]()
    if any(one.settings.get("stage") == "skipgram" for one in manifests):
        command = f"nlptl neighbours {shlex.quote(told_path(run))} WORD"
        found.append(Advice("See which words the vectors hold to be alike.", command))
    if manifests[-1].kind == "classifier":
        told, proof = "its head was never trained, so its labels would be chance", "The stage `finetune` trains it."
        step = "add the stage `finetune` to the pipeline file"
    else:
        told = "its last stage makes sentence vectors, which have no scores of their own"
        proof = "A classifier learns labels on top of these vectors."
        step = "add `labelled` texts under `data:` and the stages `classification_head` and `finetune` to the pipeline file"
    first = Advice(f"To make a classifier, {step}, and run it again.")
    return f"This run has no classifier: {told}.", proof, (first, *found)


def advice_of(run: Path, evaluation: AnyEvaluation | None, *, examples: Mapping[str, int]) -> tuple[Advice, ...]:
    """Return the next steps, the most useful first.

    `run` is the folder that a person names; lists for labelling may stand in it. `examples` are the labelled rows of each
    label.
    """
    folder = shlex.quote(told_path(run))
    found = [
        Advice(f"{told}.", told_path(run / name))
        for name, told in ((NEXT_LABELS, "Label these texts next: they teach the classifier most"),
                           (SUSPECTS, "Check these labels, which the classifier contradicts most"))
        if _has_rows(run / name)
    ]  # fmt: skip
    if evaluation is None:
        found.append(Advice("Judge it on labelled texts that it has not seen.", f"nlptl evaluate {folder} --test FILE"))
    else:
        more = None if found else _more_examples(examples)
        confused = None if isinstance(evaluation, LabelSetEvaluation) else _confused(evaluation)
        steps = (_more_test_texts(evaluation), more, _weak_label(evaluation), confused)
        found += [one for one in steps if one]
    use = Advice("Use it on texts of your own.", f"nlptl predict {folder} --file FILE --keep --out labels.csv")
    return (*found[: MAX_ADVICE - 1], use)


def _has_rows(path: Path) -> bool:
    """Return whether a table has a row below its header."""
    if not path.is_file():
        return False
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.reader(file)
        try:
            return next(rows, None) is not None and next(rows, None) is not None
        except csv.Error:  # a text is longer than the module reads
            return True


def _told(way: str, accuracy: float) -> str:
    return f"{way} ({100 * accuracy:.0f})"


def _way(gain: Estimate | None) -> str:
    if gain is None or gain.low is None or gain.high is None:
        return NOT_SHOWN
    return "better than" if gain.low > 0 else "worse than" if gain.high < 0 else NOT_SHOWN


def _more_test_texts(evaluation: AnyEvaluation) -> Advice | None:
    """Advise more test texts where the interval is wide."""
    share = _share_right(evaluation)
    half = (share.high - share.low) / 2
    if half <= WIDE:
        return None
    spread = max(share.value * (1 - share.value), 0.05)
    wanted = _rounded_up(spread * (Z / WANTED) ** 2)
    return Advice(
        f"Label more texts for the test: {evaluation.rows:,} tell the accuracy only to ± {100 * half:.0f} points, about "
        f"{wanted:,} to ± {100 * WANTED:.0f}."
    )


def _more_examples(examples: Mapping[str, int]) -> Advice | None:
    """Advise more examples where the labels have few on average."""
    rows = sum(examples.values())
    if not examples or rows >= FEW_EXAMPLES * len(examples):
        return None
    return Advice(f"Label more texts to learn from: {rows:,} for {len(examples):,} labels are few.")


def _weak_label(evaluation: AnyEvaluation) -> Advice | None:
    """Advise labels of which few texts are found."""
    weak: Sequence[LabelScores] = sorted(
        (one for one in evaluation.per_label if one.recall is not None and one.support >= 3 and
         one.recall.value < min(WEAK_RECALL, _share_right(evaluation).value)),
        key=lambda one: one.recall.value if one.recall is not None else 0.0,
    )  # fmt: skip
    if not weak or weak[0].recall is None:
        return None
    hit = round(weak[0].recall.value * weak[0].support)
    more = f" {len(weak) - 1} other label{'s are' if len(weak) > 2 else ' is'} weak too." if len(weak) > 1 else ""
    return Advice(f"Label more texts of “{cut(weak[0].label)}”: {hit} of its {weak[0].support} texts were found.{more}")


def _confused(evaluation: Evaluation) -> Advice | None:
    """Advise the pair of labels that is confused most."""
    worst = max(
        ((count, true, said) for true, row in enumerate(evaluation.confusion) for said, count in enumerate(row)
         if true != said),
        default=(0, 0, 0),
    )  # fmt: skip
    if worst[0] < 2:
        return None
    true, said = (cut(evaluation.per_label[place].label) for place in worst[1:])
    return Advice(
        f"Read the {worst[0]} texts of “{true}” that were taken for “{said}”: the confusion matrix opens them."
    )


def _share_right(evaluation: AnyEvaluation) -> Interval:
    return evaluation.subset_accuracy if isinstance(evaluation, LabelSetEvaluation) else evaluation.accuracy


def _rounded_up(count: float) -> int:
    unit = 10 ** max(1, math.floor(math.log10(count)) - 1)
    return int(math.ceil(count / unit) * unit)
