"""The command `nlptl encoders`: facts in a table, which encoders are at hand, and nothing heavy loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from nlptl.interfaces.cli import app
from nlptl.models import weights
from nlptl.models.known_encoders import KNOWN


def test_encoders_are_listed_with_what_is_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "is_at_hand", lambda name: name in ("minilm", "thenlper/gte-small"))
    shown = CliRunner().invoke(app, ["encoders"], prog_name="nlptl").output
    assert max(map(len, shown.splitlines())) <= 100
    here = {name: rest[-1] for name, *rest in map(str.split, shown.splitlines()[2 : 2 + len(KNOWN)])}
    assert list(here) == [one.name for one in KNOWN], "each name is whole, on one line"
    assert [name for name, found in here.items() if found == "yes"] == [KNOWN[0].name, "thenlper/gte-small"]
    assert "As the pip package minilm, all-MiniLM-L6-v2 is here: `weights: minilm`." in shown
    told = "As the pip package e5, multilingual-e5-small would be here: `weights: e5`, its weights rounded to 4 bits."
    assert told in " ".join(shown.split())
    assert "Read with 'query: ' before every text, as its authors ask: e5-small-v2, multilingual-e5-small." in shown
    assert "Trained on xP3: AG News, IMDB, TREC, Amazon, Yelp, where scores may flatter it:" in shown


def test_listing_encoders_loads_no_torch() -> None:
    script = (
        "import sys; from nlptl.interfaces.encoder_tables import known_lines; list(known_lines()); "
        "print([name for name in ('torch', 'transformers', 'datasets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
