"""Text files that hold their own digest: an edit is seen, and an edited card is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlptl.artifact import Manifest, publish, read_published
from nlptl.disk.ownership import is_ours
from nlptl.disk.sealed_text import CARD, is_sealed, sealed_text
from tests.published import published, read_hello, refusal, write_hello

TEXT = "# A card\n\nWith a café, 猫 and 🐈.\n"


def with_card(folder: Path) -> Path:
    def write(draft: Path) -> None:
        write_hello(draft)
        (draft / CARD).write_text(sealed_text(TEXT), encoding="utf-8")

    publish(folder, write, Manifest(kind="classifier"))
    return folder


def test_a_sealed_text_is_known_until_somebody_edits_it(tmp_path: Path) -> None:
    path = tmp_path / "card.md"
    text = sealed_text(TEXT)
    assert text.startswith(TEXT)
    for same in (text, text.removesuffix("\n"), text.replace("\n", "\r\n")):
        path.write_bytes(same.encode())
        assert is_sealed(path)
    digit = "1" if text[-80] != "1" else "2"
    for other in (
        TEXT,
        "",
        text + "More.\n",
        "More.\n" + text,
        text.replace("猫", "犬"),
        text[:-80] + digit + text[-79:],
    ):
        path.write_text(other, encoding="utf-8")
        assert not is_sealed(path)
    path.write_bytes(b"\xff" + text.encode())
    assert not is_sealed(path)
    link = tmp_path / "link.md"
    path.write_text(text, encoding="utf-8")
    link.symlink_to(path)
    assert not is_sealed(link)
    assert not is_sealed(tmp_path)
    assert not is_sealed(tmp_path / "nowhere.md")


@pytest.mark.parametrize("content", [None, sealed_text(TEXT), "My own words.\n", ""])
def test_a_card_does_not_count_where_a_folder_is_read(content: str | None, tmp_path: Path) -> None:
    folder = with_card(tmp_path / "a")
    (folder / CARD).unlink()
    if content is not None:
        (folder / CARD).write_text(content)
    assert read_published(folder, read_hello) == "hello"


def test_a_card_is_replaced_with_its_folder_unless_it_was_edited(tmp_path: Path) -> None:
    folder = with_card(tmp_path / "a")
    assert is_ours(folder)
    assert (published(folder) / CARD).exists() is False
    with_card(folder)
    (folder / CARD).write_text("My own words.\n")
    assert not is_ours(folder)
    assert refusal(lambda: published(folder)) == (
        f"{folder}: holds README.md, which nlptl did not write or somebody has edited since; nothing was overwritten. Move it "
        "elsewhere, or choose another path."
    )
    assert (folder / CARD).read_text() == "My own words.\n"


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("is_link", [False, True])
def test_an_edited_card_may_come_into_the_new_folder(late: bool, is_link: bool, tmp_path: Path) -> None:
    folder, words = with_card(tmp_path / "a"), tmp_path / "words.md"
    words.write_text("My own words.\n")

    def edit() -> None:
        (folder / CARD).unlink()
        (folder / CARD).symlink_to("../words.md") if is_link else (folder / CARD).write_text("My own words.\n")

    def write(draft: Path) -> None:
        (draft / "tokenizer.json").write_text("again")
        (draft / CARD).write_text(sealed_text("New."), encoding="utf-8")
        if late:  # while it is written
            edit()

    if not late:
        edit()
    publish(folder, write, Manifest(kind="classifier"), keeps_card=True)
    assert read_published(folder, read_hello) == "again"
    assert (folder / CARD).read_text() == "My own words.\n"
    assert (folder / CARD).is_symlink() == is_link
    assert words.read_text() == "My own words.\n"


def test_a_sealed_card_gives_way_to_the_new_one(tmp_path: Path) -> None:
    folder = with_card(tmp_path / "a")

    def write(draft: Path) -> None:
        (draft / CARD).write_text(sealed_text("New."), encoding="utf-8")

    publish(folder, write, Manifest(kind="classifier"), keeps_card=True)
    assert (folder / CARD).read_text(encoding="utf-8") == sealed_text("New.")
    (folder / "notes.txt").touch()
    (folder / CARD).write_text("Mine.")
    told = refusal(lambda: publish(folder, write, Manifest(kind="classifier"), keeps_card=True))
    assert "holds notes.txt, which nlptl did not write" in told


def test_a_card_alone_is_no_mark_of_nlptl(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / CARD).write_text(sealed_text(TEXT))
    assert not is_ours(folder)
    told = refusal(lambda: published(folder))
    assert "holds README.md, which nlptl did not write" in told
    (folder / CARD).write_text("Mine.")
    told = refusal(lambda: publish(folder, write_hello, Manifest(kind="encoder"), keeps_card=True))
    assert "holds README.md, which nlptl did not write" in told
