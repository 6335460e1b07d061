"""One grammar for each way through the kernels, and calls of them held against the oracle."""

import torch

import grammask
from grammask.attention import functional
from grammask.attention.backends import SPARSE
from grammask.attention.blocks import banded, limited, make_blocks, text
from grammask.attention.blocks.lookup import compile_lookup
from grammask.attention.dispatch import choose_backend
from grammask.attention.position_mask import FREE
from grammask.attention.reference import reference_attention
from grammask.grammar.grammar import Grammar
from grammask.grammar.masks import allowed_pairs, merge_masks, pair_strengths
from grammask.grammar.rules import Reach, Rule
from grammask.grammar.tables import compile_tables
from grammask.grammar.tags import PAD, UPOS

HEADS, HEAD_DIM = 3, 8


WORDS = tuple(UPOS)


BAND = Grammar(
    "band", rules=(Rule(WORDS, WORDS, Reach("words", -2, 4), 1.5), Rule(("[CLS]",), WORDS)), sinks=("[CLS]", "[SEP]")
)


# One list of grammars, one for each way through the kernels, feeds every test of sizes, dtypes and modes.
GRAMMARS = {
    "sorted": grammask.load_grammar("paper"),
    "sorted with sinks": grammask.load_grammar("paper-sinks"),
    "sorted, no tag reads itself": Grammar("selfless", rules=(Rule(("NOUN", "[SEP]"), ("VERB", "ADJ"), strength=1.0),)),
    "banded": BAND,
    "banded by sentence": Grammar("sentence", rules=(Rule(("NOUN", "VERB"), WORDS, Reach("sentence"), 2.0),)),
    "a band for each head": Grammar(
        "heads",
        rules=tuple(Rule(WORDS, WORDS, Reach("words", -head, 2), 0.5 + head, heads=(head,)) for head in range(3)),
    ),
    "a table for each head": Grammar(
        "tables", rules=tuple(Rule(("NOUN", "VERB", "ADJ"), WORDS[head::3], heads=(head,)) for head in range(2)),
        sinks=("[SEP]",), same_tag=True,
    ),
    "mixed": Grammar(
        "mixed", rules=(*BAND.rules, Rule(("PROPN", "NOUN"), ("PROPN", "VERB"), strength=3.0)), sinks=("[CLS]",)
    ),
    "lowering": Grammar("lowering", rules=(Rule(WORDS, WORDS, Reach("words", -1, 3), -2.0),)),
}  # fmt: skip


def draw(batch, *, dtype=torch.float64, seed=0, heads=HEADS, head_dim=HEAD_DIM, key_heads=None):
    """Draw queries, keys, values, and weights for a sum of the outputs."""
    generator = torch.Generator().manual_seed(seed)
    shape = batch.annotation["tag_ids"].shape
    return [
        torch.randn((*shape, some, head_dim), generator=generator, dtype=torch.float64)
        .transpose(1, 2).to(dtype).requires_grad_()
        for some in (heads, key_heads or heads, key_heads or heads, heads)
    ]  # fmt: skip


def oracle_mask(grammar, strategy, batch, *, layer=0, heads=HEADS, dtype=torch.float64, position=FREE, queries=None):
    """Return the grammar's mask ANDed with the model's own, for the last `queries` places."""
    tables = compile_tables(grammar, layer=layer, heads=heads)
    tag_ids = batch.annotation["tag_ids"]
    own = (tag_ids != PAD)[:, None, None, :] & _by_places(position, tag_ids.shape[1])
    if strategy == "hard":
        allowed = allowed_pairs(tables, **batch.annotation)
        mask = merge_masks(allowed | (tag_ids == PAD)[:, None, :, None], own)
    else:
        mask = merge_masks(pair_strengths(tables, **batch.annotation).to(dtype), own)
    return mask if queries is None else mask[:, :, -queries:]


def _by_places(position, length):
    """Return what a position mask means, pair by pair."""
    left, right = (length, length) if position.window is None else position.window
    pairs = [
        [-left <= key - query <= (min(right, 0) if position.causal else right) for key in range(length)]
        for query in range(length)
    ]
    return torch.tensor(pairs).view(length, length)


def compare(
    grammar,
    strategy,
    batch,
    *backends,
    layer=0,
    dtype=torch.float64,
    atol=1e-6,
    to_grad=1e-6,
    heads=HEADS,
    key_heads=None,
    position=FREE,
    queries=None,
):
    """Compare backends with the oracle over the rows of real tokens: values, and the gradients of all inputs.

    Keys have `key_heads` heads, None for as many as queries; queries are the last `queries` places, None for all.
    """
    query, key, value, weight = draw(batch, dtype=dtype, heads=heads, key_heads=key_heads)
    queries = queries or query.shape[2]
    query, weight = (tensor[:, :, -queries:].detach().requires_grad_() for tensor in (query, weight))
    real = (batch.annotation["tag_ids"] != PAD)[:, None, -queries:, None]
    exact = [tensor.detach().double().requires_grad_() for tensor in (query, key, value)]
    shared = [tensor.repeat_interleave(heads // tensor.shape[1], 1) for tensor in exact[1:]]
    mask = oracle_mask(grammar, strategy, batch, layer=layer, heads=heads, position=position, queries=queries)
    expected, _ = reference_attention(exact[0], *shared, mask, scale=HEAD_DIM**-0.5)
    wanted = torch.autograd.grad((expected * weight.double() * real).sum(), exact)
    for backend in backends:
        found = grammask.grammar_attention(
            query, key, value, **batch.annotation, grammar=grammar, strategy=strategy, layer=layer,
            attention_mask=batch.inputs["attention_mask"], causal=position.causal, window=position.window,
            backend=backend,
        )  # fmt: skip
        assert found.isfinite().all()
        torch.testing.assert_close(found.double() * real, expected * real, atol=atol, rtol=0)
        grads = torch.autograd.grad((found * weight * real).sum(), (query, key, value))
        for grad, wish in zip(grads, wanted, strict=True):
            torch.testing.assert_close(grad.double(), wish, atol=to_grad, rtol=0)


def fitting_backends(grammar, strategy, *, layer=0, heads=HEADS):
    """Return every backend of the CPU that does the grammar; sparse ones are the third and later, as in the table."""
    reaches = compile_lookup(compile_tables(grammar, layer=layer, heads=heads)).reaches
    blocks = [backend for backend in SPARSE if backend.kernel == "blocks"]  # flex has no backward pass on the CPU
    return ("dense", "auto", *(backend.name for backend in blocks if backend.does(strategy, reaches)))


def short_chunks(patch, chunk, *, views):
    """Take every window for wide, in chunks so short that a small text has several, of views of keys or of copies."""
    patch.setattr(text, "NARROW", 0)
    patch.setattr(make_blocks, "_WIDE", 0)
    patch.setattr(limited, "_chunk", lambda *_: chunk)
    patch.setattr(limited, "_SLAB", 3)
    patch.setattr(limited, "COPYING", 1 << 20 if views else 0)
    patch.setattr(banded, "_sizes", lambda width, columns, start: (chunk, 2 if columns else 1))


def choices_of_calls(monkeypatch):
    """Return the list that the choice of each call to come is added to."""
    chosen = []
    monkeypatch.setattr(functional, "choose_backend", lambda *call: chosen.append(choose_backend(*call)) or chosen[-1])
    return chosen
