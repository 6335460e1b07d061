"""Gathering what grammars are induced from: texts, parses, and a model's attention."""

from dataclasses import replace

import pytest
from helpers.conllu import CONLLU
from helpers.tiny_models import tiny_model
from helpers.tokenizers_for_tests import tokenizer

from grammask.errors import InputError
from grammask.grammar.file import load_grammar
from grammask.induce.build import Recipe, induce
from grammask.induce.corpus import Corpus, built_in_corpus, cells_from_conllu, cells_from_texts, read_corpus
from grammask.induce.curve import coverage_curve, measure_coverage

pytestmark = pytest.mark.usefixtures("own_cache")


SENTENCES = tuple(f"The old dog sees {number} small cats, and she runs home quickly." for number in range(12))


@pytest.mark.parametrize("source", ["attention", "both"])
def test_a_models_heads_are_induced_and_measured(tmp_path, source):
    said, made = [], tokenizer("wordpiece")
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": len(made), "pad_token_id": 0}
    tiny_model("bert", **sizes).base_model.save_pretrained(tmp_path)
    made.save_pretrained(tmp_path)
    gathered = cells_from_texts(
        Corpus("mine", SENTENCES, SENTENCES[:3]), source, attention_share=0.5, model=str(tmp_path),
        tagger="en_core_web_sm", say=said.append,
    )  # fmt: skip
    assert (gathered.layers, gathered.heads, gathered.cells.groups) == (2, 2, 4)
    assert set(gathered.held_out) == ({"attention"} if source == "attention" else {"arcs", "attention"})
    recipe = Recipe(0.4, 5, "head", offsets_share=0.5, layers=2, heads=2)
    grammar = induce(gathered.cells, recipe, name="heads")
    measured = measure_coverage(grammar, gathered)
    assert 0.3 < measured["density"] < 0.5
    assert 0 < measured["attention_covered"] < 1
    everything = induce(gathered.cells, recipe.at(1.0), name="everything")
    assert measure_coverage(everything, gathered)["attention_covered"] > measured["attention_covered"]
    assert gathered.facts["model_sha256"]
    if source == "both":  # the curve asks nothing else of attention alone
        check_curves(gathered, recipe)


def check_curves(gathered, recipe):
    rows = coverage_curve(gathered, recipe, print)
    assert [row["budget"] for row in rows] == [0.08, 0.1, 0.12, 0.15, 0.2, 0.3]
    assert [row["attention_covered"] for row in rows] == sorted(row["attention_covered"] for row in rows)
    # What words read anyway, themselves and their neighbours, is more than the least budgets.
    beside = coverage_curve(gathered, replace(recipe, start=load_grammar("neighbours")), print)
    assert [row["budget"] for row in beside] == [0.3]


def test_texts_and_treebanks_are_held_out(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(map(str, range(30))), encoding="utf-8")
    text = read_corpus(path, None)
    assert text.held_out == ("0", "10", "20")
    assert len(text.train) == 27
    assert read_corpus(path, 20).held_out == ("0", "10")
    path.write_text("one\ntwo\n", encoding="utf-8")
    with pytest.raises(InputError, match="holds 2 texts"):
        read_corpus(path, None)
    films = built_in_corpus(20)
    assert (len(films.train), len(films.held_out)) == (20, 20)
    assert not set(films.train) & set(films.held_out)
    treebank = tmp_path / "some.conllu"
    treebank.write_text(CONLLU * 20, encoding="utf-8")
    alone, beside = cells_from_conllu(treebank, None), cells_from_conllu(treebank, treebank)
    assert (alone.facts["texts"], beside.facts["texts"]) == (18, 20)
    assert alone.held_out["arcs"].all_gain == 2 * 3
