"""Outcome of a watch: the content of monitor.json, and the lines of monitor.jsonl."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from nlptl.config import Config
from nlptl.disk.drafts import append_lines, write_text_atomically
from nlptl.errors import ArtifactError, ConfigError
from nlptl.evaluation.intervals import Estimate
from nlptl.results import read_result, read_result_lines, result_lines, write_result

FILE, HISTORY, TO_LABEL = "monitor.json", "monitor.jsonl", "monitor-to-label.csv"
VERSION = 1
MIN_TEXTS = 20  # new texts, below which neither the accuracy nor a change is told
MIN_DROP = 0.01  # of the accuracy, below which there is no alarm

Count = Annotated[int, Field(ge=0, le=10**12, strict=True)]
Share = Annotated[float, Field(ge=0, le=1)]
Cause = Literal["inputs", "label mix", "new words", "cut words", "languages"]


class InputResult(Config):
    """How well new texts are told from those of before by their sentence vectors."""

    texts: Count  # of before; 0 where they are gone, and the look of known texts stands in
    auc: Estimate | None  # of a held-out classifier of old and new; guessing gives 0.5
    unlike: Share | None  # of the new texts, less like known texts than 95 in 100 of these; where the texts are gone
    p_value: Share


class MixResult(Config):
    """Shares of labels or languages, the largest change first."""

    values: tuple[str, ...]
    then: tuple[Share, ...]
    now: tuple[Share, ...]
    p_value: Share


class RateResult(Config):
    """Share of some kind of words among all words."""

    then: Share
    now: Share
    difference: Estimate
    p_value: Share


class WordResult(Config):
    """Word that has become frequent, or that the tokenizer cuts to pieces."""

    word: str
    pieces: Count  # into which the tokenizer cuts it; 0 where it has no part that the vocabulary knows
    texts: Count  # new texts that hold it
    share: Share  # of the words of the new texts
    share_before: Share
    examples: tuple[str, ...]  # up to five of these texts


class Watch(Config):
    """What a watch found: a line of the history."""

    date: str  # UTC, ISO 8601
    identity: str  # of the classifier
    file: str
    texts: Count
    accuracy: Estimate | None  # estimated for the new texts
    change: Estimate | None
    causes: tuple[Cause, ...]
    alarm: bool


class MonitorResult(Config):
    """What came out of `nlptl monitor`."""

    version: Literal[1] = 1
    date: str
    identity: str
    file: str
    texts: Count  # of the file
    looked_at: Count  # of these, drawn at random
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)]
    how: str  # which answers stand for before; empty where there are none
    held_out: Estimate | None  # accuracy of before
    accuracy: Estimate | None  # estimated for the new texts
    accuracy_then: Share | None = (
        None  # estimated in the same way for the texts of before; earlier versions do not tell it
    )
    change: Estimate | None  # between both, as the confidences tell it, or the labels where some are known
    sampled_change: Estimate | None = None  # with the noise of sampling alone; earlier versions give it as `change`
    thresholded: Estimate | None  # average thresholded confidence, another estimate of the accuracy
    labelled: Estimate | None  # accuracy on the new texts whose labels are known
    labelled_texts: Count
    confidence_then: Share | None
    confidence_now: Share
    inputs: InputResult | None
    label_mix: MixResult | None
    languages: MixResult | None
    unseen: RateResult | None  # words that no other text of before has
    cut: RateResult | None  # words in many pieces
    new_words: tuple[WordResult, ...]
    cut_words: tuple[WordResult, ...]
    causes: tuple[Cause, ...]  # what has changed beyond chance
    alarm: bool
    to_label: Count  # texts whose labels would settle the question
    to_label_file: str | None  # that holds them
    remarks: tuple[str, ...]

    @property
    def has_few_texts(self) -> bool:
        """Whether there are too few new texts to tell anything."""
        return self.looked_at < MIN_TEXTS

    @property
    def has_compared(self) -> bool:
        """Whether new texts were compared with those of before, in any way."""
        return any(one is not None for one in (self.inputs, self.label_mix, self.languages, self.unseen, self.cut))

    @property
    def fell(self) -> bool:
        """Whether the estimate has fallen beyond chance, and by enough to matter.

        What no confidence tells of a shift is not counted here: under a large one it would hide every fall of the confidence.
        """
        sampled = self.sampled_change or self.change
        beyond = sampled is not None and sampled.high is not None and sampled.high < 0
        return beyond and self.change is not None and self.change.value <= -MIN_DROP

    @property
    def shows_drop(self) -> bool:
        """Whether a drop of the accuracy itself is shown, with all that is not known of a shift."""
        return self.change is not None and self.change.high is not None and self.change.high < 0

    @property
    def watch(self) -> Watch:
        """The line of the history."""
        return Watch(**{name: getattr(self, name) for name in Watch.model_fields})

    def write(self, folder: Path) -> None:
        """Write monitor.json, and append a line to monitor.jsonl."""
        write_result(folder / FILE, self.model_dump(mode="json"))
        path, line = folder / HISTORY, result_lines([self.watch])
        if path.is_file():
            append_lines(path, line)
        else:
            write_text_atomically(path, line)

    @classmethod
    def read(cls, folder: Path) -> MonitorResult | None:
        """Read monitor.json of a folder; None if there is none, or if it is of another version. ArtifactError if damaged."""
        content = read_result(folder / FILE, again="Run `nlptl monitor` again.")
        if content is None or content.get("version") != VERSION:
            return None
        try:
            return cls.model_validate(content)
        except ConfigError as error:
            raise ArtifactError(f"{folder / FILE}: is damaged ({error}). Run `nlptl monitor` again.") from None


def read_history(folder: Path, *, identity: str) -> list[Watch]:
    """Return the whole lines of monitor.jsonl that are of one classifier, the oldest first."""
    return [line for line in read_result_lines(folder / HISTORY, Watch)[0] if line.identity == identity]
