"""The task that far names decide (scripts/prepare_far_names.py): one name told again, far enough, and swapped."""

import runpy
from pathlib import Path

import pytest
from spacy.tokens import Doc
from spacy.vocab import Vocab

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "prepare_far_names.py"))


def article(first: str, filler: int, last: str) -> Doc:
    words = [*first.split(), *["word"] * filler, ".", *last.split(), "."]
    starts = {0, len(first.split()) + filler + 1}
    return Doc(
        Vocab(), words, pos=["PROPN" if word.istitle() else "NOUN" for word in words],
        sent_starts=[place in starts for place in range(len(words))],
    )  # fmt: skip


def examples(first: str, filler: int, last: str) -> list[tuple[str, str, str]]:
    return list(SCRIPT["examples"](article(first, filler, last)))


def test_the_name_that_was_read_before_is_found():
    ((before, name, after),) = examples("Ann saw him", 30, "then Bob met Ann again")
    assert name == "Ann"
    assert before.startswith("Ann saw him word")
    assert before.endswith("then Bob met ")
    assert after == " again ."


@pytest.mark.parametrize(
    ("first", "filler", "last"),
    [
        ("Ann saw him", 10, "then Bob met Ann again"),  # too near
        ("Ann saw him", 30, "then Bob met Eve again"),  # no name told again
        ("Ann saw Bob", 30, "then Bob met Ann again"),  # two of them
        ("Ann saw him", 130, "then Bob met Ann again"),  # longer than a text may be
    ],
)
def test_other_sentences_are_left_out(first, filler, last):
    assert examples(first, filler, last) == []


def test_each_text_is_there_with_its_own_name_and_with_anothers():
    found = [(f"{name} came . then ", name, " left .") for name in ("Ann", "Bob", "Eve")]
    lines = list(SCRIPT["lines"](found))
    assert len(lines) == 6
    for own, swapped in zip(lines[::2], lines[1::2], strict=True):
        _, first, *_, last, _, _ = own.replace("\t", " ").split()
        assert own.startswith("1\t")
        assert first == last
        _, first, *_, last, _, _ = swapped.replace("\t", " ").split()
        assert swapped.startswith("0\t")
        assert first != last
    assert len({line.split()[-3] for line in lines[1::2]}) == 3  # each name stands once on either side
