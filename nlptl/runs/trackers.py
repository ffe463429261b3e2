"""TensorBoard, MLflow and Weights & Biases, to which a run logs settings and numbers."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from nlptl.config import did_you_mean
from nlptl.errors import ConfigError, first_line
from nlptl.runs.folder import TRACKING

# Trackers by name; each needs one of its packages.
PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX"), "mlflow": ("mlflow",), "wandb": ("wandb",)}
_NO_NAME = re.compile(r"[^\w./ -]")  # MLflow takes no other characters


class NamedTrackers:
    """Trackers chosen by name, driven through Accelerate. Their files stand in the run's folder by default.

    MLFLOW_TRACKING_URI and the environment variables of wandb are honoured.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Raise ConfigError for an unknown name or a missing package."""
        for name in names:
            _check(name)
        self.names = tuple(dict.fromkeys(names))
        self._open: dict[str, Any] = {}
        self._rows: Counter[str] = Counter()

    def start(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Open every tracker; ConfigError for one that cannot start."""
        place, project = folder.absolute() / TRACKING, folder.absolute().name
        run = f"{project}-{datetime.now():%Y%m%d-%H%M%S}"
        plain = {
            path: value if isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False)
            for path, value in _leaves(settings, ".")
        }
        for name in self.names:
            try:
                place.mkdir(parents=True, exist_ok=True)
                tracker = _opened(name, place, project, run)
                tracker.start()
                self._open[name] = tracker
                tracker.store_init_configuration(plain)
            except Exception as error:  # whatever a tracker raises when its server or account is not there
                raise ConfigError(
                    f"--tracker: found {name}, which cannot begin ({first_line(error)}); expected one that is set up. "
                    "Follow its own instructions, or drop it."
                ) from error

    def log(self, group: str, values: Mapping[str, object], step: int | None = None) -> None:
        """Log the numbers among `values` as GROUP/NAME."""
        if step is None:
            self._rows[group] += 1
            step = self._rows[group]
        group = _NO_NAME.sub("_", group)
        numbers = {
            f"{group}/{_NO_NAME.sub('_', path)}": value for path, value in _leaves(values, "/")
            if isinstance(value, int | float) and not isinstance(value, bool)
        }  # fmt: skip
        if numbers:
            self._tell(lambda name, tracker: _log(name, tracker, group, numbers, step))

    def finish(self) -> None:
        """Close every tracker."""
        self._tell(lambda name, tracker: tracker.finish())
        self._open.clear()

    def _tell(self, say: Callable[[str, Any], None]) -> None:
        for name, tracker in list(self._open.items()):
            try:
                say(name, tracker)
            except Exception as error:  # a full disk or a lost network must not end the training that is tracked
                del self._open[name]
                warnings.warn(
                    f"{name} stopped tracking ({first_line(error)}); the run goes on without it.", stacklevel=2
                )


def _log(name: str, tracker: Any, group: str, numbers: Mapping[str, float], step: int) -> None:
    if name != "wandb":
        tracker.log(numbers, step=step)
    else:  # whose own steps count over the whole run
        tracker.tracker.define_metric(f"{group}/*", step_metric=f"{group}/step")
        tracker.log({**numbers, f"{group}/step": step})


def flat_scores(scores: Mapping[str, Any]) -> dict[str, object]:
    """Return an evaluation's figures by name, those of a label under its name.

    A figure with an interval becomes NAME, NAME_low and NAME_high.
    """
    found: dict[str, object] = {}
    for name, value in scores.items():
        if isinstance(value, Mapping) and {"value", "low", "high"} <= set(value):
            found.update({name: value["value"], f"{name}_low": value["low"], f"{name}_high": value["high"]})
        elif name == "per_label":
            found.update({str(item["label"]): flat_scores(item) for item in value})
        elif not isinstance(value, Mapping):
            found[name] = value
    return found


def _check(name: str) -> None:
    if name not in PACKAGES:
        raise ConfigError(
            f"--tracker: found {name!r}; expected one of {', '.join(PACKAGES)}.{did_you_mean(name, PACKAGES)}"
        )
    if not any(_is_installed(package) for package in PACKAGES[name]):
        raise ConfigError(
            f"--tracker: found {name}, whose package is not installed; expected it here. "
            f"Run pip install {PACKAGES[name][0]}."
        )


def _is_installed(package: str) -> bool:
    found = importlib.util.find_spec(package)
    return found is not None and found.origin is not None  # a mere folder, such as wandb's own ./wandb, has none


def _opened(tracker: str, place: Path, project: str, name: str) -> Any:
    """Return a tracker of Accelerate."""
    from accelerate import tracking

    if tracker == "tensorboard":
        return tracking.TensorBoardTracker(name, str(place / "tensorboard"))
    if tracker == "wandb":
        return tracking.WandBTracker(project, name=name, **({} if "WANDB_DIR" in os.environ else {"dir": str(place)}))
    import mlflow  # type: ignore[import-not-found, unused-ignore]

    if "MLFLOW_TRACKING_URI" in os.environ:
        return tracking.MLflowTracker(project, run_name=name)
    mlflow.set_tracking_uri(f"sqlite:///{place / 'mlflow.db'}")  # its plain files are no longer taken since MLflow 3
    return tracking.MLflowTracker(project, run_name=name, logging_dir=(place / "mlflow").as_uri())


def _leaves(value: object, separator: str, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping):
        yield path, value
        return
    for key, item in value.items():
        yield from _leaves(item, separator, f"{path}{separator}{key}" if path else str(key))
