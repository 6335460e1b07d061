"""Grammars that strangers wrote: odd names, types and sizes are refused in one short line, before they cost much."""

from datetime import date

import numpy as np
import pytest
import torch

from grammask.errors import GrammarError
from grammask.experiment.controls.other_grammars import control_grammar
from grammask.experiment.controls.registry import find_control
from grammask.grammar.file import grammar_from_dict, load_grammar, parse_grammar
from grammask.grammar.grammar import Grammar
from grammask.grammar.limits import MAX_BYTES, MAX_REACHES, MAX_RULES
from grammask.grammar.rules import Reach, Rule, check_strategy

ODD_NAMES = [
    "../../x",
    "/abs/x",
    "..",
    ".x",
    "x.",
    "a/b",
    "a\\b",
    "a\0b",
    "a\n",
    "",
    " ",
    "é",
    "a b",
    "x" * 65,
    5,
    None,
    [],
]
BIG = 10**5000
ODD = [
    1, BIG, 1.5, float("nan"), float("inf"), b"x", [1.5, 2], [[0]], [BIG, BIG], [None, 1], [-1, "a"], {}, {"NOUN": 1},
    {"NOUN"}, date(2020, 1, 1), np.array([1, 2]), torch.ones(2), object(), [[[]] * 9] * 9, (tag for tag in ("X",)),
]  # fmt: skip
RULE = '[[rule]]\nquery = ["X"]\nkey = ["X"]\n'
X = Rule(("X",), ("X",))


def refused(call, *arguments, **named):
    with pytest.raises(GrammarError) as found:
        call(*arguments, **named)
    message = str(found.value)
    assert len(message) < 500
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ODD_NAMES, ids=repr)
def test_a_name_that_is_no_file_name_is_refused_wherever_it_comes_from(name):
    assert "key 'name'" in refused(Grammar, name)
    assert "config.json: key 'name'" in refused(grammar_from_dict, {"name": name}, origin="config.json")


@pytest.mark.parametrize("name", ["A-z_0.9", "x" * 64, "0", "paper-sinks"])
def test_a_name_of_the_alphabet_is_kept(name):
    assert parse_grammar(f'name = "{name}"').name == name


@pytest.mark.parametrize("key", ["query", "key", "reach", "allow", "layers", "heads", "name"])
@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
def test_a_rule_of_another_type_is_refused_in_one_line(key, value):
    assert refused(Rule, **{"query": ("X",), "key": ("X",), key: value})
    table = {"query": ["X"], "key": ["X"], key: value}
    assert refused(grammar_from_dict, {"name": "g", "rule": [table]}, origin="a").startswith("a: rule 1: ")


@pytest.mark.parametrize("key", ["rules", "sinks", "same_tag", "description", "source"])
@pytest.mark.parametrize("value", [*ODD, None], ids=lambda value: type(value).__name__)
def test_a_grammar_of_another_type_is_refused_in_one_line(key, value):
    assert refused(Grammar, "g", **{key: value})


@pytest.mark.parametrize("value", [*ODD[1:], None, True, -1], ids=lambda value: type(value).__name__)
def test_sink_tokens_of_another_type_or_size_are_refused_in_one_line(value):
    assert "key 'sink_tokens'" in refused(Grammar, "g", sink_tokens=value)


@pytest.mark.parametrize("value", [*ODD, None, "near", "x" * 10**6], ids=lambda value: type(value).__name__)
def test_reaches_strategies_and_files_of_another_type_are_refused_in_one_line(value):
    refused(Reach.parse, value)
    refused(Reach, value)
    refused(check_strategy, value)
    refused(load_grammar, value)
    if not isinstance(value, int):
        refused(Reach, "words", value, value)


@pytest.mark.parametrize(
    "data",
    [
        None, [], "paper", 5, {}, {5: 6}, {None: 1}, {"name": "g", "rule": {}}, {"name": "g", "rule": [None]},
        {"name": "g", "rule": "X"}, {"name": "g", "rule": [{5: 1}]}, {"name": "g", "rule": [[]]},
        {"name": "g", "x" * 10**6: 1},
        {"name": "g", "rule": [{"query": ["X" * 10**6], "key": ["X"]}]}, {"name": "g", "sinks": [{}]},
    ],
    ids=lambda data: repr(data)[:40],
)  # fmt: skip
def test_what_a_config_may_hold_in_place_of_a_grammar_is_refused(data):
    assert refused(grammar_from_dict, data, origin="config.json").startswith("config.json: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = " + "[" * 10_000 + "]" * 10_000, "nested too deep"),
        ("name = " + "{a = " * 10_000 + "1" + "}" * 10_000, "nested too deep"),
        ("name" + ".a" * 1_000_000 + " = 1", "a key of more than 50 parts"),
        ("[name" + '."a"' * 1_000_000 + "]", "a key of more than 50 parts"),
        ("name = " + "9" * 5_000, "a whole number of more than 4,300 digits"),
        ("name = 0x" + "f" * 5_000, "key 'name' must be text, but is <int too large to show>"),
        (f'name = "g"\n{RULE}layers = [0x{"f" * 5_000}]', "too large; a model has at most 256 layers"),
        (f'name = "g"\n{RULE}heads = [256]', "256 is too large; a model has at most 256 heads"),
        (f'name = "g"\n{RULE}reach = [0, 0x{"f" * 5_000}]', "too far: offsets stay within +-999999"),
        (f'name = "g"\n{RULE}name = "{"x" * 1_001}"', "rule 1: key 'name' has 1,001 characters, but may have 1,000"),
        (f'name = "g"\ndescription = "{"x" * 10_001}"', "key 'description' has 10,001 characters, but may have 10,000"),
        (f'name = "g"\nsource = "{"x" * 10_001}"', "key 'source' has 10,001 characters"),
        ('name = "g"\nsinks = [' + "'[CLS]', " * 100_000 + "]", "tag named twice: [CLS]"),
        ('name = "g"\nsink_tokens = 0x' + "f" * 5_000, "key 'sink_tokens' must be 0 to 10,000, but is <int too large"),
        ("# " + "x" * MAX_BYTES, "is larger than 4,194,304 bytes"),
        ('name = "g"\n' + RULE * 10_001, "at most 10,000 rules, but this one has 10,001"),
    ],
    ids=lambda value: value[:30],
)  # fmt: skip
def test_a_file_beyond_a_limit_is_refused(tmp_path, text, message):
    path = tmp_path / "g.toml"
    path.write_text(text, encoding="utf-8")
    line = refused(load_grammar, path)
    assert message in line
    assert str(path) in line


def test_a_grammar_has_rules_and_reaches_up_to_the_limit():
    reaches = [Rule(("X",), ("X",), Reach("words", 0, far)) for far in range(MAX_REACHES + 1)]
    assert Grammar("g", reaches[:MAX_REACHES]).reaches == MAX_REACHES
    assert "at most 2,500 different reaches, but this one has 2,501" in refused(Grammar, "g", reaches)
    assert len(Grammar("g", [X] * MAX_RULES).rules) == MAX_RULES
    assert "at most 10,000 rules" in refused(Grammar, "g", [X] * (MAX_RULES + 1))


def test_a_grammar_is_fitted_to_a_model_of_at_most_so_many_tables():
    rule = Rule(("X",), ("X",), Reach("words", 0, 1), layers=(0,), heads=(0,))
    Grammar("g", (rule,)).check_fits(layers=500, heads=500)
    assert "at most 500,000 tables" in refused(Grammar("g", (rule,)).check_fits, layers=501, heads=500)
    Grammar("g", (X,)).check_fits(layers=10**6, heads=10**6)  # one table for all


def test_text_that_cannot_be_written_is_refused():
    for key in ("description", "source"):
        assert r"holds half a character, '\ud800'" in refused(Grammar, "g", **{key: "a\ud800"})
    assert "half a character" in refused(Rule, ("X",), ("X",), name="\udc80")


@pytest.mark.parametrize("name", ["~nobody-is-called-so/x", "x" * 5_000, "a\0b", "/", "", "/dev/zero", "\ud800", "~"])
def test_what_is_no_file_is_no_grammar(name):
    assert "no grammar" in refused(load_grammar, name)


def test_a_control_of_the_longest_name_has_a_name_too():
    long = Grammar("x" * 64, (Rule(("X",), ("X",), Reach("words", 1, 1)),))
    found = control_grammar(find_control("self-sinks"), long, [], layers=1, heads=1, seed=0)
    assert found.name == "x" * 53 + "-self-sinks"
