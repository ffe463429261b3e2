"""Names of columns that say what a column holds, in the languages that exports are written in."""

from __future__ import annotations

import re
from typing import Literal

NameHint = Literal["label", "perhaps label", "text", "title", "other", ""]

# Words of a name. Long ones are also found inside compounds, such as Fehlerbeschreibung.
_LABEL = """
label labels category categories cat class target intent sentiment topic emotion gold annotation polarity y
kategorie kategorien klasse etikett thema stimmung catégorie categorie étiquette etiquette classe categoría categoria
etiqueta clase sentimiento ラベル カテゴリ カテゴリー 分類 種別 感情 类别 标签 分类 레이블 카테고리 분류
"""
_PERHAPS_LABEL = "rating stars score type typ art tag tags note bewertung sterne 評価 星 タグ 评分"
_TEXT = """
text texts sentence sentences body content message msg review reviews comment comments description tweet utterance
question query document doc post feedback beschreibung nachricht inhalt kommentar satz meldung anfrage
texte contenu commentaire texto mensaje comentario descripción mensagem
本文 テキスト 内容 文 文章 コメント 質問 説明 レビュー 正文 文本 评论 본문 내용 텍스트
"""
_TITLE = """
title subject headline betreff titel überschrift objet titre asunto título 件名 題名 タイトル 标题 제목
"""
_OTHER = """
id ids nr no number nummer key uuid index row date datum time created updated year day month user username author name
agent assignee owner bearbeiter country land language lang sprache split source url link email phone
日付 番号 名前 担当者 担当 国 言語 作成日
"""
_WORDS: dict[NameHint, frozenset[str]] = {
    "label": frozenset(_LABEL.split()),
    "perhaps label": frozenset(_PERHAPS_LABEL.split()),
    "text": frozenset(_TEXT.split()),
    "title": frozenset(_TITLE.split()),
    "other": frozenset(_OTHER.split()),
}
_ANYWHERE: tuple[NameHint, ...] = ("label", "text", "title", "other")
_IN_COMPOUNDS: tuple[NameHint, ...] = ("label", "text", "title")
_STEM_LETTERS = 5
_MAX_NAME_WORDS = 4  # more are a text


def name_hint(name: str) -> NameHint:
    """Return what the name of a column says of its content; empty if it says nothing."""
    words = _words(name)
    if len(words) > _MAX_NAME_WORDS:
        return ""
    for hint, known in _WORDS.items():
        if words and words[-1] in known:  # the last word of an English or German name says what it is
            return hint
    for hint in _ANYWHERE:
        if any(word in _WORDS[hint] for word in words):
            return hint
    whole = name.casefold()
    for hint in _IN_COMPOUNDS:
        if any(_is_stem(word) and word in whole for word in _WORDS[hint]):
            return hint
    return ""


def _words(name: str) -> list[str]:
    split = re.sub(r"(?<=[a-zäöü])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W\d_]+", split.casefold())


def _is_stem(word: str) -> bool:
    """Return whether a word may be looked for inside others: it is long, or of a script without blanks."""
    return len(word) >= _STEM_LETTERS or (len(word) >= 2 and word[0] > "\u2e7f")
