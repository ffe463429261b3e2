"""The usual language of texts, and which of them are in another one."""

from __future__ import annotations

import pytest

from nlptl.evaluation.text_looks import CODES, clear_languages, languages_of, usual_language
from tests.data.test_languages import SENTENCES

SHORT = "Which city is the capital of Peru?"  # in no language for sure


@pytest.mark.parametrize(
    ("texts", "usual", "told"),
    [
        ([SHORT, SHORT, "Привет", SENTENCES["en"]], "en", ["", "", "Cyrillic script", "en"]),
        ([SHORT, SHORT, SENTENCES["zh"]], "", ["", "", "zh"]),  # one clear text of another script is not the usual one
        (["東京都", SENTENCES["ja"], "大阪"], "ja", ["", "ja", ""]),
        (["Привет", "Пока", SHORT], "", ["", "", "Latin script"]),
        (["ᠮᠣᠩᠭᠣᠯ", SHORT, SHORT], "", ["another script", "", ""]),
        (["12", "!"], "", ["", ""]),
    ],
)
def test_texts_of_another_script_stand_out(texts: list[str], usual: str, told: list[str]) -> None:
    found = languages_of(texts, after_texts=lambda count: None)
    assert CODES[usual_language(found)] == usual
    assert [CODES[place] for place in clear_languages(found).tolist()] == told
