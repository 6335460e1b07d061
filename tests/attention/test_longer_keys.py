"""Queries that are the end of longer keys, as with a cache: the last rows of the whole attention, in every backend."""

import pytest
import torch
from helpers.attention_calls import GRAMMARS, HEAD_DIM, draw, fitting_backends, oracle_mask
from helpers.batches import random_batch

import grammask
from grammask.attention.arguments import check_mask
from grammask.attention.reference import reference_attention
from grammask.errors import InputError
from grammask.grammar.tags import PAD

LENGTH = 70


def position_mask(causal, window):
    query, key = torch.arange(LENGTH)[:, None], torch.arange(LENGTH)
    near = torch.ones(LENGTH, LENGTH, dtype=torch.bool)
    if window is not None:
        near = (key >= query - window[0]) & (key <= query + window[1]) | (key == query)
    return near & (key <= query) if causal else near


@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("name", GRAMMARS)
@pytest.mark.parametrize("queries", [1, 37])
@pytest.mark.parametrize(("causal", "window"), [(False, None), (True, None), (True, (5, 3))], ids=str)
def test_the_last_queries_equal_those_of_the_whole(name, strategy, queries, causal, window):
    grammar, batch = GRAMMARS[name], random_batch((LENGTH, 41))
    own = position_mask(causal, window)
    mask = oracle_mask(grammar, strategy, batch, heads=6)
    mask = (mask & own if strategy == "hard" else mask.masked_fill(~own, -torch.inf))[:, :, -queries:]
    query, key, value, weight = draw(batch, heads=6, key_heads=2)
    inputs = query[:, :, -queries:], key, value
    exact = [tensor.detach().requires_grad_() for tensor in inputs]
    repeated = (tensor.repeat_interleave(3, 1) for tensor in exact[1:])
    expected, _ = reference_attention(exact[0], *repeated, mask, scale=HEAD_DIM**-0.5)
    weight = weight[:, :, -queries:] * (batch.annotation["tag_ids"] != PAD)[:, None, -queries:, None]
    wanted = torch.autograd.grad((expected * weight).sum(), exact)
    for backend in fitting_backends(grammar, strategy, heads=6):
        found = grammask.grammar_attention(
            *inputs, **batch.annotation, grammar=grammar, strategy=strategy, backend=backend, causal=causal,
            window=window, attention_mask=batch.inputs["attention_mask"],
        )  # fmt: skip
        torch.testing.assert_close(found * (weight != 0), expected * (weight != 0), atol=1e-6, rtol=0)
        grads = torch.autograd.grad((found * weight).sum(), inputs)
        for grad, wish in zip(grads, wanted, strict=True):
            torch.testing.assert_close(grad, wish, atol=1e-6, rtol=0)


def test_a_mask_fits_queries_and_keys():
    query, key = torch.ones(2, 4, 3, 8), torch.ones(2, 2, 9, 8)
    check_mask(torch.ones(2, 1, 3, 9, dtype=torch.bool), query, key)
    with pytest.raises(InputError, match=r"shape \(2, 1, 9, 9\), which doesn't broadcast to \(2, 4, 3, 9\)"):
        check_mask(torch.ones(2, 1, 9, 9, dtype=torch.bool), query, key)


def test_queries_are_never_more_than_keys():
    query, key = torch.ones(1, 2, 5, 8), torch.ones(1, 2, 4, 8)
    with pytest.raises(InputError, match="query has 5 tokens, more than the 4 of key and value"):
        grammask.grammar_attention(query, key, key, tag_ids=torch.zeros(1, 4, dtype=torch.long), grammar="paper")
