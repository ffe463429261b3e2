"""Settings of the site, which Sphinx builds from docs/_build/source; docs/site_source.py writes that."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))

from docstrings import as_restructured
from mathml import displayed_formula, inline_formula
from search_words import EnglishAndJapanese

from nlptl import __version__

project = "nlptl"
author = "The nlptl authors"
copyright = "the nlptl authors"
release = __version__
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc"]
root_doc = "index"
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]
highlight_language = "none"
suppress_warnings = ["myst.header"]  # steps of the worked examples are headings of level 4

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90
add_module_names = False

html_theme = "furo"
html_math_renderer = "mathml"
html_title = "nlptl"
html_static_path = [str(Path(__file__).parent / "site")]
html_css_files = ["site.css"]
html_search_language = "en_ja"
html_show_search_summary = False
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
JAPANESE = re.compile(r"[\u3040-\u30ff]")


def docstring_as_restructured(app: Sphinx, kind: str, name: str, thing: object, options: Any, lines: list[str]) -> None:
    lines[:] = as_restructured(lines)


def language_of_page(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Name the language of a page written in Japanese, so that a browser takes its fonts and its voice."""
    if JAPANESE.search(context.get("title", "")):
        context["language"] = "ja"


def setup(app: Sphinx) -> None:
    app.add_search_language(EnglishAndJapanese)
    app.add_html_math_renderer("mathml", (inline_formula, None), (displayed_formula, None))
    app.connect("autodoc-process-docstring", docstring_as_restructured)
    app.connect("html-page-context", language_of_page)
