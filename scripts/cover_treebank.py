"""Print how many arcs of a treebank grammars cover when spaCy tags its words: the last columns of docs/induce.md.

    python scripts/cover_treebank.py en_ewt-ud-dev.conllu english english-near english-lean

The arcs are the treebank's own, so that a grammar is measured against them under the tags that it will meet.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from spacy.tokens import Doc

from grammask.grammar.file import load_grammar
from grammask.grammar.tags import TAG_IDS
from grammask.induce.arc_cells import Parse, dependent_cells, read_conllu
from grammask.induce.corpus import InductionData
from grammask.induce.curve import measure_coverage
from grammask.tagging.spacy_tagger import load_pipeline


def retag(parses: Sequence[Parse], pipeline: str) -> Iterator[Parse]:
    """Yield the parses with a pipeline's tag for each word; arcs stay. Raises `TaggingError`."""
    nlp = load_pipeline(pipeline, "sentencizer")
    docs = nlp.pipe((Doc(nlp.vocab, words=list(parse.forms)) for parse in parses), batch_size=256)
    for parse, doc in zip(parses, docs, strict=True):
        tags = np.array([TAG_IDS.get(token.pos_, TAG_IDS["X"]) for token in doc], dtype=np.int32)
        yield replace(parse, tag_ids=tags)


def main(treebank: Path, grammars: Sequence[str]) -> None:
    """Print a row of the table for each grammar, a shipped name or a file."""
    cells = dependent_cells(list(retag(read_conllu(treebank), "en_core_web_sm")))
    data = InductionData(cells, {"arcs": cells}, layers=1, heads=1, facts={})
    rows = ["| grammar | arcs covered | word density |", "|---|---|---|"]
    for name in grammars:
        measured = measure_coverage(load_grammar(name), data)
        rows.append(f"| `{name}` | {100 * measured['arcs_covered']:.1f} % | {100 * measured['density']:.1f} % |")
    print("\n".join(rows))  # noqa: T201 - what the script is for


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
