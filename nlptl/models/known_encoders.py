"""Well-known small encoders: size, licence, languages, year, prompt, and test sets that they may have learnt from.

Sources: the models' cards on the Hub, the papers behind them, and the model list of the MTEB benchmark. A revision is the commit
that the facts were taken from. Megabytes are those of the weights as published, a million bytes each.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

FULL_BITS = 32  # of a weight as published
_SEARCH = "Represent this sentence for searching relevant passages: "
_SBERT_LEAKS = "Yahoo Answers"
_BGE_LEAKS = (
    "Amazon reviews, AG News, Yahoo Answers"  # of sentence-transformers' training data, and amazon_reviews_multi
)
_XLM_R = (
    "af am ar as az be bg bn br bs ca cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu ha he hi hr hu hy id is it ja jv "
    "ka kk km kn ko ku ky la lo lt lv mg mk ml mn mr ms my ne nl no om or pa pl ps pt ro ru sa sd si sk sl so sq sr su sv sw "
    "ta te th tl tr ug uk ur uz vi xh yi zh"
)
_PARAPHRASE = (
    "ar bg ca cs da de el en es et fa fi fr gl gu he hi hr hu hy id it ja ka ko ku lt lv mk mn mr ms my nb nl pl pt ro ru sk "
    "sl sq sr sv th tr uk ur vi zh"
)


@dataclasses.dataclass(frozen=True)
class KnownEncoder:
    """Facts about one encoder of the Hub."""

    name: str  # on the Hub
    dim: int  # numbers of a sentence vector
    layers: int
    parameters: float  # millions
    megabytes: int
    licence: str  # SPDX
    languages: str  # ISO 639-1 codes, with spaces between
    year: int  # of release: the training data are older
    pooling: Literal["cls", "mean"] = "mean"
    search: str = ""  # prompt that its authors want before a question in a search
    prompt: str = ""  # prompt that its authors want before texts that are classified
    leaks: str = ""  # common test sets among its training data, as far as its authors tell
    revision: str | None = None
    package: str | None = None  # short name of the same weights as a pip package
    bits: int = FULL_BITS  # of a weight in that package; fewer round the weights


KNOWN = (
    KnownEncoder(
        "sentence-transformers/all-MiniLM-L6-v2", 384, 6, 22.7, 91, "Apache-2.0", "en", 2021, leaks=_SBERT_LEAKS,
        revision="8b3219a92973c328a8e22fadcfa821b5dc75636a", package="minilm",
    ),
    KnownEncoder("sentence-transformers/paraphrase-MiniLM-L3-v2", 384, 3, 17.4, 70, "Apache-2.0", "en", 2021,
                 leaks=_SBERT_LEAKS),
    KnownEncoder(
        "BAAI/bge-small-en-v1.5", 384, 12, 33.4, 133, "MIT", "en", 2023, "cls", _SEARCH, leaks=_BGE_LEAKS,
        revision="5c38ec7c405ec4b44b94cc5a9bb96e735b38267a",
    ),
    KnownEncoder(
        "BAAI/bge-base-en-v1.5", 768, 12, 109.5, 438, "MIT", "en", 2023, "cls", _SEARCH, leaks=_BGE_LEAKS,
        revision="a5beb1e3e68b9ab74eb54cfd186867f64f240e1a",
    ),
    KnownEncoder("thenlper/gte-small", 384, 12, 33.4, 67, "MIT", "en", 2023, leaks="MEDI, BERRI (many task sets)"),
    KnownEncoder(
        "intfloat/e5-small-v2", 384, 12, 33.4, 133, "MIT", "en", 2023, "mean", "query: ", "query: ",
        revision="dca8b1a9dae0d4575df2bf423a5edb485a431236",
    ),
    KnownEncoder(
        "intfloat/multilingual-e5-small", 384, 12, 117.7, 471, "MIT", _XLM_R, 2023, "mean", "query: ", "query: ",
        "xP3: AG News, IMDB, TREC, Amazon, Yelp", "fd1525a9fd15316a2d503bf26ab031a61d056e98", package="e5", bits=4,
    ),
    KnownEncoder(
        "Snowflake/snowflake-arctic-embed-xs", 384, 6, 22.6, 90, "Apache-2.0", "en", 2024, "cls", _SEARCH,
        leaks=_SBERT_LEAKS, revision="742da4f66e1823b5b4dbe6c320a1375a1fd85f9e",
    ),
    KnownEncoder(
        "Snowflake/snowflake-arctic-embed-s", 384, 12, 33.2, 133, "Apache-2.0", "en", 2024, "cls", _SEARCH,
        revision="d3c1d2d433dd0fdc8e9ca01331a5f225639e798f",
    ),
    KnownEncoder(
        "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2", 384, 12, 117.7, 471, "Apache-2.0", _PARAPHRASE, 2021,
        leaks=_SBERT_LEAKS, revision="bf3bf13ab40c3157080a7ab344c831b9ad18b5eb",
    ),
    KnownEncoder(
        "sentence-transformers/all-mpnet-base-v2", 768, 12, 109.5, 438, "Apache-2.0", "en", 2021, leaks=_SBERT_LEAKS,
        revision="9a3225965996d404b775526de6dbfe85d3368642",
    ),
)  # fmt: skip


def known_encoder(name: str) -> KnownEncoder | None:
    """Return the facts about weights by their name on the Hub, or the short name of their package; None if unknown."""
    return next((one for one in KNOWN if name in (one.name, one.package)), None)
