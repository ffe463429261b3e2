"""Put the source of the site together under docs/_build/source: pages, executed tutorials, and what they link to.

    python docs/site_source.py

The pages of docs/ are written for GitHub, where a link may lead to any file of the checkout. A site has no such files.
So each linked file outside docs/ becomes a page below project/: Markdown as it is, a folder as a list of its files, any
other file as its text with a download. The lists of docs/index.md become the site's contents.
"""

from __future__ import annotations

import itertools
import json
import operator
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
SOURCE = DOCS / "_build" / "source"
FENCE = re.compile(r"^\s*(`{3,}|~{3,})")
LINK = re.compile(r"(!?)\[((?:[^\[\]\n]|\n(?!\s*\n)|\[[^\]\n]*\])*)\]\(([^)\s]+)\)")
SECTION = re.compile(r"^## (.+)$", flags=re.MULTILINE)
ITEM = re.compile(r"^- \[[^\]]+\]\(([^)\s#]+)\)", flags=re.MULTILINE)
PICTURES = (".png", ".svg", ".jpg")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".toml": "toml", ".sh": "bash"}
MAX_SHOWN = 40_000
"""Bytes of a file that is shown whole; of a larger one the first lines are shown."""
FIRST_LINES = 40
ORPHAN = "---\norphan: true\n---\n\n"
UNSEARCHED = "---\norphan: true\nnosearch: true\n---\n\n"


@dataclass(frozen=True)
class Page:
    """Page of the site, and the file or folder of the checkout that it shows."""

    origin: Path

    @property
    def place(self) -> Path:
        """Path below the site's source."""
        inside = self.origin.relative_to(DOCS) if self.origin.is_relative_to(DOCS) else None
        if inside is not None and inside.suffix == ".md":
            return inside.with_suffix(".ipynb") if inside.parts[0] == "tutorials" else inside
        place = Path("project") / self.origin.relative_to(ROOT)
        if self.origin.is_dir():
            return place / "index.md"
        return place if self.origin.suffix == ".md" else place.with_name(f"{place.name}.md")


def main() -> int:
    import notebooks

    stage(SOURCE, executed=notebooks.execute)
    return 0


def stage(source: Path, *, executed: Callable[[Path], Path]) -> None:
    """Write the source of the site. `executed` returns the executed notebook of a tutorial."""
    shutil.rmtree(source, ignore_errors=True)
    waiting = [Page(path) for path in pages()]
    written: set[Path] = set()
    while waiting:
        page = waiting.pop()
        if page.place in written:
            continue
        written.add(page.place)
        target = source / page.place
        target.parent.mkdir(parents=True, exist_ok=True)
        text = text_of(page, executed=executed)
        links = Links(page)
        turned = links.turned_cells(text) if page.place.suffix == ".ipynb" else links.turned(text)
        target.write_text(turned, encoding="utf-8")
        waiting += links.found
        for picture in links.pictures:
            copy(picture, source / place_of_picture(picture))
        if page.origin.is_file() and page.origin.suffix != ".md":
            copy(page.origin, target.with_name(page.origin.name))


def pages() -> list[Path]:
    """Return the pages of docs/, tutorials included, in order of their paths."""
    return [path for path in sorted(DOCS.rglob("*.md")) if "_build" not in path.relative_to(DOCS).parts]


def text_of(page: Page, *, executed: Callable[[Path], Path]) -> str:
    """Return the text of a page, or the JSON of an executed notebook."""
    if page.place.suffix == ".ipynb":
        return executed(page.origin).read_text(encoding="utf-8")
    if page.origin.is_dir():
        return folder_page(page.origin)
    if page.origin.suffix != ".md":
        return file_page(page.origin)
    text = page.origin.read_text(encoding="utf-8")
    if page.origin == DOCS / "index.md":
        return text + contents(text)
    return text if page.origin.is_relative_to(DOCS) else ORPHAN + text


def contents(index: str) -> str:
    """Return a table of contents for each section of the index that lists pages."""
    _, *parts = SECTION.split(index)
    sections = zip(parts[::2], parts[1::2], strict=True)
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(listed) + "\n```\n"
        for title, text in sections
        if (listed := [place_in_contents(target) for target in ITEM.findall(text)])
    )


def place_in_contents(target: str) -> str:
    file = file_of(target, Page(DOCS / "index.md"))
    if file is None:
        raise SystemExit(f"docs/index.md: {target} is not there.")
    return Page(file).place.as_posix()


def folder_page(folder: Path) -> str:
    """Return a page that lists a folder, and its README where it has one."""
    shown = folder.relative_to(ROOT).as_posix()
    inside = [path for path in sorted(folder.iterdir()) if path.name[0] not in "._" and path.name != "__pycache__"]
    items = [f"- [{path.name}{'/' if path.is_dir() else ''}]({path.name})" for path in inside]
    return f"{ORPHAN}# {shown}/\n\n" + "\n".join(items) + "\n"


def file_page(file: Path) -> str:
    """Return a page that shows a file and lets a reader download it."""
    head = f"# {file.relative_to(ROOT).as_posix()}\n\n"
    download = f"[Download this file]({file.name})\n\n"
    front = ORPHAN if file.suffix in (".yaml", ".txt", ".csv") else UNSEARCHED
    if file.suffix in PICTURES:
        return f"{UNSEARCHED}{head}{download}![{file.name}]({file.name})\n"
    if not is_text(file):
        return f"{UNSEARCHED}{head}{download}"
    large = file.stat().st_size > MAX_SHOWN
    note = f"Its first {FIRST_LINES} lines:\n\n" if large else ""
    options = f":language: {LANGUAGES.get(file.suffix, 'text')}\n" + (f":lines: -{FIRST_LINES}\n" if large else "")
    return f"{front}{head}{download}{note}```{{literalinclude}} {file.name}\n{options}```\n"


def is_text(file: Path) -> bool:
    try:
        file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True


@dataclass
class Links:
    """Links of one page: they are turned to the site's pages, and what they lead to is kept."""

    page: Page
    found: list[Page] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)

    def turned(self, text: str) -> str:
        """Return a text of Markdown whose links lead to the site's pages; code stays as it is."""
        parts = itertools.groupby(marked_lines(text), key=operator.itemgetter(0))
        joined = ((is_code, "".join(line for _, line in lines)) for is_code, lines in parts)
        return "".join(part if is_code else LINK.sub(self._turned, part) for is_code, part in joined)

    def turned_cells(self, notebook: str) -> str:
        """Return a notebook whose cells of Markdown are turned."""
        content = json.loads(notebook)
        for cell in content["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = self.turned("".join(cell["source"]))
        return json.dumps(content, ensure_ascii=False)

    def _turned(self, match: re.Match[str]) -> str:
        mark, words, target = match.groups()
        file = file_of(target, self.page)
        if file is None or file == self.page.origin:
            return match[0]
        if mark:
            self.pictures.append(file)
            place = place_of_picture(file)
        else:
            self.found.append(Page(file))
            place = Page(file).place
        return f"{mark}[{self.turned(words)}]({relative(place, self.page)}{anchor_of(target)})"


def marked_lines(text: str) -> Iterator[tuple[bool, str]]:
    """Yield each line of a text of Markdown, and whether it belongs to a block of code."""
    fence = ""
    for line in text.splitlines(keepends=True):
        mark = FENCE.match(line)
        yield bool(fence or mark), line
        if mark and not fence:
            fence = mark[1]
        elif mark and line.strip() == fence:
            fence = ""


def file_of(target: str, page: Page) -> Path | None:
    """Return the file or folder of the checkout to which a link leads; None for the web and for what is not there."""
    path = target.partition("#")[0]
    if not path or re.match(r"[a-z]+:", path):
        return None
    folder = page.origin if page.origin.is_dir() else page.origin.parent
    file = Path(os.path.normpath(folder / path))
    return file if file.exists() and file.is_relative_to(ROOT) else None


def anchor_of(target: str) -> str:
    _, mark, anchor = target.partition("#")
    return mark + anchor


def relative(place: Path, page: Page) -> str:
    return Path(os.path.relpath(place, page.place.parent)).as_posix()


def place_of_picture(file: Path) -> Path:
    return file.relative_to(DOCS) if file.is_relative_to(DOCS) else Path("project") / file.relative_to(ROOT)


def copy(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)


if __name__ == "__main__":
    sys.exit(main())
