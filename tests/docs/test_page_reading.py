"""The reader of pages finds what is false in them, and leaves alone what is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import reader
from tests.docs.pages import pieces
from tests.docs.reader import MadeRuns, Reader, is_name, shape
from tests.interfaces.commands import Shell

PAGE = """\
# A page

Type `nlptl show runs/NAME` or, in a table, `nlptl predict --empty-text refuse\\|skip`; `nlptl` alone is a name.

```bash
nlptl init few-labels \\
  --out mine.yaml
# a remark
nlptl encoders
```

    Written: mine.yaml.

```python
print("here")
```

```{note}
`make docs` stands in a note.
```
"""


def test_the_pieces_of_a_page_stand_in_order() -> None:
    found = [(piece.kind, piece.text, piece.line, piece.inline) for piece in pieces(PAGE) if piece.kind != "prose"]
    assert found == [
        ("command", "nlptl show runs/NAME", 3, True),
        ("command", "nlptl predict --empty-text refuse|skip", 3, True),
        ("command", "nlptl init few-labels   --out mine.yaml", 6, False),
        ("command", "nlptl encoders", 9, False),
        ("output", "Written: mine.yaml.\n", 12, False),
        ("python", 'print("here")\n', 15, False),
        ("command", "make docs", 19, True),
    ]


@pytest.mark.parametrize(
    ("block", "fault"),
    [
        ("```python\nassert 1 + 1 == 3\n```\n", "AssertionError"),
        ("```bash\nnlptl init --task nothing\n```\n", "AssertionError: "),
        ("See `nlptl predict --no-such-option` for more.\n", "AssertionError"),
        ("```yaml\nstages: [{stage: skipgram, dims: 3}]\n```\n", "ConfigError"),
        ("```cobol\nSTOP RUN.\n```\n", "No way to carry out a block of cobol. Add it here or to NOT_RUN."),
        ("```bash\nbrew install nlptl\n```\n", "No way to run brew. Add it to NOT_RUN, with the reason."),
        ("```bash\nnlptl schema --out s.json\n```\n\n    Five words that it does not print.\n", "is not in"),
        ("```sh\ncurl http://127.0.0.1:8000/health\n```\n", "No server was started before."),
    ],
)
def test_a_false_page_is_found(
    block: str, fault: str, tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "read", lambda page: f"# A page\n\n{block}")
    (found,) = Reader("docs/made.md", tmp_path / "checkout", MadeRuns(tmp_path), shell, monkeypatch).read()
    assert found.startswith("docs/made.md:3: ") or found.startswith(("docs/made.md:4: ", "docs/made.md:7: "))
    assert fault in found


def test_a_true_page_has_no_fault(tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "read", lambda page: TRUE)
    assert Reader("docs/made.md", tmp_path / "checkout", MadeRuns(tmp_path), shell, monkeypatch).read() == []


TRUE = """\
# A page

`nlptl curve` is a name, and `nlptl encoders` a command.

```bash
nlptl schema --out s.json
```

```python
from pathlib import Path
assert Path("s.json").is_file()
words = 3
```

```python
assert words == 3
```
"""


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("nlptl curve", True), ("nlptl encoders", False), ("nlptl show runs/x", False), ("nlptl serve --help", False),
        ("nlptl predict --abstain", True), ("nlptl vectors export", True), ("nlptl vectors export runs/x", False),
    ],
)  # fmt: skip
def test_a_name_is_told_from_a_command(command: str, name: bool) -> None:
    assert is_name(command) == name


def test_outputs_are_alike_where_only_numbers_differ() -> None:
    assert shape("accuracy   0.870 [0.833, 0.899]  -----") == shape("accuracy 0.9 [1, 0.5] --")
    assert shape("difference -11.7 points") == shape("difference +3 points")
    assert shape("right in 40 texts") != shape("wrong in 40 texts")
