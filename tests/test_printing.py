"""What others wrote is shown as it is, and moves nothing on the terminal."""

import io
import os
import unicodedata

import pytest
from rich.table import Table

from grammask.cli.console import PlainConsole
from grammask.printing import made_of, printable, quoted, reason, writable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, café, 漢字, 👍🏽", "plain text, café, 漢字, 👍🏽"),
        ("no-break\u00a0space and C:\\new", "no-break\u00a0space and C:\\new"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\nb\tc\rd\x00\x7f", r"a\nb\tc\rd\x00\x7f"),
        ("\u202etxt.exe\u2066", r"\u202etxt.exe\u2066"),
        ("zero\u200bwidth\ufeff\u00ad", r"zero\u200bwidth\ufeff\xad"),
        ("line\u2028paragraph\u2029", r"line\u2028paragraph\u2029"),
        ("lone \ud800", r"lone \ud800"),
        ("tag \U000e0041", r"tag \U000e0041"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_is_not_seen_becomes_an_escape(text, shown):
    assert printable(text) == shown


def test_no_character_moves_the_cursor_or_the_direction():
    for code in range(0x110000):
        shown = printable(chr(code))
        assert shown.encode()  # no lone surrogate
        assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _printed(monkeypatch, *objects):
    monkeypatch.setenv("COLUMNS", "200")
    console = PlainConsole()
    console.file = io.StringIO()
    for item in objects:
        console.print(item)
    return console.file.getvalue()


HOSTILE = ["[/etc]", "[red]x[/red]", "[link=file:///x]y[/link]", ":smile:", "\\[x]", "[/", "[bold", "\x1b[2J", "\r!"]


@pytest.mark.parametrize("text", HOSTILE)
def test_every_string_of_a_console_is_data(monkeypatch, text):
    table = Table(text, title=text, caption=text)
    table.add_row(text)
    shown = _printed(monkeypatch, text, table)
    assert shown.count(printable(text)) == 5
    assert "\x1b" not in shown
    assert "\r" not in shown


def test_lines_of_ours_stay_lines(monkeypatch):
    assert _printed(monkeypatch, "two\nlines") == "two\nlines\n"


def test_what_is_said_is_one_line_however_long(capsys):
    PlainConsole().say("long " * 100 + "[x]\nsecond :smile:")
    assert capsys.readouterr().out == "long " * 100 + "[x]\\nsecond :smile:\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\tand a zero\u200djoiner", "two\nlines\tand a zero\u200djoiner"),
        ("\x00\x1b[0m\x85", r"\x00\x1b[0m\x85"),
        ("\u202eturned\u2069", r"\u202eturned\u2069"),
        ("\ud800\uffff", r"\ud800\uffff"),
    ],
)
def test_what_a_page_cannot_hold_becomes_an_escape(text, shown):
    assert writable(text) == shown


class Odd:
    def __repr__(self):
        raise TypeError("no")


@pytest.mark.parametrize(
    ("value", "shown"),
    [("a\x1b", r"'a\x1b'"), (10**5000, "<int too large to show>"), (None, "None"), ([1.5], "[1.5]")],
    ids=["text", "large", "None", "list"],
)
def test_values_are_quoted(value, shown):
    assert quoted(value) == shown


@pytest.mark.parametrize("value", ["x" * 10**6, [["x" * 99] * 9] * 9, {"x" * 999: 1}, Odd()], ids=lambda _: "")
def test_what_is_quoted_is_short(value):
    assert len(quoted(value)) < 210


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("one\n  two"), "one two"),
        (ValueError("x" * 300), "x" * 200),
        (ValueError("a\x1b[2Jb"), r"a\x1b[2Jb"),
        (ValueError(), "ValueError"),
        (KeyError("name"), "KeyError 'name'"),
        (RecursionError("maximum recursion depth exceeded"), "it is nested too deep"),
        (ValueError("Exceeds the limit (4300 digits) for integer string conversion"), "it holds a whole number of "
         "more than 4,300 digits"),
    ],
)  # fmt: skip
def test_what_an_exception_of_others_says_is_short_and_on_one_line(error, said):
    assert reason(error) == said


def test_progress_is_shown_for_more_than_one_thing():
    console = PlainConsole()
    console.file = io.StringIO()
    console.width = 80
    for waiting, length, bar in (("ab", None, True), ("a", None, False), (iter("ab"), 2, True), (iter("a"), 1, False)):
        wanted = list("ab"[: length or len(waiting)])
        assert list(console.progress(waiting, "reading [texts]", length)) == wanted
        said = console.file.getvalue()
        assert ("reading [texts]" in said) is bar
        console.file.seek(0)
        console.file.truncate()


def test_what_libraries_say_is_kept_off_unless_the_user_asks_for_it(monkeypatch):
    monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "info")
    monkeypatch.delenv("HF_HUB_DISABLE_PROGRESS_BARS", raising=False)
    with PlainConsole().loading():
        assert os.environ["TRANSFORMERS_VERBOSITY"] == "info"
        assert os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] == "1"


def test_an_error_is_made_of_others_each_told_once():
    one, two, three = RuntimeError("one"), RuntimeError("two"), RuntimeError("three")
    one.__cause__, two.__context__, three.cause = two, three, "no error"
    assert list(made_of(one)) == [one, two, three]
    three.cause = one
    assert list(made_of(two)) == [two, three, one]
    assert list(made_of(None)) == []
