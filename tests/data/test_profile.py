"""Profile of the data before training."""

from __future__ import annotations

from pathlib import Path

from nlptl.data import DataSettings, TextData, load_data
from nlptl.data.profile import Lengths, Profile


def test_labels_copies_and_contradictions() -> None:
    texts = ["a good film", "a good film", "a bad film", "a bad film", "it was fine with me", "we left before the end"]
    data = TextData(labelled=(texts, ["good", "good", "bad", "good", "good", "bad"]), unlabelled=["not seen"] * 18)
    profile = Profile.of(data)
    assert profile == Profile(
        rows=6, unlabelled=18, labels={"good": 4, "bad": 2}, copies=1, contradictions=1,
        contradiction=("a bad film", ("bad", "good")), characters=Lengths(8, 11, 22), language=profile.language,
        most_frequent="good", guessing=4 / 6, multi_label=False,
    )  # fmt: skip
    assert profile.unlabelled_share == 0.75
    assert profile.sentences() == [
        "6 rows have one of 2 labels: 'good' 4, 'bad' 2.",
        "Always guessing 'good' would be right in 67% of them.",
        "'good', 'bad' have fewer than 8 rows; hardly anything can be said of them.",
        "18 of 24 rows (75%) have no label; only their texts are used.",
        "Texts: English, 8 characters in the median, at most 11 in 9 of 10, 22 in the longest.",
        "1 row repeats a labelled row exactly.",
        "1 text stands under several labels, such as 'a bad film': 'bad', 'good'. Keep the right one.",
    ]


def test_rows_with_several_labels() -> None:
    texts = ["a warm soup", "a warm soup", "a late parcel", "a broken lamp", "a letter"]
    sets = [["food"], ["food", "praise"], ["delivery", "complaint"], ["complaint", "delivery"], []]
    profile = Profile.of(TextData(labelled=(texts, sets)))
    assert dict(profile.labels) == {"complaint": 2, "delivery": 2, "food": 2, "praise": 1}
    assert (profile.copies, profile.contradictions) == (0, 1)
    told = profile.sentences()
    assert told[:2] == [
        "5 rows have some of 4 labels: 'complaint' 2, 'delivery' 2, 'food' 2, 'praise' 1.",
        "Always guessing 'complaint, delivery' would be right in 40% of them.",
    ]
    assert told[-1] == (
        "1 text stands under several labels, such as 'a warm soup': 'food', 'food, praise'. Keep the right one."
    )


def test_many_labels_are_cut() -> None:
    labels = [f"label {i}" for i in range(30) for _ in range(40 - i)]
    profile = Profile.of(TextData(labelled=([f"text {i} of the pile" for i in range(len(labels))], labels)))
    assert profile.sentences()[0] == (
        "765 rows have one of 30 labels: 'label 0' 40, 'label 1' 39, 'label 2' 38, 'label 3' 37, 'label 4' 36 and 25 more."
    )
    assert profile.guessing == 40 / 765


def test_held_out_rows_count_and_a_test_of_its_own_does_not(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n" + "".join(f"text {i} of mine,{'ab'[i % 2]}\n" for i in range(40)))
    held_out = DataSettings(labelled=str(path), hold_out=0.25)
    assert Profile.of(load_data(held_out, seed=0)[0], held_out).rows == 40
    whole = DataSettings(labelled=str(path), test=str(path), drop_leaks=False)
    assert Profile.of(load_data(whole, seed=0)[0], whole).rows == 40
