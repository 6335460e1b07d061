"""Inducing grammars: cells counted by hand, budgets kept, and rules that are read back as the cells they are from."""

import gzip
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.conllu import CONLLU
from helpers.tiny_models import tiny_model

from grammask.data import treebank
from grammask.errors import GrammarError, InputError
from grammask.grammar.describe import describe_rule
from grammask.grammar.file import load_grammar
from grammask.grammar.grammar import Grammar
from grammask.grammar.rules import Reach, Rule
from grammask.grammar.tags import CLS, PAD, SEP, TAG_IDS, UPOS
from grammask.induce.allowed import allowed_cells
from grammask.induce.arc_cells import Parse, dependent_cells, read_conllu, reader_cells
from grammask.induce.attention_cells import attention_cells
from grammask.induce.build import Recipe, induce
from grammask.induce.cells import FARTHEST, Cells, count_cells, mixed
from grammask.induce.choose_rules import cells_of, choose_rules
from grammask.induce.offsets import best_offsets
from grammask.induce.parsing import parse_texts

DET, NOUN, VERB = (TAG_IDS[tag] for tag in ("DET", "NOUN", "VERB"))
DOGS = Parse(np.array([DET, NOUN, VERB], dtype=np.int32), np.array([[0, 1], [1, 2]]), ("The", "dog", "barks"))


def parses(number, *, seed=0):
    """Random texts whose arcs follow a rule: each word hangs on the next, some on one farther off."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(number):
        size = int(rng.integers(2, 50))
        arcs = [(word, min(size - 1, word + int(rng.integers(1, 40)) ** (word % 3 == 0))) for word in range(size - 1)]
        found.append(Parse(rng.integers(0, 5, size).astype(np.int32), np.array(arcs)))
    return found


def test_pairs_are_counted():
    rng = np.random.default_rng(0)
    texts = [rng.integers(0, len(UPOS), size).astype(np.int32) for size in (1, 5, 40, 70)]
    pairs, far = count_cells(texts)
    wanted, wanted_far = np.zeros_like(pairs), np.zeros_like(far)
    for text in texts:
        for query, tag in enumerate(text):
            for key, other in enumerate(text):
                if abs(key - query) <= FARTHEST:
                    wanted[tag, other, key - query + FARTHEST] += 1
                else:
                    wanted_far[tag, other] += 1
    assert np.array_equal(pairs, wanted)
    assert np.array_equal(far, wanted_far)


def test_arcs_are_counted_once_for_one_reader():
    cells = dependent_cells([DOGS])
    assert cells.gain[0, DET, NOUN, FARTHEST + 1] == cells.gain[0, NOUN, VERB, FARTHEST + 1] == 1
    assert cells.all_gain == 2
    many = parses(60)
    reader, dependent = reader_cells(many), dependent_cells(many)
    assert reader.all_gain == dependent.all_gain == sum(len(parse.arcs) for parse in many)
    # What the readers are allowed covers the same arcs as counting them one by one does.
    allowed = reader.gain[0] > 3
    covered = sum(
        allowed[parse.tag_ids[one], parse.tag_ids[two], two - one + FARTHEST]
        or allowed[parse.tag_ids[two], parse.tag_ids[one], one - two + FARTHEST]
        for parse in many
        for one, two in parse.arcs
        if abs(one - two) <= FARTHEST
    )
    either = allowed | allowed.swapaxes(0, 1)[..., ::-1]
    assert dependent.coverage(either) == pytest.approx(covered / dependent.all_gain)


@pytest.mark.parametrize("by_query", [False, True])
@pytest.mark.parametrize("most_rules", [3, 40])
@pytest.mark.parametrize("budget", [0.15, 0.4])
def test_budgets_are_kept_and_used(budget, most_rules, by_query):
    cells = reader_cells(parses(200))
    rules = choose_rules(cells, budget=budget, most_rules=most_rules, by_query=by_query)
    density = cells.density(cells_of(rules, len(UPOS)))
    assert len(rules) <= most_rules
    assert 0.8 * budget < density <= budget


def test_the_best_cells_are_chosen():
    # Arcs lead to the next word only: with room for it, the rules must be exactly that.
    chain = [Parse(parse.tag_ids, np.stack([np.arange(len(parse.tag_ids) - 1), np.arange(1, len(parse.tag_ids))], 1))
             for parse in parses(100)]  # fmt: skip
    cells = dependent_cells(chain)
    rules = choose_rules(cells, budget=0.12, most_rules=10)
    assert cells.coverage(cells_of(rules, len(UPOS))) == 1.0
    assert all((rule.lo, rule.hi) == (1, 1) for rule in rules)


def test_a_spent_budget_is_refused():
    cells = reader_cells(parses(20))
    with pytest.raises(InputError, match=r"0\.001 is spent before the first rule"):
        induce(cells, Recipe(budget=0.001, most_rules=3), name="none")
    everything = np.ones_like(cells.pairs, dtype=bool)
    assert choose_rules(cells, budget=0.5, most_rules=3, near=everything) == []


def test_rules_read_back_as_their_cells():
    cells = reader_cells(parses(100))
    grammar = induce(cells, Recipe(budget=0.3, most_rules=20), name="induced")
    allowed = allowed_cells(grammar, layers=1, heads=1)
    rules = choose_rules(cells, budget=0.3, most_rules=20)
    assert np.array_equal(allowed.near[0], cells_of(rules, len(UPOS)))
    assert not allowed.far.any()
    assert grammar.sinks == ("[CLS]", "[SEP]")
    assert load_from(grammar) == grammar


def load_from(grammar):
    from grammask.grammar.file import parse_grammar

    return parse_grammar(grammar.to_toml())


def test_a_starting_grammar_is_kept_and_paid_for():
    start = Grammar("names", (Rule(("PROPN",), ("PROPN",)), Rule(("ADJ",), ("ADP",), Reach("words", -1, 2))))
    cells = reader_cells(parses(100))
    grammar = induce(cells, Recipe(budget=0.3, most_rules=20, start=start), name="more")
    assert grammar.rules[:2] == start.rules
    assert 0.2 < allowed_cells(grammar, layers=1, heads=1).densities(cells)[0] <= 0.3


def test_heads_get_rules_of_their_own_with_their_roles():
    base = reader_cells(parses(100))
    gain = np.concatenate([base.gain, base.gain[..., ::-1], base.gain, base.gain])  # the second head looks back
    cells = Cells(base.pairs, base.far_pairs, gain, np.repeat(base.far_gain, 4, 0))
    recipe = Recipe(budget=0.15, most_rules=4, scope="head", layers=2, heads=2)
    grammar = induce(cells, recipe, name="heads")
    of_heads = {}
    for rule in grammar.rules[1:]:
        of_heads.setdefault((rule.layers, rule.heads), []).append(rule)
        assert rule.name.startswith(f"layer {rule.layers[0]}, head {rule.heads[0]}: ")
    assert set(of_heads) == {((layer,), (head,)) for layer in (0, 1) for head in (0, 1)}
    assert all(len(rules) <= 4 for rules in of_heads.values())
    assert all(rule.reach.hi < 0 for rule in of_heads[(0,), (1,)])
    by_layer = induce(cells, Recipe(0.15, 4, "layer", layers=2, heads=2), name="layers")
    assert {rule.layers for rule in by_layer.rules[1:]} == {(0,), (1,)}
    assert not by_layer.varies_by_head


def test_offsets_meet_the_budget_on_the_mean():
    base = reader_cells(parses(300))
    cells = base.select([0] * 8)
    chosen = best_offsets(cells, budget=0.2)
    densities = [cells.density(np.broadcast_to(mask, cells.pairs.shape)) for mask in chosen]
    assert np.mean(densities) == pytest.approx(0.2, abs=0.01)
    grammar = induce(cells, Recipe(0.2, 1, "head", offsets_share=1.0, layers=2, heads=4), name="offsets")
    assert allowed_cells(grammar, layers=2, heads=4).densities(cells).mean() == pytest.approx(np.mean(densities))


def test_offsets_come_before_tags():
    base = reader_cells(parses(300))
    gain = np.concatenate([base.gain, base.gain[..., ::-1]])
    cells = Cells(base.pairs, base.far_pairs, gain, np.repeat(base.far_gain, 2, 0))
    for scope in ("all", "layer", "head"):
        recipe = Recipe(0.25, 5, scope, offsets_share=0.6, layers=1, heads=2)
        grammar = induce(cells, recipe, name="both")
        of_all = [rule for rule in grammar.rules[1:] if rule.query == rule.key == UPOS]
        assert of_all
        assert len(of_all) < len(grammar.rules) - 1
        assert 0.2 < allowed_cells(grammar, layers=1, heads=2).densities(cells).mean() <= 0.25
        assert (scope == "head") == grammar.varies_by_head
        assert not any(rule.strength for rule in grammar.rules)
        strong = induce(cells, replace(recipe, strength=1.5), name="both")
        assert [replace(rule, strength=0.0) for rule in strong.rules] == list(grammar.rules)
        assert [rule.strength for rule in strong.rules] == [0.0, *[1.5] * (len(strong.rules) - 1)]


def test_cells_of_a_grammar_agree_with_the_oracle():
    from grammask.grammar.masks import allowed_pairs
    from grammask.grammar.tables import compile_tables

    for name in ("paper", "banded", "mixed"):
        grammar = load_grammar(name)
        tags = np.random.default_rng(0).integers(0, len(UPOS), 60).astype(np.int32)
        ids = torch.from_numpy(tags).long()[None]
        oracle = allowed_pairs(compile_tables(grammar), tag_ids=ids, word_ids=torch.arange(60)[None])[0, 0].numpy()
        allowed = allowed_cells(grammar, layers=1, heads=1)
        offset = np.arange(60)[None] - np.arange(60)[:, None]
        pair = tags[:, None], tags[None]
        near = allowed.near[0][*pair, np.clip(offset, -FARTHEST, FARTHEST) + FARTHEST]
        assert np.array_equal(np.where(abs(offset) <= FARTHEST, near, allowed.far[0][pair]), oracle)
    with pytest.raises(GrammarError, match="sentence reach"):
        allowed_cells(Grammar("s", (Rule(UPOS, UPOS, Reach("sentence")),)), layers=1, heads=1)


def test_attention_is_summed_by_words():
    model = tiny_model("bert", attn_implementation="eager")
    generator = torch.Generator().manual_seed(1)
    batch = {
        "input_ids": torch.randint(5, 100, (2, 6), generator=generator),
        "attention_mask": torch.tensor([[1] * 6, [1, 1, 1, 1, 0, 0]]),
        "tag_ids": torch.tensor([[CLS, NOUN, NOUN, VERB, DET, SEP], [CLS, DET, VERB, SEP, PAD, PAD]]),
        "word_ids": torch.tensor([[-1, 0, 0, 1, 2, -1], [-1, 0, 1, -1, -1, -1]]),
        "sentence_ids": torch.zeros(2, 6, dtype=torch.long),
    }
    cells = attention_cells(model, [batch])
    assert model.config._attn_implementation == "eager"
    with torch.no_grad():
        weights = model.base_model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], output_attentions=True
        ).attentions
    head = weights[1][0, 2]  # layer 1, head 2, of the first text
    group = 1 * 4 + 2
    assert cells.gain.shape[0] == 12
    # The noun's two subwords pay the verb half of what they pay together; it pays the noun both subwords' shares.
    assert cells.gain[group, NOUN, VERB, FARTHEST + 1] == pytest.approx(float(head[1:3, 3].mean()))
    assert cells.gain[group, VERB, NOUN, FARTHEST - 1] == pytest.approx(float(head[3, 1:3].sum()))
    assert cells.pairs[NOUN, VERB, FARTHEST + 1] == 1
    assert cells.all_pairs == 3 * 3 + 2 * 2


def test_mixing_weighs_both():
    one, other = reader_cells(parses(50)), reader_cells(parses(50, seed=1)).select([0, 0])
    cells = mixed(one, other, 0.25)
    assert cells.groups == 2
    assert cells.all_gain == pytest.approx(1.0)
    assert cells.gain[0] == pytest.approx(cells.gain[1])
    only = mixed(one, other, 0.0)
    assert only.gain[1] == pytest.approx(one.gain[0] / one.all_gain / 2)
    assert np.array_equal(cells.pairs, one.pairs)


def test_conllu_files(tmp_path):
    path, packed = tmp_path / "one.conllu", tmp_path / "one.conllu.gz"
    path.write_text(CONLLU, encoding="utf-8")
    packed.write_bytes(gzip.compress(CONLLU.encode()))
    for file in (path, packed):
        (parse,) = read_conllu(file)
        assert [UPOS[tag] for tag in parse.tag_ids] == ["NOUN", "AUX", "PART", "VERB"]
        assert parse.arcs.tolist() == [[0, 3], [1, 3], [2, 3]]
        assert parse.forms == ("Dogs", "do", "n't", "bark")
    for broken, message in (
        (CONLLU.replace("\tNOUN\t", "\tNN\t"), r"sentence 1, word 1 \(Dogs\): UPOS is 'NN'"),
        (CONLLU.replace("\t4\tnsubj", "\t9\tnsubj"), "head is 9"),
        ("", "no sentence"),
    ):
        path.write_text(broken, encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_conllu(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_conllu(tmp_path / "none.conllu")


def test_a_corpus_that_unpacks_to_any_number_of_lines_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "bomb.conllu.gz"
    for content, message in (
        (b"# a\n" * 10_001 + CONLLU.encode(), "no sentence ends within 10,000 lines"),
        (b"\n" * 10_001 + CONLLU.encode(), "no sentence ends within 10,000 lines"),
        (CONLLU.encode().replace(b"\n\n", b"\n") * 2_500, "no sentence ends within 10,000 lines"),
        (b"# " + b"a" * 10**8, "a line has more than 100,000 characters"),
    ):
        path.write_bytes(gzip.compress(content))
        with pytest.raises(InputError, match=message):
            read_conllu(path)
    path.write_bytes(gzip.compress(b"# a\n" * 9_990 + CONLLU.encode() * 3_000))
    assert len(read_conllu(path)) == 3_000
    monkeypatch.setattr(treebank, "_LARGEST_CORPUS", len(CONLLU))
    path.write_bytes(gzip.compress(CONLLU.encode()))
    assert len(read_conllu(path)) == 1
    path.write_bytes(gzip.compress(CONLLU.encode() + b"\n"))
    with pytest.raises(InputError, match="holds more than .* characters; split it"):
        read_conllu(path)


def test_a_packed_corpus_that_was_cut_or_changed_is_refused(tmp_path):
    path, packed = tmp_path / "cut.conllu.gz", gzip.compress(CONLLU.encode())
    for content in (packed[:-9], packed[:20], packed[:10] + b"\xff" * 20):
        path.write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            read_conllu(path)


def test_spacy_arcs_are_drawn_as_universal_dependencies():
    (parse,) = parse_texts(["She looks at the sea, and the sea is calm."], "en_core_web_sm")
    arcs = {(parse.forms[word], parse.forms[head]) for word, head in parse.arcs}
    assert {("She", "looks"), ("sea", "looks"), ("at", "sea"), ("sea", "calm"), ("is", "calm")} <= arcs
    (parse,) = parse_texts(["She bought apples, pears and plums."], "en_core_web_sm")
    arcs = {(parse.forms[word], parse.forms[head]) for word, head in parse.arcs}
    assert {("apples", "bought"), ("pears", "apples"), ("plums", "apples"), ("and", "plums")} <= arcs


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule(("ADJ", "DET"), ("NOUN",), Reach("words", 1, 3)), "ADJ DET read NOUN up to 3 after"),
        (Rule(UPOS, UPOS, Reach("words", -1, -1)), "all words read all words 1 before"),
        (Rule(("VERB",), UPOS[:-1], Reach("words", -4, -2)), "VERB read all but X 2 to 4 before"),
        (Rule(("VERB",), ("NOUN",), Reach("words", -2, 5)), "VERB read NOUN from 2 before to 5 after"),
        (Rule(("PROPN",), ("PROPN",)), "PROPN read PROPN anywhere"),
    ],
)
def test_rules_in_words(rule, words):
    assert describe_rule(rule) == words
