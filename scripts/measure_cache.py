"""Measure GrammarCache: python scripts/measure_cache.py --model FOLDER --grammar NAME --out FILE [--rounding].

For each length: bytes next to those of a DynamicCache, the largest difference of logits from the same guided model with
a whole cache, and the times of prefill and of one more token next to the stock model's, in turns, with the median of
their ratios. A text that --text gives is tagged, which counts to its prefill; else tokens are random, and tags as
frequent as in English.

With --rounding, instead, what of the difference is rounding: the largest differences of logits between both caches in
float32 and in float64, and how far float32 is from float64 with each, and in the stock model.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

import grammask
from grammask.environment import environment
from grammask.files.write import dump, write_whole
from grammask.grammar.tags import TAG_IDS
from grammask.model.named_models import find_model, load_causal, load_tokenizer

# Tags of 100 English words.
FREQUENCIES: Final[dict[str, float]] = {
    "NOUN": 18, "PUNCT": 12, "VERB": 12, "ADP": 10, "DET": 9, "PRON": 7, "ADJ": 7, "PROPN": 7, "ADV": 5, "AUX": 5,
    "CCONJ": 3, "NUM": 2, "PART": 2, "SCONJ": 1,
}  # fmt: skip
ROUNDS: Final[int] = 3  # of prefill
WHOLE: Final[int] = 3  # tokens that are also read with a whole cache
CLOCKS: Final[dict[str, Callable[[], float]]] = {"wall": time.perf_counter, "cpu": time.process_time}


def main() -> None:
    """Measure each length, print a line of it, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--grammar", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--lengths", default="512,8192")
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounding", action="store_true")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: on a machine that others use too")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    source = find_model(options.model)
    stock, *others = (load_causal(source).to(torch.float32) for _ in range(1 if options.rounding else 2))  # type: ignore[arg-type]
    for guided in others:
        grammask.attach(guided, options.grammar)
    rows = []
    clock = CLOCKS[options.clock]
    for length in map(int, options.lengths.split(",")):
        tokens = length + options.steps
        inputs, tagging = read_text(options, length, tokens, clock) if options.text else (made_up(stock, tokens), 0.0)
        if options.rounding:
            rows.append(rounding(stock, options.grammar, inputs, length))
        else:
            rows.append(measure(stock, others[0], inputs, length, tagging, clock))
        print(rows[-1], flush=True)  # noqa: T201
    settings = {name: value if isinstance(value, int) else str(value) for name, value in vars(options).items()}
    record = {"settings": settings, "environment": environment("float32"), "rows": rows}
    write_whole(options.out, dump(record))


def read_text(
    options: argparse.Namespace, length: int, tokens: int, clock: Callable[[], float]
) -> tuple[dict[str, Tensor], float]:
    """Return the first tokens of a text, tagged, and the milliseconds that tagging a `length` of it takes."""
    annotate = grammask.Annotator(load_tokenizer(find_model(options.model)), cache=False)
    read = annotate.read(options.text.read_text(encoding="utf-8"))
    if read.inputs["input_ids"].shape[1] < tokens:
        raise SystemExit(f"{options.text} has {read.inputs['input_ids'].shape[1]} tokens, but {tokens} are asked for")
    text = annotate.tokenizer.decode(read.inputs["input_ids"][0, :length])
    times = []
    for _ in range(ROUNDS):
        begun = clock()
        annotate(text, return_tensors="pt")
        times.append(1000 * (clock() - begun))
    return {name: read.inputs[name][:, :tokens] for name in ("input_ids", "tag_ids", "word_ids")}, median(times)


def made_up(model: PreTrainedModel, tokens: int) -> dict[str, Tensor]:
    """Return random tokens, five of them in four words."""
    generator = torch.Generator().manual_seed(0)
    word_ids = (torch.arange(tokens) * 4 // 5)[None]
    drawn = torch.multinomial(
        torch.tensor([*FREQUENCIES.values()], dtype=torch.float32), tokens, replacement=True, generator=generator
    )
    tags = torch.tensor([TAG_IDS[tag] for tag in FREQUENCIES])[drawn]
    input_ids = torch.randint(100, model.config.vocab_size - 100, (1, tokens), generator=generator)
    return {"input_ids": input_ids, "tag_ids": tags[word_ids], "word_ids": word_ids}


@torch.no_grad()
def measure(
    stock: PreTrainedModel, guided: PreTrainedModel, inputs: dict[str, Tensor], length: int, tagging: float,
    clock: Callable[[], float],
) -> dict[str, Any]:  # fmt: skip
    """Return bytes, the largest difference of logits, and times in milliseconds, for a text of a length."""
    ids, annotation = inputs.pop("input_ids"), inputs

    def ask(model: PreTrainedModel, cache: Any, start: int, end: int) -> tuple[Tensor, float]:
        known = {} if model is stock else {name: each[:, :end] for name, each in annotation.items()}
        begun = clock()
        logits = model(input_ids=ids[:, start:end], past_key_values=cache, logits_to_keep=1, **known).logits
        return logits, 1000 * (clock() - begun)

    prefill = []
    for _ in range(ROUNDS):
        full, kept = DynamicCache(), grammask.GrammarCache(guided)
        prefill.append((ask(stock, full, 0, length)[1], tagging + ask(guided, kept, 0, length)[1]))
    whole = DynamicCache()
    ask(guided, whole, 0, length)
    nbytes, nbytes_full = kept.nbytes, kept.nbytes_full
    steps, difference = [], 0.0
    for start in range(length, ids.shape[1]):
        times = ask(stock, full, start, start + 1)[1], ask(guided, kept, start, start + 1)
        steps.append((times[0], times[1][1]))
        if start < length + WHOLE:
            expected, _ = ask(guided, whole, start, start + 1)
            difference = max(difference, float((times[1][0] - expected).abs().max()))
    return {
        "length": length, "nbytes": nbytes, "nbytes_full": nbytes_full, "share": nbytes / nbytes_full,
        "difference": difference, "tagging_ms": tagging, **medians("prefill", prefill), **medians("decode", steps),
    }  # fmt: skip


def medians(name: str, times: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Return the medians of the stock model's times and the guided one's, and of their ratios."""
    stock, guided = (median(own) for own in zip(*times, strict=True))
    ratio = median(first / second for first, second in times)
    return {f"{name}_stock_ms": stock, f"{name}_ms": guided, f"{name}_ratio": ratio}


@torch.no_grad()
def rounding(model: PreTrainedModel, grammar: str, inputs: dict[str, Tensor], length: int) -> dict[str, Any]:
    """Return the largest differences of logits of the tokens after `length`, between caches and between dtypes."""
    ids, annotation = inputs.pop("input_ids"), inputs

    def logits(cache: Any, *, guided: bool = True) -> Tensor:
        found = []
        for start, end in pairwise([0, *range(length, length + WHOLE + 1)]):
            known = {name: each[:, :end] for name, each in annotation.items()} if guided else {}
            found.append(model(input_ids=ids[:, start:end], cache=cache, logits_to_keep=1, **known).logits)
        return torch.cat(found[1:], 1).double()

    found = {}
    for dtype in (torch.float32, torch.float64):
        model.to(dtype)  # type: ignore[arg-type]
        stock = logits(DynamicCache(), guided=False)
        with grammask.attached(model, grammar):
            found[dtype] = {
                "stock": stock,
                "whole": logits(DynamicCache()),
                "kept": logits(grammask.GrammarCache(model)),
            }
    model.to(torch.float32)  # type: ignore[arg-type]
    single, double = found.values()
    apart = {f"{name}_float32_from_float64": float((single[name] - double[name]).abs().max()) for name in single}
    between = {
        f"difference_{str(dtype).removeprefix('torch.')}": float((of["kept"] - of["whole"]).abs().max())
        for dtype, of in found.items()
    }
    return {"length": length, **between, **apart, "largest_logit": float(double["stock"].abs().max())}


if __name__ == "__main__":
    main()
