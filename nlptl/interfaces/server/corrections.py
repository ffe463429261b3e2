"""Corrected labels, collected as lines of JSON that `labelled:` reads and the next training learns from."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlptl.disk.refusals import told_as_storage_error
from nlptl.interfaces.server.prediction_request import check_texts, json_object, kind_of, quoted, wrong_field
from nlptl.interfaces.server.refusal import RequestRefused
from nlptl.interfaces.server.server_settings import ServerSettings

MAX_BYTES = 1_000_000_000  # of the file, so that nobody fills the disk
FIELDS = ("model", "text", "label", "predicted")
_TAIL = 1 << 20  # bytes in which the last line begins; a text has fewer

Label = str | list[str] | None


@dataclass(frozen=True)
class LabelSet:
    """Labels that a model gives, and which version of it gives them now."""

    labels: Sequence[str]
    multi_label: bool
    version: str


@dataclass(frozen=True)
class Correction:
    """Right label of a text, beside the one that was predicted."""

    text: str
    label: Label  # a list where a text may have several labels
    predicted: Label
    model: str
    version: str

    @classmethod
    def parse(cls, body: bytes, settings: ServerSettings, models: Mapping[str, LabelSet]) -> Correction:
        """Read the body of a request. Raises RequestRefused for wrong fields, unknown models and unknown labels."""
        given = json_object(body)
        for name in given:
            if name not in FIELDS:
                raise wrong_field(f"{quoted(name)}: is no field of a correction. The fields are {', '.join(FIELDS)}.")
        text = given.get("text")
        if not isinstance(text, str) or not text.strip():
            raise wrong_field("text: found no text; expected one that is not empty. Give the text.")
        check_texts([text], settings, where="text")
        name = _model_name(given.get("model"), models)
        of = models[name]
        return cls(text, _label(given, "label", of), _label(given, "predicted", of), name, of.version)

    def line(self) -> bytes:
        """Return the line of the file."""
        content = {
            "text": self.text, "label": self.label, "predicted": self.predicted, "model": self.model, "version": self.version,
        }  # fmt: skip
        return (json.dumps(content, ensure_ascii=False) + "\n").encode()


def append_correction(path: Path, correction: Correction) -> None:
    """Append a line, and return when the disk has it. Processes take turns; what a kill left of a line is removed.

    Raises RequestRefused for a file that is full, StorageError when the disk refuses.
    """
    line = correction.line()
    with told_as_storage_error(path), _locked(path) as handle:
        end = _whole_end(handle)
        if end + len(line) > MAX_BYTES:
            raise RequestRefused(
                507, "corrections_full", f"The file of corrections has {MAX_BYTES:,} bytes. Move it away, then send this again."
            )  # fmt: skip
        os.lseek(handle, end, os.SEEK_SET)
        try:
            _write_whole(handle, line)
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, end)  # part of a line would stop whoever reads the file
            raise


def check_is_json(content_type: str) -> None:
    """Raise RequestRefused for another kind of content. A page of another site cannot send this one unasked."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise RequestRefused(
            415, "not_json", "Expected a body of application/json. Send the header Content-Type: application/json."
        )  # fmt: skip


def told_of(path: Path, correction: Correction) -> dict[str, str]:
    """Return what the client is told: where the correction is, and what picks it up."""
    return {
        "file": path.name,
        "message": f"Collected in {path.name}. `nlptl refresh RUN --labelled {path.name}` learns from it, where RUN is the folder "
        f"of {correction.model}.",
    }


def corrections_are_off() -> RequestRefused:
    """Return the answer of a server that collects no corrections."""
    return RequestRefused(
        404, "corrections_off", "This server collects no corrections. Start it with --corrections FILE.jsonl to let it."
    )


def _model_name(given: object, models: Mapping[str, LabelSet]) -> str:
    if given is None and len(models) == 1:
        return next(iter(models))
    if not isinstance(given, str) or given not in models:
        found = quoted(given) if isinstance(given, str) else kind_of(given)
        raise RequestRefused(
            404, "unknown_model", f"model: found {found}; the models are {', '.join(models)}. Name one."
        )
    return given


def _label(given: Mapping[str, Any], field: str, of: LabelSet) -> Label:
    """Return a label of the model, or a list of them where a text may have several. Only `predicted` may be null."""
    value = given.get(field)
    if field == "predicted" and value is None:
        return None
    labels = [value] if isinstance(value, str) else value
    if not isinstance(labels, list) or (isinstance(value, list) and not of.multi_label):
        expected = "an array of labels" if of.multi_label else "a label"
        raise wrong_field(f"{field}: found {kind_of(value)}; expected {expected}. Correct it.")
    for label in labels:
        if label not in of.labels:
            found = quoted(label) if isinstance(label, str) else kind_of(label)
            raise wrong_field(f"{field}: found {found}, which is no label of this model. Give one that /models lists.")
    return labels if of.multi_label else labels[0]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Open a file, made where there is none, and hold its lock, which ends with the process."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _whole_end(handle: int) -> int:
    """Return the place behind the last whole line. A line without its end gets one; part of a line, left by a kill, is cut."""
    size = os.fstat(handle).st_size
    tail = os.pread(handle, _TAIL, max(0, size - _TAIL))
    if not tail or tail.endswith(b"\n"):
        return size
    rest = tail[tail.rfind(b"\n") + 1 :]
    if _is_json(rest) or len(rest) == _TAIL:  # a person's own last line
        os.pwrite(handle, b"\n", size)
        return size + 1
    os.ftruncate(handle, size - len(rest))
    return size - len(rest)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _write_whole(handle: int, line: bytes) -> None:
    while line:
        line = line[os.write(handle, line) :]
