"""Controls keep what they say they keep and break what they say they break."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny_models import tiny_model

import grammask
from grammask.attention.inputs import Annotation
from grammask.attention.plan import Plan
from grammask.errors import ExperimentError, InputError
from grammask.experiment.controls.control import TagControl, control
from grammask.experiment.controls.other_grammars import control_grammar
from grammask.experiment.controls.other_tags import make_retag
from grammask.experiment.controls.random_pairs import RandomPairs
from grammask.experiment.controls.registry import CONTROLS, find_control
from grammask.grammar.file import load_grammar
from grammask.grammar.grammar import Grammar
from grammask.grammar.masks import allowed_pairs
from grammask.grammar.rules import Reach, Rule
from grammask.grammar.tables import compile_layers
from grammask.grammar.tags import CLS, PAD, SEP, TAG_IDS, UPOS
from grammask.induce.allowed import allowed_cells
from grammask.induce.cells import Cells, count_cells
from grammask.model.attach import attach, set_mask_transform

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)
TEXTS = [RNG.integers(0, len(UPOS), size).astype(np.int32) for size in RNG.integers(3, 40, 150)]
BASE = Grammar(
    "base",
    (
        Rule(("[CLS]", "NOUN"), UPOS),
        Rule(UPOS[:9], UPOS[5:], Reach("words", 1, 5), heads=(0,)),
        Rule(UPOS, ("VERB",), Reach("words", -9, -2), heads=(1,), layers=(1,)),
    ),
    sinks=("[CLS]", "[SEP]"),
)


def density(grammar, *, layers=2, heads=2):
    pairs, far = count_cells(TEXTS)
    cells = Cells(pairs, far, np.zeros((0, *pairs.shape)), np.zeros((0, *far.shape)))
    return allowed_cells(grammar, layers=layers, heads=heads).densities(cells).mean()


@pytest.mark.parametrize("name", ["window", "window-sinks", "offsets"])
def test_windows_and_offsets_have_the_same_density_and_no_tags(name):
    found = control_grammar(find_control(name), BASE, TEXTS, layers=2, heads=2, seed=0)
    assert density(found) == pytest.approx(density(BASE), abs=0.02)
    assert all(set(UPOS) in (set(rule.query), set(rule.key)) or "[CLS]" in rule.query for rule in found.rules)
    assert found.sinks == (() if name == "window" else BASE.sinks)
    assert Rule(("[CLS]",), UPOS) in found.rules  # what structural tokens read is no matter of words


def test_offsets_keep_each_heads_locality():
    ahead = Grammar(
        "ahead",
        (
            Rule(UPOS[:8], UPOS, Reach("words", 2, 3), heads=(0,)),
            Rule(UPOS[3:], UPOS, Reach("words", -1, -1), heads=(1,)),
        ),
    )
    found = control_grammar(find_control("offsets"), ahead, TEXTS, layers=1, heads=2, seed=0)
    reaches = {(rule.heads, rule.reach.lo) for rule in found.rules}
    assert ((1,), -1) in reaches
    assert ((0,), -1) not in reaches


def test_permuted_rules_and_self():
    permuted = control_grammar(find_control("permuted"), BASE, TEXTS, layers=2, heads=2, seed=1)
    assert [rule.reach for rule in permuted.rules] == [rule.reach for rule in BASE.rules]
    assert [len(rule.query) for rule in permuted.rules] == [len(rule.query) for rule in BASE.rules]
    assert permuted.rules != BASE.rules
    assert permuted != control_grammar(find_control("permuted"), BASE, TEXTS, layers=2, heads=2, seed=2)
    alone = control_grammar(find_control("self-sinks"), BASE, TEXTS, layers=2, heads=2, seed=0)
    assert alone.rules == (Rule(("[CLS]",), UPOS),)
    assert alone.sinks == BASE.sinks


def test_controls_keep_sink_tokens_where_they_keep_sinks():
    first = replace(BASE, sink_tokens=4)
    kept = {"window": 0, "window-sinks": 4, "offsets": 4, "permuted": 4, "self-sinks": 4}
    for name, count in kept.items():
        assert control_grammar(find_control(name), first, TEXTS, layers=2, heads=2, seed=0).sink_tokens == count


def text(seed=0):
    rng = np.random.default_rng(seed)
    words = np.repeat(np.arange(12), rng.integers(1, 3, 12))
    tags = rng.integers(0, len(UPOS), 12)
    return {
        "input_ids": [0, *(100 + words).tolist(), 1], "word_ids": [-1, *words.tolist(), -1],
        "tag_ids": [CLS, *tags[words].tolist(), SEP], "sentence_ids": [-1, *(words // 6).tolist(), -1],
    }  # fmt: skip


def words_of(ids, tags):
    return [
        tag
        for place, tag in enumerate(tags)
        if ids["word_ids"][place] >= 0 and ids["word_ids"][place] != ids["word_ids"][place - 1]
    ]


def test_shuffled_tags_stay_in_their_sentence():
    given = text()
    retag = make_retag(find_control("shuffled"), [], seed=0)
    found = retag(given, 0)
    before, after = words_of(given, given["tag_ids"]), words_of(given, found)
    assert sorted(before[:6]) == sorted(after[:6])
    assert sorted(before[6:]) == sorted(after[6:])
    assert before != after
    assert (found[0], found[-1]) == (CLS, SEP)
    assert all(
        found[i] == found[j] for i in range(1, 12) for j in range(1, 12) if given["word_ids"][i] == given["word_ids"][j]
    )
    assert retag(given, 0) == found != retag(given, 1)


def test_corrupted_tags_are_so_many():
    retag = make_retag(find_control("corrupted-30"), [], seed=0)
    changed = [
        one != other
        for number in range(200)
        for one, other in zip(
            words_of(text(number), text(number)["tag_ids"]),
            words_of(text(number), retag(text(number), number)),
            strict=True,
        )
    ]
    assert np.mean(changed) == pytest.approx(0.3 * 16 / 17, abs=0.03)  # one draw in 17 is the tag it was


def test_the_lookup_gives_each_word_its_most_frequent_tag():
    one = {"input_ids": [0, 7, 8, 7, 1], "word_ids": [-1, 0, 1, 2, -1], "tag_ids": [CLS, 3, 4, 3, SEP]}
    other = {"input_ids": [0, 7, 1], "word_ids": [-1, 0, -1], "tag_ids": [CLS, 5, SEP]}
    retag = make_retag(find_control("lookup"), [one, other], seed=0)
    asked = {"input_ids": [0, 7, 9, 8, 1], "word_ids": [-1, 0, 1, 2, -1], "tag_ids": [CLS, 0, 0, 0, SEP]}
    assert retag(asked, 0) == [CLS, 3, TAG_IDS["NOUN"], 4, SEP]


def annotation(*, padding=2):
    tags = torch.tensor([[CLS, *range(8), 8, SEP, *[PAD] * padding]])
    words = torch.tensor([[-1, *range(8), 7, -1, *[-1] * padding]])
    return Annotation(tags, words, None)


def test_random_rows_keep_their_counts_self_and_sinks():
    at = annotation()
    for layer, tables in enumerate(compile_layers(BASE, layers=2, heads=2)):
        allowed = allowed_pairs(tables, tag_ids=at.tag_ids, word_ids=at.word_ids)
        drawn = RandomPairs(0)(allowed, at, layer)
        assert torch.equal(drawn.sum(-1), allowed.sum(-1).expand_as(drawn.sum(-1)))
        others = (
            (at.word_ids[:, :, None] != at.word_ids[:, None, :])
            & (at.word_ids >= 0)[:, :, None]
            & (at.word_ids >= 0)[:, None]
        )
        assert torch.equal(drawn & ~others[:, None], allowed & ~others[:, None])
        assert not torch.equal(drawn, allowed)
        assert not torch.equal(drawn, RandomPairs(1)(allowed, at, layer))
        # Padding and the rest of the batch change nothing.
        wider = annotation(padding=5)
        again = RandomPairs(0)(allowed_pairs(tables, tag_ids=wider.tag_ids, word_ids=wider.word_ids), wider, layer)
        assert torch.equal(again[..., :13, :13], drawn)


def test_a_model_reads_what_the_mask_transform_makes():
    model = tiny_model("bert")
    at = annotation(padding=0)
    batch = {"input_ids": torch.arange(5, 16)[None], "tag_ids": at.tag_ids, "word_ids": at.word_ids}
    attach(model, Grammar("g", (Rule(("[CLS]",), UPOS), Rule(UPOS[:9], UPOS, Reach("words", 1, 2)))))
    plain = model(**batch).logits
    set_mask_transform(model, RandomPairs(0))
    drawn = model(**batch).logits
    assert not torch.allclose(plain, drawn)
    assert torch.equal(drawn, model(**batch).logits)
    plan = Plan(
        at,
        strategy="hard",
        layer_tables=compile_layers(load_grammar("banded"), layers=1, heads=1),
        mask_transform=RandomPairs(0),
        shape=(1, 11),
    )
    assert "mask transform" in str(grammask.explain_dispatch(plan, heads=4, head_dim=8))
    with pytest.raises(InputError, match="mask transform"):
        grammask.explain_dispatch(plan, heads=4, head_dim=8, backend="banded")


def test_names():
    assert find_control("corrupted-5").share == 0.05
    assert find_control("corrupted-5").description == "5 % of the words have a tag drawn at random"
    for name in CONTROLS:
        if name != "corrupted-N":
            assert find_control(name) is CONTROLS[name]
    with pytest.raises(ExperimentError, match="did you mean 'window'"):
        find_control("windw")
    with pytest.raises(ExperimentError, match="unknown control 'corrupted-0'; did you mean 'corrupted-20'"):
        find_control("corrupted-0")
    for wrong in ("corrupted-101", "corrupted-N", "window-20"):
        with pytest.raises(ExperimentError, match=f"unknown control '{wrong}'"):
            find_control(wrong)


def test_the_documentation_lists_every_control_as_it_is_registered():
    page = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
    section = page.split("## Controls")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", section, re.MULTILINE)
    assert rows == [(name, control.description) for name, control in CONTROLS.items()]


def test_a_control_is_one_function_under_its_name(monkeypatch):
    monkeypatch.setattr("grammask.experiment.controls.control.CONTROLS", made := {})

    @control(TagControl, "nouns-N", "N % are nouns")
    def nouns(inputs):
        return lambda text, number: [TAG_IDS["NOUN"]] * round(10 * inputs.share)

    assert list(made) == ["nouns-N"]
    monkeypatch.setattr("grammask.experiment.controls.registry.CONTROLS", made)
    found = find_control("nouns-30")
    assert (found.name, found.description) == ("nouns-30", "30 % are nouns")
    assert make_retag(found, [], seed=0)({}, 0) == [TAG_IDS["NOUN"]] * 3


def test_controls_have_names_without_torch():
    code = "import sys, grammask.experiment.controls.registry; assert not {'torch', 'datasets'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
