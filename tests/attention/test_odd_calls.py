"""Odd calls of the operator, of plans and of dispatch: the value of stock attention, or one error that names it."""

import math
import re

import numpy as np
import pytest
import torch
from helpers.attention_calls import GRAMMARS, HEAD_DIM, HEADS, draw, fitting_backends, oracle_mask
from helpers.batches import random_batch

import grammask
from grammask.attention.reference import reference_attention
from grammask.errors import GrammarError, InputError
from grammask.grammar.tags import PAD

HUGE = 10**5000
SHAPE = (2, 3, 12, 8)


def attend(**changes):
    batch = random_batch((12, 9))
    arguments = {
        **dict.fromkeys(("query", "key", "value"), torch.ones(SHAPE)), **batch.annotation, "grammar": "paper",
        "attention_mask": batch.inputs["attention_mask"], **changes,
    }  # fmt: skip
    return grammask.grammar_attention(arguments.pop("query"), arguments.pop("key"), arguments.pop("value"), **arguments)


TENSORS = {
    "meta": lambda tensor: tensor.to("meta"),
    "sparse": lambda tensor: tensor.to_sparse(),
    "numpy": lambda tensor: tensor.numpy(),
    "list": lambda tensor: tensor.tolist(),
    "bool": lambda tensor: tensor.bool(),
    "complex": lambda tensor: tensor.to(torch.complex64),
    "float": lambda tensor: tensor.float(),
    "1-d": lambda tensor: tensor[0],
    "3-d": lambda tensor: tensor[None],
    "longer": lambda tensor: torch.cat([tensor, tensor[:, :1]], 1),
    "text": lambda _: "NOUN",
    "huge": lambda tensor: tensor + 2**62,
    "negative": lambda tensor: tensor - 2,
}
WRONG = [
    *((name, kind(torch.zeros(2, 12, dtype=torch.long)), name)
      for name in ("tag_ids", "word_ids") for kind in TENSORS.values()),
    *(("scale", scale, "scale") for scale in (math.nan, math.inf, 1e39, 10**400, HUGE, True, "1", 1j, torch.ones(()))),
    *(("dropout", share, "dropout") for share in (-0.1, 1, 1.0, math.nan, True, None, "0", HUGE, torch.zeros(()))),
    *(("layer", layer, "layer") for layer in (-1, True, 1.5, "0", None, 10**6, HUGE, torch.tensor(1))),
    *(("attention_mask", torch.ones(shape), r"attention_mask has shape .* but must be \(2, 12\)")
      for shape in ((12,), (2, 11), (1, 12), (2, 12, 12), (2, 1, 12, 12), (2, 1, 1, 12), (1, 2, 1, 1, 12), ())),
    *(("attention_mask", torch.full((2, 12), value), f"attention_mask holds {value}, but must hold 1")
      for value in (math.nan, 2.0, 0.5, -10000.0, math.inf)),
    ("attention_mask", [[1] * 12] * 2, "attention_mask must be a tensor, but is list"),
    ("attention_mask", torch.ones(2, 12, device="meta"), "attention_mask is on the device meta"),
    *(("query", torch.ones(shape), "query")
      for shape in ((12, 8), (3, 12, 8), (2, 3, 13, 8), (2, 2, 12, 8), (2, 3, 12, 4))),
    *(("value", torch.ones(shape), "value") for shape in ((3, 12, 8), (2, 3, 11, 8), (2, 1, 12, 8), (2, 3, 12, 0))),
    *(("key", torch.ones(SHAPE, dtype=dtype), str(dtype)) for dtype in
      (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64)),
    ("key", torch.ones(SHAPE).to_sparse(), "key must be a dense tensor"),
    ("key", torch.ones(SHAPE).numpy(), "key must be a tensor .* but is ndarray"),
    ("key", torch.ones(SHAPE, device="meta"), "are on cpu, meta and cpu"),
    ("plan", "plan", "plan must be what grammask.make_plan returns, but is str"),
    ("strategy", None, "unknown strategy None"),
    ("backend", ["dense"], "unknown backend"),
]  # fmt: skip


@pytest.mark.parametrize("backend", ["auto", "sorted", "dense"])
@pytest.mark.parametrize(("name", "value", "message"), WRONG, ids=[f"{name}-{n}" for n, (name, *_) in enumerate(WRONG)])
def test_what_attention_cannot_take_is_named(name, value, message, backend):
    with pytest.raises((InputError, GrammarError), match=message) as raised:
        attend(**{"backend": backend, name: value})
    assert len(str(raised.value)) < 600


def test_heads_of_the_query_share_those_of_the_key_evenly():
    with pytest.raises(InputError, match="query has 3 heads and key 2; each head of the key must belong to as many"):
        attend(**dict.fromkeys(("key", "value"), torch.ones(2, 2, 12, 8)))
    with pytest.raises(InputError, match="query has 3 heads and key 6"):
        attend(**dict.fromkeys(("key", "value"), torch.ones(2, 6, 12, 8)))
    with pytest.raises(InputError, match="need heads and a head_dim of 1 at least"):
        attend(**dict.fromkeys(("key", "value"), torch.ones(2, 0, 12, 8)))


@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("name", GRAMMARS)
@pytest.mark.parametrize("scale", [0.0, -1.5, 7, np.float32(0.25), 1e-46])
def test_any_finite_scale_is_the_oracles(name, strategy, scale):
    batch = random_batch((70, 33))
    real = (batch.annotation["tag_ids"] != PAD)[:, None, :, None]
    for backend in ("dense", fitting_backends(GRAMMARS[name], strategy)[2]):
        query, key, value, weight = draw(batch)
        found = grammask.grammar_attention(
            query, key, value, **batch.annotation, attention_mask=batch.inputs["attention_mask"],
            grammar=GRAMMARS[name], strategy=strategy, backend=backend, scale=scale,
        )  # fmt: skip
        mask = oracle_mask(GRAMMARS[name], strategy, batch)
        wanted, _ = reference_attention(query, key, value, mask, scale=float(scale))
        torch.testing.assert_close(found * real, wanted * real, atol=1e-5, rtol=0)
        grads = torch.autograd.grad((found * weight * real).sum(), (query, key, value))
        wishes = torch.autograd.grad((wanted * weight * real).sum(), (query, key, value))
        for grad, wish in zip(grads, wishes, strict=True):
            torch.testing.assert_close(grad, wish, atol=1e-4, rtol=0)


@pytest.mark.parametrize("strategy", ["hard", "soft", "full"])
@pytest.mark.parametrize("shape", [(0, HEADS, 5, 8), (2, HEADS, 0, 8), (0, HEADS, 0, 8), (2, HEADS, 1, 8)], ids=str)
def test_empty_batches_and_texts_give_empty_results(shape, strategy):
    backends = (
        ("auto", "dense")
        if strategy == "full"
        else ("auto", *fitting_backends(GRAMMARS["mixed"], strategy)[2:], "dense")
    )
    for backend in backends:
        for dropout in (0.0, 0.3):
            query, key, value = (torch.randn(shape, requires_grad=True) for _ in range(3))
            tags = torch.zeros(shape[0], shape[2], dtype=torch.long)
            found = grammask.grammar_attention(
                query, key, value, tag_ids=tags, grammar=GRAMMARS["mixed"], strategy=strategy, backend=backend,
                attention_mask=torch.ones_like(tags), dropout=dropout,
            )  # fmt: skip
            assert found.shape == shape
            found.sum().backward()
            for tensor in (query, key, value):
                assert tensor.grad.shape == shape
                assert tensor.grad.isfinite().all()


@pytest.mark.parametrize("change", ["expanded", "transposed", "every second", "int32", "int8", "uint8 tags"])
@pytest.mark.parametrize("name", ["sorted", "banded by sentence", "mixed", "lowering"])
def test_tensors_may_lie_anyhow_and_be_of_any_integers(name, change):
    batch = random_batch((30, 30))
    at = batch.annotation
    if change == "expanded":
        at = {name: ids[:1].expand(2, -1) for name, ids in at.items()}
    plain = {name: ids.clone(memory_format=torch.contiguous_format) for name, ids in at.items()}
    kinds = {
        "expanded": lambda ids: ids,
        "transposed": lambda ids: ids.T.contiguous().T,
        "every second": lambda ids: ids.repeat_interleave(2, 1)[:, ::2],
        "int32": lambda ids: ids.int(),
        "int8": lambda ids: ids.to(torch.int8),
        "uint8 tags": lambda ids: ids.to(torch.uint8) if ids.min() >= 0 else ids,
    }
    odd = {name: kinds[change](ids) for name, ids in at.items()}
    query, key, value, _ = (tensor.detach() for tensor in draw(batch))
    for strategy in ("hard", "soft"):
        for backend in ("dense", fitting_backends(GRAMMARS[name], strategy)[2]):
            options = {"grammar": GRAMMARS[name], "strategy": strategy, "backend": backend}
            wanted = grammask.grammar_attention(query, key, value, **plain, **options)
            assert torch.equal(grammask.grammar_attention(query, key, value, **odd, **options), wanted)
            one = query[:, :1].expand(-1, HEADS, -1, -1)  # no memory of their own for the heads
            spread = grammask.grammar_attention(one, key, value, **odd, **options)
            wanted = grammask.grammar_attention(one.contiguous(), key, value, **plain, **options)
            torch.testing.assert_close(spread, wanted, atol=1e-12, rtol=0)


@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("name", GRAMMARS)
def test_float16_is_exact_to_its_own_rounding(name, strategy):
    batch = random_batch((90, 41))
    real = (batch.annotation["tag_ids"] != PAD)[:, None, :, None]
    for backend in ("dense", fitting_backends(GRAMMARS[name], strategy)[2]):
        query, key, value, _ = draw(batch, dtype=torch.float16)
        found = grammask.grammar_attention(
            query, key, value, **batch.annotation, attention_mask=batch.inputs["attention_mask"],
            grammar=GRAMMARS[name], strategy=strategy, backend=backend,
        )  # fmt: skip
        exact = [tensor.detach().double().requires_grad_() for tensor in (query, key, value)]
        wanted, _ = reference_attention(*exact, oracle_mask(GRAMMARS[name], strategy, batch), scale=HEAD_DIM**-0.5)
        torch.testing.assert_close(found.double() * real, wanted * real, atol=4e-3, rtol=0)
        grads = torch.autograd.grad((found * real).sum(), (query, key, value))
        wishes = torch.autograd.grad((wanted * real).sum(), exact)
        for grad, wish in zip(grads, wishes, strict=True):
            torch.testing.assert_close(grad.double(), wish, atol=2e-2, rtol=1e-2)


@pytest.mark.parametrize("strength", [10_000.0, -10_000, 1e-46, 9999.5])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_the_largest_strengths_are_finite_in_every_dtype(strength, dtype):
    words = tuple(grammask.TAGS[:17])
    near = grammask.Rule(words, words, grammask.Reach("words", -1, 1), strength)
    far = grammask.Rule(("NOUN", "VERB"), words, strength=-strength)
    batch = random_batch((40, 20))
    mask = batch.inputs["attention_mask"]
    for grammar in (grammask.Grammar("near", (near,)), grammask.Grammar("both", (near, far))):
        found = []
        for backend in ("dense", "biased"):
            query, key, value, _ = draw(batch, dtype=dtype)
            out = grammask.grammar_attention(
                query, key, value, **batch.annotation, grammar=grammar, strategy="soft", attention_mask=mask,
                backend=backend,
            )  # fmt: skip
            assert out.isfinite().all()
            assert all(grad.isfinite().all() for grad in torch.autograd.grad(out.sum(), (query, key, value)))
            found.append(out.double() * mask[:, None, :, None])
        torch.testing.assert_close(*found, atol=2e-2 if dtype.itemsize == 2 else 1e-4, rtol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(({"strength": strength}, "'strength'") for strength in
          (1e39, 5e38, -1e39, 10001, 10**400, HUGE, math.nan, math.inf, "5", True, None)),
        *(({"layers": layers}, "'layers'") for layers in ((HUGE,), (-HUGE,), (10_000,), (1.5,), (True,), "all")),
        *(({"heads": heads}, "'heads'") for heads in ((HUGE,), (math.nan,))),
        *(({"reach": reach}, "offset") for reach in ((HUGE, HUGE + 1), (-HUGE, 0), (0.5, 1), (math.nan, 1), (True, 1))),
    ],
)  # fmt: skip
def test_numbers_of_rules_beyond_use_are_named(changes, message):
    with pytest.raises(GrammarError, match=message):
        grammask.Rule(("NOUN",), ("VERB",), **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(({name: value}, f"{name} (is|must be)") for name in ("layers", "heads")
          for value in (0, -1, True, 1.5, "4", None, 10**9, HUGE)),
        ({"tag_ids": torch.zeros(12, dtype=torch.long)}, "tag_ids must be an integer tensor"),
        ({"tag_ids": None}, "tag_ids must be an integer tensor"),
        ({"attention_mask": torch.ones(2, 1, 12, 12)}, r"attention_mask has shape \(2, 1, 12, 12\)"),
        ({"strategy": "gentle"}, "unknown strategy"),
    ],
)  # fmt: skip
def test_a_plan_of_nonsense_is_refused(changes, message):
    tags = torch.zeros(2, 12, dtype=torch.long)
    with pytest.raises((InputError, GrammarError), match=message):
        grammask.make_plan(**{"grammar": "paper", "tag_ids": tags, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(({name: value}, f"{name} (is|must be)")
          for name in ("heads", "head_dim") for value in (0, -5, True, 1.5, HUGE)),
        *(({"layer": value}, "layer") for value in (-1, 2, True, 1.5, HUGE)),
        *(({"device": value}, "device") for value in ("nowhere", None, 1.5)),
        ({"drops": 0.1}, "drops must be True or False, but is 0.1"),
        ({"backend": 5}, "unknown backend 5"),
        ({"plan": None}, "plan must be what grammask.make_plan returns"),
        ({"heads": 4}, "the plan is for 3 heads, but the call is for 4"),
    ],
)  # fmt: skip
def test_dispatch_explains_no_nonsense(changes, message):
    tags = torch.zeros(2, 12, dtype=torch.long)
    plan = grammask.make_plan(GRAMMARS["a band for each head"], tag_ids=tags, layers=2, heads=HEADS)
    options = {"plan": plan, "heads": HEADS, "head_dim": 8, **changes}
    with pytest.raises((InputError, GrammarError), match=re.compile(message)):
        grammask.explain_dispatch(options.pop("plan"), **options)
