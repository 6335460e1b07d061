"""Grammars: the paper's tables, the strict file format, and the round trip."""

import pytest
import torch
from helpers.strategies import grammars
from hypothesis import given

from grammask.errors import GrammarError
from grammask.grammar.file import load_grammar, parse_grammar, shipped_grammars
from grammask.grammar.grammar import Grammar
from grammask.grammar.rules import Reach, Rule
from grammask.grammar.tables import compile_tables
from grammask.grammar.tags import NAMED, NEW, STRUCTURAL, TAG_IDS, TAGS, UNK, UPOS

# The released rule tables, query -> keys; beside these every tag reads its own.
PAPER_HARD = {
    "ADJ": {"NOUN", "PROPN"},
    "DET": {"NOUN", "PROPN"},
    "ADP": {"NOUN", "PROPN", "PRON"},
    "NOUN": {"DET", "ADJ", "ADP"},
    "PROPN": {"DET", "ADJ", "ADP"},
    "PRON": {"ADJ", "ADP"},
    "VERB": {"NOUN", "PROPN", "PRON", "ADV"},
    "AUX": {"VERB"},
    "SCONJ": {"VERB"},
}
PAPER_SOFT = {
    "VERB": {"ADP"},
    "NOUN": {"VERB"},
    "PROPN": {"VERB"},
    "PRON": {"VERB"},
    "ADV": {"VERB", "ADJ"},
    "CCONJ": {"NOUN", "VERB", "ADJ", "PROPN", "PRON"},
}
CELLS = [(query, key) for query in NAMED for key in NAMED if "[PAD]" not in (query, key)]


@pytest.mark.parametrize("name", ["paper", "paper-sinks"])
def test_the_papers_tables_cell_by_cell(name):
    grammar = load_grammar(name)
    (document,) = compile_tables(grammar)
    sinks = {"[CLS]", "[SEP]"} if name == "paper-sinks" else set()
    assert set(grammar.sinks) == sinks
    for query, key in CELLS:
        cell = (0, TAG_IDS[query], TAG_IDS[key])
        expected = (
            query == key
            or key in PAPER_HARD.get(query, set())
            or key in sinks
            or query == "[CLS]"
            or "[UNK]" in (query, key)
        )
        assert bool(document.allowed[cell]) == expected, (query, key)
        assert max(float(document.strength[cell]), 0.0) == (5.0 if key in PAPER_SOFT.get(query, set()) else 0.0), (
            query,
            key,
        )


def test_neighbours_has_no_tag_rules():
    document, beside = compile_tables(load_grammar("neighbours"))
    assert beside.reach == Reach("words", -1, 1)
    words = [TAG_IDS[tag] for tag in UPOS]
    assert beside.allowed[0][words][:, words].all()
    assert not document.allowed[0][words][:, words].any()
    assert document.allowed[0, :, [TAG_IDS["[CLS]"], TAG_IDS["[SEP]"]]].all()
    assert document.allowed[0, TAG_IDS["[CLS]"]][words].all()


def test_every_shipped_grammar_names_its_source_and_round_trips():
    assert shipped_grammars() == (
        "banded", "english", "english-lean", "english-long", "english-near", "minilm-heads", "minilm-offsets", "mixed",
        "names", "names-far", "neighbours", "paper", "paper-sinks", "separators",
        "smollm2-far", "smollm2-heads", "streaming",
    )  # fmt: skip
    for name in shipped_grammars():
        grammar = load_grammar(name)
        assert grammar.source
        assert grammar.description
        assert parse_grammar(grammar.to_toml()) == grammar


@pytest.mark.parametrize(("name", "far"), [("names-far", ("PROPN", "NUM")), ("separators", ("PUNCT",))])
def test_streaming_reads_back_only_and_others_add_what_words_read_far(name, far):
    streaming, more = load_grammar("streaming"), load_grammar(name)
    assert more.rules == (*streaming.rules, Rule(UPOS, far))
    assert streaming.rules[0] == Rule(UPOS, UPOS, Reach("words", -256, 0))
    assert (streaming.sink_tokens, streaming.sinks) == (more.sink_tokens, more.sinks) == (4, ("[CLS]", "[SEP]"))


@given(grammars)
def test_every_grammar_round_trips(grammar):
    assert parse_grammar(grammar.to_toml()) == grammar


@given(grammars)
def test_a_new_word_reads_what_any_word_reads_and_is_read_within_bounded_reach_alone(grammar):
    words = [TAG_IDS[tag] for tag in UPOS]
    for table in compile_tables(grammar, layer=1, heads=3):
        for head in range(len(table.allowed)):
            allowed, strength = table.allowed[head], table.strength[head]
            for key in range(NEW):
                assert bool(allowed[NEW, key]) == any(bool(allowed[word, key]) for word in words)
                assert strength[NEW, key] == max(strength[word, key] for word in words)
            for query in range(len(TAGS)):
                bounded = table.reach.kind == "words"
                expected = bounded and any(bool(allowed[query, word]) for word in words)
                expected |= table.reach.kind == "document" and query == UNK
                assert bool(allowed[query, NEW]) == expected
                assert strength[query, NEW] == (max(strength[query, word] for word in words) if bounded else -torch.inf)


def test_sink_tokens_are_written_where_there_are_any():
    assert 'sinks = ["[CLS]"]\nsink_tokens = 4\n' in Grammar("g", sinks=("[CLS]",), sink_tokens=4).to_toml()
    # Files, and the hashes of them in records, are as before.
    assert "sink_tokens" not in Grammar("g").to_dict()
    assert Grammar("g") != Grammar("g", sink_tokens=1)


@given(grammars)
def test_tables_say_what_the_rules_say(grammar):
    for layer in (0, 2):
        for table in compile_tables(grammar, layer=layer, heads=3):
            for head in range(table.allowed.shape[0]):
                for query in ("NOUN", "[CLS]", "X"):
                    for key in NAMED:
                        matching = [
                            rule
                            for rule in grammar.rules
                            if rule.reach == table.reach
                            and rule.applies(layer, head)
                            and query in rule.query
                            and key in rule.key
                        ]
                        implied = table.reach.kind == "document" and (
                            key in grammar.sinks or key == "[UNK]" or (grammar.same_tag and query == key)
                        )
                        cell = (head, TAG_IDS[query], TAG_IDS[key])
                        assert bool(table.allowed[cell]) == (implied or any(rule.allow for rule in matching))
                        strengths = [rule.strength for rule in matching]
                        if table.reach.kind == "document" and grammar.same_tag and query == key:
                            strengths.append(0.0)
                        assert float(table.strength[cell]) == max(strengths, default=float("-inf"))


HEAD = 'name = "g"\nsinks = []\nsame_tag = false\n'
RULE = '[[rule]]\nquery = ["NOUN"]\nkey = ["VERB"]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('nam = "g"', r"g\.toml: unknown key 'nam'; did you mean 'name'\? Keys are: name, sinks"),
        ("sinks = []", r"g\.toml: key 'name' is missing"),
        ('name = "g"\nsinks = [x]', r"g\.toml: not valid TOML: .*line 2"),
        (HEAD + RULE + 'reech = "document"', r"rule 1: unknown key 'reech'; did you mean 'reach'"),
        (
            HEAD + RULE + 'reach = "paragraph"',
            r"rule 1: unknown reach 'paragraph'; a reach is \"document\", \"sentence\"",
        ),
        (HEAD + RULE + "reach = [3, -3]", r"rule 1: reach \[3, -3\] is empty"),
        (HEAD + RULE + "reach = [0.5, 2]", r"rule 1: a word offset must be a whole number, but is 0\.5"),
        (HEAD + RULE + "reach = [0, 1000000]", r"rule 1: word offset 1000000 is too far"),
        (
            HEAD + '[[rule]]\nquery = ["NUON"]\nkey = ["VERB"]',
            r"rule 1: key 'query': unknown tag 'NUON'; did you mean 'NOUN'",
        ),
        (HEAD + '[[rule]]\nquery = "NOUN"\nkey = ["VERB"]', r"rule 1: key 'query' must be a list of tags"),
        (HEAD + '[[rule]]\nquery = []\nkey = ["VERB"]', r"rule 1: key 'query' names no tag"),
        (HEAD + '[[rule]]\nquery = ["NOUN"]', r"rule 1: key 'key' is missing"),
        (HEAD + RULE + 'strength = "big"', r"rule 1: key 'strength' must be a number, but is 'big'"),
        (HEAD + RULE + "strength = nan", r"rule 1: key 'strength' must be finite"),
        (HEAD + RULE + "allow = 1", r"rule 1: key 'allow' must be true or false"),
        (HEAD + RULE + "layers = [-1]", r"rule 1: key 'layers': -1 is no number counted from 0"),
        (HEAD + RULE + "heads = []", r"rule 1: key 'heads' must be a list of numbers"),
        ('name = "g"\nsinks = ["NOUN"]', r"key 'sinks': 'NOUN' is no sink"),
        ('name = "g"\nsinks = ["[PAD]"]', r"padding is never read"),
        ('name = "g"\nsinks = ["[NEW]"]', r"key 'sinks': \[NEW\] is the tag of a word that is being generated"),
        (
            HEAD + '[[rule]]\nquery = ["NOUN"]\nkey = ["[NEW]"]',
            r"rule 1: key 'key': \[NEW\] is the tag of a word .*leave",
        ),
        ('name = "g"\nsink_tokens = 1.5', r"g\.toml: key 'sink_tokens' must be a whole number, but is 1\.5"),
        ('name = "g"\nsink_tokens = true', r"key 'sink_tokens' must be a whole number, but is True"),
        ('name = "g"\nsink_tokens = -1', r"key 'sink_tokens' must be 0 to 10,000, but is -1"),
        ('name = "g"\nsink_tokens = 10001', r"key 'sink_tokens' must be 0 to 10,000, but is 10001"),
        ('name = "g"\nsinktokens = 4', r"unknown key 'sinktokens'; did you mean 'sink_tokens'"),
        ('name = "g"\nrule = 3', r"key 'rule' must be a list of tables"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_place(tmp_path, text, message):
    path = tmp_path / "g.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(GrammarError, match=message):
        load_grammar(path)


def test_an_unknown_grammar_and_an_undecodable_file(tmp_path):
    with pytest.raises(GrammarError, match=r"no grammar 'papr'.*did you mean 'paper'"):
        load_grammar("papr")
    path = tmp_path / "g.toml"
    path.write_bytes(b'name = "\xff"')
    with pytest.raises(GrammarError, match=r"line 1 holds bytes that are not UTF-8 .* at byte 8"):
        load_grammar(path)


def test_a_grammar_must_fit_the_model():
    grammar = Grammar("g", rules=(Rule(("NOUN",), ("VERB",), layers=(0, 6)),))
    grammar.check_fits(layers=7, heads=1)
    with pytest.raises(GrammarError, match=r"rule 1: key 'layers' names 6, but the model has 6 layers"):
        grammar.check_fits(layers=6, heads=1)


def test_tag_ids_are_stable():
    assert (*UPOS, *STRUCTURAL) == TAGS
    assert [TAG_IDS[tag] for tag in ("ADJ", "X", "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[NEW]")] == [
        0, 16, 17, 18, 19, 20, 21,
    ]  # fmt: skip
