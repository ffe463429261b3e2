"""Words of the site's search: English words by their stems, Japanese by pairs of characters.

Japanese has no blanks between words. Pairs of neighbouring characters stand in the index, and the page splits what a
reader types in the same way; a page is found where it has all pairs.
"""

from __future__ import annotations

import re

from sphinx.search.en import SearchEnglish

JAPANESE = "\\u3005-\\u3007\\u3040-\\u30ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uff66-\\uff9f"
"""Hiragana, Katakana, Chinese characters, and narrow Katakana."""
RUN = re.compile(f"[{JAPANESE}]+|[^\\W{JAPANESE}]+")

SPLIT_QUERY = f"""
var splitQuery = (query) => {{
  const japanese = /^[{JAPANESE}]/u;
  const runs = query.match(/[{JAPANESE}]+|(?:(?![{JAPANESE}])[\\p{{Letter}}\\p{{Number}}_])+/gu) || [];
  const pairs = (run) => Array.from({{ length: run.length - 1 }}, (_, at) => run.slice(at, at + 2));
  return runs.flatMap((run) => (japanese.test(run) && run.length > 1 ? pairs(run) : [run]));
}};
"""
"""How the page splits what a reader types. Sphinx's script calls it by this name."""


class EnglishAndJapanese(SearchEnglish):
    """Search in English and Japanese. Its `language_name` stays English, since Sphinx names the stemmer of the page by it."""

    lang = "en_ja"
    js_splitter_code = SPLIT_QUERY

    def split(self, input: str) -> list[str]:
        """Return the words of a text: runs of letters, and pairs of Japanese characters."""
        return [word for run in RUN.findall(input) for word in words_of(run)]


def words_of(run: str) -> list[str]:
    """Return the words of a run of letters. A single Japanese character is a word too, so that it can be searched for."""
    if not re.match(f"[{JAPANESE}]", run):
        return [run]
    return [*run, *(run[at : at + 2] for at in range(len(run) - 1))]
