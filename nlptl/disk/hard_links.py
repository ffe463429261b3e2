"""Equal files of a run held once on disk, as hard links, which every tool reads, moves and copies as ordinary files.

A write in place through one link would change all of them. nlptl replaces files of a published folder whole, and changes no
mode of a file that has several links.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

MIN_BYTES = 1 << 16  # of a file that is worth a link


def share(file: Path, digest: str, others: Mapping[str, Path], *, digest_of: Callable[[Path], str]) -> bool:
    """Replace `file` by a link to the file of equal content among `others`, which are named by their stated digests.

    Returns whether it did. The other file's content is read, since it may have changed after its digest was written. The
    file stays as it is where the other one is another user's, and where the file system has no links, or no more of them.
    """
    other = others.get(digest)
    if other is None or file.stat().st_size < MIN_BYTES:
        return False
    link = file.with_name(f".{file.name}.link")
    with contextlib.suppress(OSError):
        os.link(other, link, follow_symlinks=False)
        try:
            if link.lstat().st_uid != os.geteuid():
                return False
            if link.is_symlink() or link.stat().st_size != file.stat().st_size or digest_of(link) != digest:
                return False
            os.replace(link, file)
        finally:
            link.unlink(missing_ok=True)
        return True
    return False
