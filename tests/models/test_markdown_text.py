"""Any text in a line of markdown: shown as it is."""

from __future__ import annotations

import html

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from nlptl.models.markdown_text import in_line

HOSTILE = [
    "a|b", "`code`", "<script>alert(1)</script>", "[x](http://evil)", "**bold** _it_", "a\\|b", "&amp;", "# no heading", "~~no~~",
    "yes: no", "- item", "--- ",
    "🐈 🧑‍🚀 e\u0301", "猫|犬", "$x$", "|", "\\", "@someone", "![i](j)", "<!-- c -->", "a*b*c", "1. one",
]  # fmt: skip


def cell(text: str) -> tuple[int, str]:
    """Return the number of cells of a table's row with this cell and another one, and what the first shows."""
    tokens = MarkdownIt("commonmark").enable("table").parse(f"| a | b |\n| --- | --- |\n| {in_line(text)} | end |\n")
    body = tokens[[token.type for token in tokens].index("tbody_open") :]
    cells = [token for token in body if token.type == "inline"]
    assert {child.type for child in cells[0].children or ()} <= {"text", "text_special"}, "markup"
    return len(cells), "".join(child.content for child in cells[0].children or ())


@pytest.mark.parametrize("text", HOSTILE)
def test_a_label_is_shown_as_it_is(text: str) -> None:
    assert cell(text) == (2, text.strip())


@given(st.text(st.characters(exclude_categories=("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs")), min_size=1))
@settings(max_examples=100, deadline=None)
def test_any_text_is_shown_as_it_is(text: str) -> None:
    assert cell(text) == (2, text)


def test_what_cannot_be_seen_is_shown_by_its_number() -> None:
    assert cell("two\nlines\x1b[31m \u202egnp.exe") == (2, "two\\u000alines\\u001b[31m \\u202egnp.exe")
    assert html.unescape(in_line("a  b")).replace("\xa0", " ") == "a  b"
