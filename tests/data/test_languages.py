"""Guess of a language by script and common words."""

from __future__ import annotations

import pytest

from nlptl.data.languages import Language, guess_language, sure_language

SENTENCES = {
    "en": "The parcel arrived late and the box was broken, so I want my money back.",
    "de": "Die Lieferung kam zu spät und die Verpackung war beschädigt. Ich möchte mein Geld zurück.",
    "fr": "Bonjour, je n'ai pas reçu ma commande et personne ne répond depuis une semaine.",
    "es": "El pedido llegó tarde y la caja estaba rota, no lo recomiendo para nada.",
    "it": "Il prodotto è arrivato in ritardo e la confezione era danneggiata, non sono contento.",
    "nl": "Het pakket is te laat aangekomen en de doos was kapot, ik wil mijn geld terug.",
    "pt": "O pacote chegou atrasado e a caixa estava quebrada, eu não recomendo para ninguém.",
    "sv": "Paketet kom för sent och lådan var trasig, jag är inte nöjd med det.",
    "pl": "Paczka przyszła za późno i pudełko było uszkodzone, nie jestem z tego zadowolony.",
    "ru": "Посылка пришла поздно и коробка была сломана, я очень недоволен этим.",
    "ja": "荷物が遅れて届き、箱が壊れていました。返金してください。",
    "zh": "包裹到得太晚了，盒子坏了，我想要退款，非常不满意这次的服务质量。",
    "ko": "배송이 너무 늦게 왔고 상자가 부서져 있었어요. 환불을 원합니다.",
    "el": "Το δέμα έφτασε αργά και το κουτί ήταν σπασμένο.",
}


@pytest.mark.parametrize("code", SENTENCES)
def test_languages_of_a_sentence(code: str) -> None:
    found = guess_language([SENTENCES[code]])
    assert found is not None
    assert found.code == code


def test_a_script_is_told_where_no_language_is_clear() -> None:
    found = guess_language(["SKU4711 Akku Netzteil USB Kabel HDMI Adapter"])
    assert found == Language("LATIN", None)
    assert found.name == "Latin script"


def test_nothing_is_guessed_from_a_few_letters() -> None:
    assert guess_language(["12", "ok", "🎉"]) is None


def test_most_texts_decide() -> None:
    found = guess_language([SENTENCES["en"]] + [SENTENCES["de"]] * 4)
    assert found is not None
    assert found.name == "German"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Привет", Language("CYRILLIC", None)),
        ("你好", Language("CJK", None)),
        ("東京へ行く", Language("HIRAGANA", "ja")),
        ("とても丁寧な作りで大満足。", Language("HIRAGANA", "ja")),
        ("ｶﾒﾗ購入", Language("HIRAGANA", "ja")),
        ("ＤＶＤを買った", Language("HIRAGANA", "ja")),
        ("Switchのゲームを買いました、楽しい", Language("HIRAGANA", "ja")),
        ("감사", Language("HANGUL", "ko")),
        (SENTENCES["zh"], Language("CJK", "zh")),
        (SENTENCES["de"], Language("LATIN", "de")),
        ("Which city is the capital?", Language("LATIN", None)),
        ("iPhone 14", None),
        ("the sign π", None),
        ("π = 3.14", None),
    ],
)
def test_a_foreign_script_is_sure_whatever_the_length(text: str, found: Language | None) -> None:
    assert sure_language(text) == found
