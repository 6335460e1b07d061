"""Count the pairs that FlexAttention's blocks hold under the shipped grammars: python scripts/measure_flex_blocks.py.

It writes results/flex-blocks.json and prints the table of docs/kernels.md. Counts need no GPU, and are no times.
"""

import argparse
from itertools import product
from pathlib import Path
from typing import Any, Final

from torch import Tensor

import grammask
from grammask.attention.blocks.lookup import compile_lookup
from grammask.attention.density import count_allowed
from grammask.attention.flex.calls import FlexCalls
from grammask.attention.flex.side import BLOCK
from grammask.attention.inputs import Annotation
from grammask.attention.position_mask import FREE, PositionMask
from grammask.bench.documents import DocumentBatches, load_long_text
from grammask.bench.models import BenchModel
from grammask.files.write import dump, write_whole
from grammask.grammar.grammar import Grammar
from grammask.grammar.tables import compile_layers
from grammask.tagging.load_tagger import load_tagger
from grammask.tagging.spacy_tagger import DEFAULT_PIPELINE

SHIPPED: Final[Path] = Path(grammask.__file__).parent / "grammar" / "shipped"
MASKS: Final = {"none": FREE, "causal": PositionMask(causal=True)}


def main() -> None:
    """Count each grammar at each length and under each mask, write all rows, and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "flex-blocks.json")
    parser.add_argument("--lengths", default="1024,4096")
    options = parser.parse_args()
    lengths = [int(length) for length in options.lengths.split(",")]
    tokenizer = BenchModel("minilm", longest=max(lengths), attention_dropout=0.0, seed=0).tokenizer
    text, tagger = load_long_text(None, tokenizer), load_tagger(DEFAULT_PIPELINE)
    documents = DocumentBatches(text, tokenizer, tagger, seed=0)
    batches = {length: Annotation(**documents.whole(1, length)) for length in lengths}
    rows = []
    for path, mask, length in product(sorted(SHIPPED.glob("*.toml")), MASKS, lengths):
        grammar = grammask.load_grammar(path.stem)
        rows.append({"grammar": grammar.name, "mask": mask, "length": length, **count(grammar, batches[length], mask)})
        print(line(rows[-1]), flush=True)  # noqa: T201
    record = {
        "text": {"source": text.name, "tokens": text.tokens}, "block": BLOCK,
        "tagger": {"name": tagger.name, "version": tagger.version}, "rows": rows,
    }  # fmt: skip
    write_whole(options.out, dump(record))


def count(grammar: Grammar, annotation: Annotation, mask: str) -> dict[str, Any]:
    """Return shares of all pairs, means over heads and layers: those in blocks, and in full ones; and those allowed.

    Allowed ones are counted where all layers have the same rules: each pair is looked at.
    """
    heads = 1 + max((head for rule in grammar.rules for head in rule.heads or ()), default=0)
    layers = compile_layers(grammar, layers=max(1, grammar.layers_named), heads=heads)
    length = annotation.tag_ids.shape[1]
    totals = dict.fromkeys(("calls", "computed", "full"), 0.0)
    distinct = {id(tables): tables for tables in layers}
    for tables in distinct.values():
        same = sum(other is tables for other in layers)
        reaches = compile_lookup(tables).reaches
        calls = FlexCalls(annotation, "hard", None).of(tables, reaches, MASKS[mask], length)
        totals["calls"] += same * len(calls)
        for call in calls:
            totals["computed"] += same * share(call.blocks.kv_num_blocks, length)
            totals["full"] += same * share(call.blocks.full_kv_num_blocks, length)
    totals["computed"] += totals["full"]
    shares = {name: round(total / len(layers), 5) for name, total in totals.items()}
    if len(distinct) > 1:
        return {"allowed": None, **shares}
    counts = count_allowed(layers[0], annotation, MASKS[mask])
    return {"allowed": round(counts.allowed / (layers[0][0].allowed.shape[0] * length**2), 5), **shares}


def share(counts: Tensor, length: int) -> float:
    """Return the share of all pairs that lie in listed blocks, as a mean over heads."""
    return float(counts.sum()) / counts.shape[1] / len(counts) * BLOCK**2 / length**2


def line(row: dict[str, Any]) -> str:
    """Return a row of the page's table."""
    values = [row[name] for name in ("allowed", "computed", "full")]
    shares = " | ".join("" if value is None else f"{100 * value:.1f} %" for value in values)
    return f"| {row['grammar']} | {row['mask']} | {row['length']:,} | {shares} |"


if __name__ == "__main__":
    main()
