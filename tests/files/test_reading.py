"""The boundary to files that others wrote: an error of ours for every kind of damage, and names that stay inside."""

import os
from pathlib import Path

import pytest

from grammask.errors import GrammarError, InputError
from grammask.files.names import LONGEST_NAME, check_file_name
from grammask.files.read import expand_home, parse_json, parse_json_object, parse_toml, read_bytes, read_text
from grammask.tagging.tag_cache import cache_file

DEEP = 10_000
DIGITS = "1" * 5_000


@pytest.mark.parametrize(
    "text", ["", "{", "nonsense", '{"a": }', "[" * DEEP + "]" * DEEP, DIGITS, f'{{"a": {DIGITS}}}', b"\xff\xfe\xfd"]
)
def test_damaged_json_is_one_error_of_ours(text):
    with pytest.raises(GrammarError, match="^mine.json: not valid JSON: ."):
        parse_json(text, origin="mine.json", error=GrammarError)


@pytest.mark.parametrize("text", ['{"a": 1, "b": 2, "a": 1}', '[{"b": {"a": 1, "a": 2}}]'])
def test_a_key_that_stands_twice_is_named(text):
    with pytest.raises(InputError, match="mine.json: not valid JSON: the key 'a' stands twice"):
        parse_json(text, origin="mine.json")


@pytest.mark.parametrize("text", ["[]", "1", '"a"', "null", "true"])
def test_json_of_another_type_is_named(text):
    with pytest.raises(InputError, match="mine.json: must hold a JSON object, but holds"):
        parse_json_object(text, origin="mine.json")


@pytest.mark.parametrize("text", ["a = ", "a = 1\na = 2", "a = " + "[" * DEEP + "]" * DEEP, f"a = {DIGITS}"])
def test_damaged_toml_is_one_error_of_ours(text):
    with pytest.raises(GrammarError, match="^mine.toml: not valid TOML: ."):
        parse_toml(text, origin="mine.toml", error=GrammarError)


def test_what_is_no_readable_file_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "missing", tmp_path / "a\0b", tmp_path / ("x" * 300)):
        with pytest.raises(InputError, match="cannot be read: ."):
            read_bytes(path)
    file = tmp_path / "text"
    file.write_bytes(b"one\ntw\xf6\n")
    with pytest.raises(GrammarError, match=r"line 2 holds bytes that are not UTF-8 \(0xf6 at byte 6\)"):
        read_text(file, error=GrammarError)
    file.write_bytes("\ufefföne".encode())
    assert read_text(file) == "öne"
    with pytest.raises(InputError, match="larger than 4 bytes"):
        read_text(file, most=4)
    if hasattr(os, "mkfifo"):
        with pytest.raises(InputError, match="larger than"):
            read_bytes("/dev/zero", most=1000)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes in folders")
def test_a_pipe_is_read_only_where_the_user_named_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(GrammarError, match="pipe cannot be read: it is a pipe, a socket or a device"):
        read_text(tmp_path / "pipe", error=GrammarError, named=False)
    with pytest.raises(InputError, match="no regular file"):
        read_bytes(Path("/dev/zero"), named=False)
    ready, fill = os.pipe()
    os.write(fill, b"a text")
    os.close(fill)
    assert read_text(Path(f"/dev/fd/{ready}")) == "a text"
    os.close(ready)


@pytest.mark.parametrize("name", ["a", "english-long", "v1.2_b", "A" * LONGEST_NAME, "0"])
def test_names_of_files_are_kept(name):
    assert check_file_name(name, what="name", error=InputError) == name


@pytest.mark.parametrize(
    "name",
    ["", "../../x", "/abs/x", "A" * 300, "A" * (LONGEST_NAME + 1), "a b", ".hidden", "-x", "a/b", "a\\b", "a\n", "é",
     "a.", "..", ".", "a\0", "=1+1", "$(x)", "<b>", "[red]"],
)  # fmt: skip
def test_names_that_could_leave_a_folder_are_refused(name):
    with pytest.raises(GrammarError, match="key 'name' is .*, but must be 1 to 64 of"):
        check_file_name(name, what="key 'name'", error=GrammarError)


def test_the_home_is_the_users_and_that_of_nobody_stays(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    names = ("~/x", "~", "~nobody-is-called-so/x", "x/~", "a\0b", "")
    assert [str(expand_home(name)) for name in names] == [
        str(tmp_path / "x"), str(tmp_path), "~nobody-is-called-so/x", "x/~", "a\0b", ".",
    ]  # fmt: skip
    monkeypatch.setenv("GRAMMASK_CACHE", "~nobody-is-called-so/x")
    assert cache_file() == Path("~nobody-is-called-so/x/tags.sqlite")
