"""The column of docs/induce.md that scripts/cover_treebank.py makes: arcs of a treebank under spaCy's tags."""

import runpy
from pathlib import Path

import numpy as np
from helpers.conllu import CONLLU

from grammask.grammar.grammar import Grammar
from grammask.grammar.rules import Rule
from grammask.grammar.tags import UPOS
from grammask.induce.arc_cells import Parse

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "cover_treebank.py"))


def test_words_get_the_tags_of_a_pipeline_and_keep_their_arcs():
    arcs = np.array([[0, 1], [1, 2]])
    parse = Parse(np.zeros(3, dtype=np.int32), arcs, ("The", "dog", "barks"))
    (again,) = SCRIPT["retag"]([parse], "en_core_web_sm")
    assert [UPOS[tag] for tag in again.tag_ids] == ["DET", "NOUN", "VERB"]
    assert again.arcs is arcs


def test_each_grammar_has_a_row(tmp_path, capsys):
    treebank, everything = tmp_path / "some.conllu", tmp_path / "everything.toml"
    treebank.write_text(CONLLU, encoding="utf-8")
    everything.write_text(Grammar("everything", (Rule(UPOS, UPOS),)).to_toml(), encoding="utf-8")
    SCRIPT["main"](treebank, [str(everything), "names"])
    *_, all_pairs, names = capsys.readouterr().out.splitlines()
    assert all_pairs.endswith("| 100.0 % | 100.0 % |")
    assert names == "| `names` | 0.0 % | 25.0 % |"
