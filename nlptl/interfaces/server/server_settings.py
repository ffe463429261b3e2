"""ServerSettings: limits and choices of a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class ServerSettings:
    """Limits and choices of a server."""

    api_key: str | None = field(default=None, repr=False)
    """Key that every request must carry, but those of the page and of /health. None: no key is asked for."""
    max_body: int = 10_000_000
    """Bytes of a request's body. More lets larger files in, and takes more memory."""
    max_texts: int = 10_000
    """Texts of a request."""
    max_text_length: int = 100_000
    """Characters of a text."""
    queue: int = 20_000
    """Texts of a model that may wait. More keeps more clients waiting instead of refusing them."""
    timeout: float = 60.0
    """Seconds that a request's body may take to arrive, and then its answer to be computed."""
    corrections: Path | None = None
    """File to which corrected labels are appended, as JSON lines. None: corrections are refused."""
    max_file: int = 1_000_000_000
    """Bytes of a table that is labelled. It goes to the disk as it comes, and takes room in TMPDIR while it is there."""
    log_texts: bool = False
    """Whether texts and their labels are written to stderr."""
    poll: float = 2.0
    """Seconds between two looks at the runs' folders, for a new version."""
    hosts: frozenset[str] | None = None
    """Names by which requests may call the server, beside localhost and addresses. None: any name."""
