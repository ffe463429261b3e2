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
    ends = {line.split()[-1] for line in shown.splitlines() if line.startswith("MiniLM-L6-v2 ")}
    assert ends == {"minilm"}
    assert [line.split()[-1] for line in shown.splitlines() if line.startswith(("thenlper", "BAAI/bge-s"))] == [
        "no",
        "yes",
    ]
    joined = "".join(shown.split())
    assert all(one.name in joined for one in KNOWN)
    assert "Read with 'query: ' before every text, as its authors ask: e5-small-v2, multilingual-e5-small." in shown
    assert "Trained on xP3: AG News, IMDB, TREC, Amazon, Yelp, where scores may flatter it:" in shown


def test_listing_encoders_loads_no_torch() -> None:
    script = (
        "import sys; from nlptl.interfaces.encoder_tables import known_lines; list(known_lines()); "
        "print([name for name in ('torch', 'transformers', 'datasets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
