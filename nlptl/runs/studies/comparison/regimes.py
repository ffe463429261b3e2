"""Regimes: the ways from a pipeline's labels to a classifier that a comparison sets side by side, and honest baselines."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nlptl.config import did_you_mean
from nlptl.data import LabelNames, TextData
from nlptl.data.label_sentences import label_sentences, spoken
from nlptl.errors import ConfigError, DataError
from nlptl.finetuning.selection.method_choice import passes_of
from nlptl.runs.chain import Chain, Faults
from nlptl.runs.studies.comparison.arms import Arm, ArmData, changed_chain

if TYPE_CHECKING:
    from pathlib import Path

Settings = Mapping[str, Any]

TITLES = {
    "most_frequent": "most frequent label",
    "names": "label names alone",
    "words": "words (tf-idf, logistic)",
    "scratch": "from scratch",
    "word_vectors": "word vectors",
    "frozen": "frozen encoder",
    "continued": "continued on the pile",
    "lora": "LoRA",
    "partial": "partial",
    "full": "full",
    "contrastive": "contrastive",
    "auto": "auto",
    "pile": "pile (self-training)",
}
"""Regimes by the names that `--regimes` takes, in the order of tables, with what tables call them."""
BASELINES = ("most_frequent", "names", "words")
AS_WRITTEN = "the pipeline as written"
PASSES_OF_STEPS = {"partial": 60.0, "lora": 250.0, "full": 250.0}  # of methods whose folds choose the epochs
SELF_TRAINING_TEXTS = 10_000  # of the pile, which are encoded once
CONTINUED_TEXTS = (6_000, 30_000)  # texts of all steps of a training on the pile, at least and at most
CONTINUED_PASSES = 10  # over the pile, within these
BACKWARD = 3  # passes that a step costs, beside reading
MAX_AUTO_SHARE = 0.1  # of the minutes, that one training of `auto` may take
HEAD = {"method": "head", "solver": "auto"}
_WORD = re.compile(r"[^\W\d]\w*")
_WORDS_OF_YAML = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")


@dataclasses.dataclass(frozen=True)
class Regime:
    """One regime of a pipeline: its arm, the settings that make it, and about what it costs."""

    key: str
    arm: Arm
    assignments: tuple[str, ...] | None  # of `nlptl run PIPELINE --set`; None where no command makes it
    texts_read: float  # about, by the encoder in one training; 0 where that is quick


@dataclasses.dataclass(frozen=True)
class Regimes:
    """Regimes that make sense for a pipeline, in the order of tables, and those that do not."""

    found: tuple[Regime, ...]
    left_out: Mapping[str, str]  # name: why


def checked_regimes(names: Sequence[str] | None, *, where: str = "--regimes") -> tuple[str, ...]:
    """Return the regimes of these names, in the order of tables; all for None. Raises ConfigError for a name of none."""
    if names is None:
        return tuple(TITLES)
    unknown = [name for name in names if name not in TITLES]
    if unknown or not names:
        found = ", ".join(map(repr, unknown)) or "no name"
        meant = did_you_mean(unknown[0], list(TITLES)) if unknown else ""
        raise ConfigError(f"{where}: found {found}; expected names among {', '.join(TITLES)}.{meant} Correct it.")
    return tuple(name for name in TITLES if name in names)


def regimes_of(
    chain: Chain, data: TextData, *, names: Sequence[str], minutes: float, weights: str | None = None,
    where: str = "pipeline", folder: Path | None = None,
) -> Regimes:  # fmt: skip
    """Return the regimes of a chain over `data`, whose test is left out of it.

    `weights` are those of the encoder where the chain begins with word vectors. `folder` is that of the pipeline file, to which
    its paths are relative. The chain as it is written joins them, unless it is one of them.
    """
    maker = _Maker(chain, data, minutes=minutes, weights=weights, where=where, folder=folder)
    found, left_out = [], {}
    for key in names:
        try:
            found.append(maker.regime(key))
        except _LeftOut as why:
            left_out[TITLES[key]] = str(why)
        except (ConfigError, DataError) as error:
            left_out[TITLES[key]] = error.faults[0].removeprefix(f"{where}: ")
    written = [stage.model_dump(mode="json") for stage in chain.stages]
    if not any(_is(regime, written) for regime in found):
        arm = Arm(AS_WRITTEN, chain, ArmData(data, {}, data))
        found.insert(0, Regime("", arm, (), maker.texts_as_written()))
    return Regimes(tuple(found), left_out)


def flow_style(value: Any) -> str:
    """Return a value as YAML in one line, plain where it can be."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow_style(key)}: {flow_style(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow_style, value)) + "]"
    if isinstance(value, str) and _WORD.fullmatch(value) and value.lower() not in _WORDS_OF_YAML:
        return value
    return json.dumps(value, ensure_ascii=False)


class _LeftOut(Exception):
    """A regime makes no sense here; the message says why."""


class _Maker:
    """Regimes of one chain."""

    def __init__(
        self, chain: Chain, data: TextData, *, minutes: float, weights: str | None, where: str, folder: Path | None
    ) -> None:
        self._chain, self._data, self._minutes, self._where, self._folder = chain, data, minutes, where, folder
        self._labelled, self._pile = len(data.labelled or ()), len(data.unlabelled or ())
        raw = chain.model_dump(mode="json", exclude_unset=True)["stages"]
        self._first, self._last = dict(raw[0]), dict(raw[-1])
        self._update = dict(self._last.get("update") or {"method": "head"})
        self._weights = weights
        self._is_bert = self._first["stage"] == "bert" and "scratch" not in self._first

    def regime(self, key: str) -> Regime:
        """Return the regime of a key. Raises `_LeftOut`, or ConfigError or DataError, where it does not fit."""
        if key == "most_frequent":
            arm = Arm(TITLES[key], self._chain, ArmData(self._data, {}, self._data), learns="shares")
            return Regime(key, arm, None, 0.0)
        if key == "names":
            return self._by_names()
        changes = self._changes(key)
        chain = changed_chain(self._chain, changes, f"{self._where}: {key}", folder=self._folder)
        self._check(chain, self._data)
        arm = Arm(TITLES[key], chain, ArmData(self._data, {}, self._data))
        return Regime(key, arm, self._assignments(changes), self._texts_read(key))

    def texts_as_written(self) -> float:
        """Return about how many texts the chain as it is written reads."""
        method = str(self._update["method"])
        return (
            self._texts_read({"head": "frozen", "self_training": "pile"}.get(method, method)) if self._is_bert else 0.0
        )

    def _check(self, chain: Chain, data: TextData) -> None:
        faults = Faults()
        for number, stage in enumerate(chain.stages):
            with faults.kept():
                stage.check(where=f"{self._where}: stages.{number}")
        chain.check_data(data, where=self._where, faults=faults)
        faults.check()

    def _by_names(self) -> Regime:
        labels = self._data.label_set.names
        given = self._data.label_names
        if not len(label_sentences(labels, given)):
            raise _LeftOut("a label has no meaning in words; write label_names")
        pairs = [(label, (given.get(label) if given else None) or spoken(label) or label) for label in labels]
        data = TextData(label_names=LabelNames(tuple(sorted(pairs))))
        chain = changed_chain(self._chain, self._on_encoder(HEAD), f"{self._where}: names", folder=self._folder)
        self._check(chain, data)
        absent = [
            f"data.{name}=null" for name in ("shots", "validation") if getattr(self._chain.data, name) is not None
        ]
        names = f"data.label_names={flow_style(dict(pairs))}"
        assignments = ("data.labelled=null", *absent, names, *self._assignments(self._on_encoder(HEAD)))
        arm = Arm(TITLES["names"], chain, ArmData(data, {}, data))
        held_out = self._chain.data.hold_out is not None
        return Regime("names", arm, None if held_out else assignments, float(self._labelled))

    def _changes(self, key: str) -> dict[str, Any]:
        """Return the settings that make a regime of the chain."""
        if key in ("continued", "pile") and not self._pile:
            raise _LeftOut("there is no pile; give data.unlabelled")
        if key == "words":
            return {"stages": [{"stage": "ngrams"}, *_head(), _finetune({"method": "words"})]}
        if key in ("scratch", "word_vectors"):
            return self._over_words(key)
        if key == "continued":
            training = self._first.get("continue")
            update = HEAD if training is None else self._update
            return self._on_encoder(update, training=training or {"objective": "auto"})
        return self._on_encoder(self._update_of(key), layers=key not in ("pile", "auto"))

    def _update_of(self, key: str) -> Settings:
        """Return how a regime fine-tunes."""
        minutes = max(0.2, round(MAX_AUTO_SHARE * self._minutes, 1))
        method = {"frozen": "head", "pile": "self_training"}.get(key, key)
        settings: dict[str, Settings] = {"frozen": {"solver": "auto"}, "auto": {"minutes": minutes}}
        return self._own(method, **settings.get(key, {}))

    def _own(self, method: str, **settings: Any) -> Settings:
        """Return a method with the settings of the pipeline, if it uses it, else with defaults and `settings`."""
        return self._update if self._update["method"] == method else {"method": method, **settings}

    def _over_words(self, key: str) -> dict[str, Any]:
        """Return changes that put word vectors in the place of the encoder: those of the pile, or random ones that learn."""
        own = self._first["stage"] == "skipgram"
        first = self._first if own else {"stage": "skipgram", "dim": 100, "window": 40, "learning_rate": 0.05}
        if key == "scratch":
            if "vectors" in first:
                raise _LeftOut("the word vectors are read from a file; there is nothing to begin anew")
            update = {"method": "full"}
            first = {**first, "epochs": 0, "min_count": 1}
        else:
            update = HEAD
            first = first if own else {**first, "min_count": 2}
        pooling = {"stage": "sentence_vectors", "pooling": "tfidf", "normalize": True}
        return {"stages": [first, pooling, *_head(), _finetune(update)]}

    def _on_encoder(self, update: Settings, *, training: Settings | None = None, layers: bool = True) -> dict[str, Any]:
        """Return changes that fine-tune the encoder by `update`; `layers` says that word vectors do not do."""
        found: dict[str, Any] = {}
        if not self._is_bert:
            if self._weights is None:
                if layers:
                    raise _LeftOut("the pipeline has no pretrained encoder; give one, such as --weights minilm")
                return {f"stages.{len(self._chain.stages) - 1}.update": dict(update)}
            first = {"stage": "bert", "weights": self._weights, **({"continue": training} if training else {})}
            return {"stages": [first, *_head(), _finetune(update)]}
        if training is not None:
            found["stages.0.continue"] = dict(training)
        elif self._first.get("continue") is not None:
            found["stages.0.continue"] = None
        if dict(update) != self._update:
            found[f"stages.{len(self._chain.stages) - 1}.update"] = dict(update)
        return found

    def _assignments(self, changes: Settings) -> tuple[str, ...]:
        """Return changes as `nlptl run --set` takes them."""
        found = []
        for path, value in changes.items():
            # Only where the pipeline says the method alone: other settings of its update would stay.
            short = path.endswith(".update") and value.keys() == {"method"} == self._last.get("update", {}).keys()
            found.append(f"{path}.method={value['method']}" if short else f"{path}={flow_style(value)}")
        return tuple(found)

    def _texts_read(self, key: str) -> float:
        """Return about how many texts the encoder of a regime reads in one training; a backward pass counts twice."""
        if (key in ("auto", "pile") and not self._is_bert) or key in ("words", "scratch", "word_vectors"):
            return 0.0  # over word vectors these fit a head
        if key == "continued":
            least, most = CONTINUED_TEXTS
            return BACKWARD * min(most, max(least, CONTINUED_PASSES * self._pile))
        if key in ("contrastive", "auto", "pile"):
            pile = min(self._pile, SELF_TRAINING_TEXTS) if key != "contrastive" else 0
            return self._labelled * passes_of("contrastive", self._labelled, len(self._data.label_set)) + pile
        return self._labelled * PASSES_OF_STEPS.get(key, 1.0)


def _head() -> list[dict[str, Any]]:
    return [{"stage": "classification_head"}]


def _finetune(update: Settings) -> dict[str, Any]:
    return {"stage": "finetune", "update": dict(update)}


def _is(regime: Regime, written: list[dict[str, Any]]) -> bool:
    """Return whether a regime trains the stages as they are written."""
    return regime.key != "names" and [stage.model_dump(mode="json") for stage in regime.arm.stages] == written
