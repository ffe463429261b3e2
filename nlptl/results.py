"""Results as JSON that holds its own digest: scores, reports, and the lines of studies."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from nlptl.artifact import DIGEST, is_whole, sealed, unsealed
from nlptl.config import MAX_JSON, Config, load_json
from nlptl.disk.drafts import write_text_atomically
from nlptl.disk.refusals import told_as_read_error
from nlptl.errors import ArtifactError, ConfigError

C = TypeVar("C", bound=Config)


def write_result(path: Path, content: Mapping[str, object]) -> None:
    """Write results as JSON with a digest of their own, whole or not at all."""
    write_text_atomically(path, json.dumps(sealed(content), indent=2, ensure_ascii=False) + "\n")


AGAIN = "Run the pipeline again."


def read_result(path: Path, *, sealed_only: bool = False, again: str = AGAIN) -> dict[str, Any] | None:
    """Read what `write_result` wrote; None if there is no file. Raises ArtifactError when it is damaged or was changed.

    Files of early versions hold no digest. With `sealed_only` they are refused: a run keeps only what it can compare. `again`
    says how the file is made again.
    """
    if not path.exists():
        return None
    try:
        with told_as_read_error(path):
            content = {**load_json(path, most=MAX_JSON)}
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        raise ArtifactError(f"{path}: is no whole JSON file; it is damaged. {again}") from None
    if sealed_only and (remark := seal_remark(path, content)):
        raise ArtifactError(remark)
    if not is_whole(content):
        raise ArtifactError(f"{path}: differs from the digest that it holds; it was changed. {again}")
    return unsealed(content)


def seal_remark(path: Path, content: Mapping[str, Any] | None = None) -> str:
    """Return what a person should know of a JSON file without a digest of its own; empty if it has one."""
    if content is None:
        content = load_json(path, most=MAX_JSON)
    if isinstance(content.get(DIGEST), str) and content[DIGEST]:
        return ""
    return f"{path}: holds no digest of its own, so a change would not be noticed. Run the pipeline again."


def result_line(content: Mapping[str, object]) -> str:
    """Return results as one line of JSON with its own digest, without the line's end."""
    return json.dumps(sealed(content), ensure_ascii=False)


def read_result_line(line: str) -> dict[str, Any] | None:
    """Read a line of `result_line`. None if it is damaged, was changed, or has no digest that would show a change."""
    try:
        content = {**json.loads(line)}
    except (ValueError, TypeError, RecursionError):
        return None
    return unsealed(content) if content.get(DIGEST) and is_whole(content) else None


def read_result_lines(path: Path, model: type[C]) -> tuple[list[C], int]:
    """Return the whole lines of a file, each a `model`, and the number of those that were cut off, changed or are of others."""
    # Not splitlines: a name may hold U+2028, U+0085 and other characters at which that would cut a line in two.
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    lines = [line for line in text.split("\n") if line]
    rows = list[C]()
    for line in lines:
        with contextlib.suppress(ConfigError):
            rows.append(model.model_validate(read_result_line(line)))
    return rows, len(lines) - len(rows)


def result_lines(rows: Iterable[Config]) -> str:
    """Return rows as lines of JSON, each with its own digest and its end."""
    return "".join(result_line(row.model_dump(mode="json", exclude_none=True)) + "\n" for row in rows)
