"""Attention is the same however many threads there are: those of torch, those of the caller, and forked processes."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import torch
from helpers.attention_calls import GRAMMARS, HEADS, draw, fitting_backends
from helpers.batches import random_batch
from helpers.fresh_process import run_fresh
from helpers.tiny_models import tiny_model
from torch.utils.checkpoint import checkpoint

import grammask
from grammask.attention import head_groups
from grammask.errors import InputError


@contextmanager
def threads(count):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def attend(grammar, batch, tensors, **options):
    return grammask.grammar_attention(
        *tensors, **batch.annotation, grammar=grammar, attention_mask=batch.inputs["attention_mask"], **options
    )


@pytest.fixture(params=[head_groups._COPY, 1], ids=["copies", "no copies"])
def small(request, monkeypatch):
    monkeypatch.setattr(head_groups, "_COPY", request.param)


@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("name", GRAMMARS)
def test_what_is_dropped_does_not_hang_on_threads(name, strategy, small, monkeypatch):
    """The output is linear in the values: sum(out) = sum(v * dv) where both passes dropped the same weights."""
    grammar, heads = GRAMMARS[name], 12
    batch = random_batch((90, 41, 17))
    backend = fitting_backends(grammar, strategy)[2]
    found = {}
    for forward, backward in ((1, 1), (1, 8), (8, 1), (3, 12)):
        query, key, value, _ = draw(batch, heads=heads)
        torch.manual_seed(0)
        with threads(forward):
            out = attend(grammar, batch, (query, key, value), strategy=strategy, backend=backend, dropout=0.5)
        with threads(backward):
            grads = torch.autograd.grad(out.sum(), (query, key, value))
        torch.testing.assert_close(out.sum(), (value * grads[2]).sum(), atol=1e-8, rtol=0)
        found[forward, backward] = (out, *grads)
    for tensors in found.values():
        for one, other in zip(tensors, found[1, 1], strict=True):
            torch.testing.assert_close(one, other, atol=1e-9, rtol=0)


def test_gradients_under_dropout_agree_with_small_steps():
    batch = random_batch((40,))
    for name in ("mixed", "sorted", "banded"):
        query, key, value, weight = (tensor.detach() for tensor in draw(batch, heads=12))

        def loss(query, key, grammar=GRAMMARS[name], value=value, weight=weight, **options):
            torch.manual_seed(0)
            return (attend(grammar, batch, (query, key, value), backend="mixed", dropout=0.4) * weight).sum()

        step = torch.randn(query.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        with threads(8):
            value_of = loss(query.requires_grad_(), key)
        with threads(1):
            (grad,) = torch.autograd.grad(value_of, query)
            tiny = 1e-6
            slope = (loss(query.detach() + tiny * step, key) - loss(query.detach() - tiny * step, key)) / (2 * tiny)
        torch.testing.assert_close((grad * step).sum(), slope, atol=1e-5, rtol=1e-5)


def test_a_pass_recomputed_with_other_threads_drops_the_same(small):
    batch = random_batch((80, 33))
    query, key, value, _ = draw(batch, heads=12)

    def call(*tensors):
        return attend(GRAMMARS["mixed"], batch, tensors, backend="mixed", dropout=0.5)

    for reentrant in (False, True):
        torch.manual_seed(0)
        with threads(8):
            out = checkpoint(call, query, key, value, use_reentrant=reentrant)
        with threads(1):
            out.sum().backward()
        torch.testing.assert_close(out.sum(), (value * value.grad).sum(), atol=1e-8, rtol=0)
        value.grad = None


def results(call, count=10):
    """Return what `call` gives for 0, 1, 2, ..., one after the other, and from several threads at once."""
    alone = [call(number) for number in range(count)]
    with ThreadPoolExecutor(4) as pool:
        return alone, list(pool.map(call, [*range(count)] * 2))


@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("name", ["sorted", "banded", "mixed", "lowering"])
@pytest.mark.parametrize("shared", [False, True], ids=["own plans", "one plan"])
def test_threads_of_the_caller_do_not_mix(name, strategy, shared):
    grammar = GRAMMARS[name]
    batches = [
        random_batch((60 + 7 * number, 20), seed=0 if shared else number) for number in range(1 if shared else 5)
    ]
    backend = fitting_backends(grammar, strategy)[2]

    def new_plan():
        return grammask.make_plan(
            grammar, **batches[0].annotation, attention_mask=batches[0].inputs["attention_mask"], strategy=strategy,
            heads=HEADS,
        )  # fmt: skip

    plan = new_plan() if shared else None

    def call(number):
        batch = batches[number % len(batches)]
        query, key, value, weight = draw(batch, seed=number)
        how = (backend, "dense")[number % 2]
        out = attend(grammar, batch, (query, key, value), strategy=strategy, backend=how, plan=plan)
        return torch.autograd.grad((out * weight).sum(), (query, key, value))

    alone, together = results(call)
    plan = new_plan() if shared else None  # whose blocks and masks are made by all threads at once
    with ThreadPoolExecutor(4) as pool:
        together += pool.map(call, range(10))
    for number, grads in enumerate(together):
        for one, other in zip(grads, alone[number % 10], strict=True):
            assert torch.equal(one, other)


def test_threads_share_one_model():
    model = grammask.attach(tiny_model("bert"), GRAMMARS["mixed"], backend="mixed")
    batches = [random_batch((20 + 9 * number, 11), seed=number) for number in range(5)]

    def call(number):
        with torch.inference_mode(number % 3 == 0), torch.no_grad():
            return model(**batches[number % 5].everything).logits.clone()

    alone, together = results(call)
    for number, logits in enumerate(together):
        assert torch.equal(logits, alone[number % 10])


def test_a_hook_may_call_attention_again():
    batch, other = random_batch((50, 20)), random_batch((33,), seed=4)
    inner = []

    def again(_):
        tensors = draw(other, seed=9)
        with torch.enable_grad():
            out = (attend(GRAMMARS["mixed"], other, tensors[:3], backend="mixed") * tensors[3]).sum()
        inner.append(torch.autograd.grad(out, tensors[:3]))

    def gradients(*, hooked):
        query, key, value, weight = draw(batch)
        out = attend(GRAMMARS["mixed"], batch, (query, key, value), backend="mixed")
        if hooked:
            out.register_hook(again)
            query.register_hook(again)
        return torch.autograd.grad((out * weight).sum(), (query, key, value))

    plain = gradients(hooked=False)
    again(None)
    for one, wanted in zip(gradients(hooked=True), plain, strict=True):
        assert torch.equal(one, wanted)
    assert len(inner) == 3
    for found in inner[1:]:
        for one, wanted in zip(found, inner[0], strict=True):
            assert torch.equal(one, wanted)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers")
def test_an_exception_in_the_middle_leaves_nothing_behind():
    class StopError(Exception):
        pass

    def stop(*_):
        raise StopError

    batch = random_batch((400, 300))
    tensors = draw(batch)

    def call(plan=None):
        out = attend(GRAMMARS["mixed"], batch, tensors[:3], backend="mixed", plan=plan)
        return torch.autograd.grad((out * tensors[3]).sum(), tensors[:3])

    wanted = call()
    mask = batch.inputs["attention_mask"]
    plan = grammask.make_plan(GRAMMARS["mixed"], **batch.annotation, attention_mask=mask, heads=HEADS)
    before = signal.signal(signal.SIGALRM, stop)
    stopped = 0
    try:
        for number in range(25):
            signal.setitimer(signal.ITIMER_REAL, 0.0005 * (number + 1))
            try:  # it may also go off between the call's end and its own
                call(plan)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except StopError:
                stopped += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert stopped
    for one, other in zip(call(plan), wanted, strict=True):
        assert torch.equal(one, other)


def test_a_wrong_batch_in_the_middle_of_others_changes_nothing():
    model = grammask.attach(tiny_model("bert"), GRAMMARS["mixed"], backend="mixed")
    batch = random_batch()
    wanted = model(**batch.everything).logits
    with pytest.raises(InputError):
        model(**{**batch.everything, "tag_ids": batch.annotation["tag_ids"] + 40})
    hook = model.base_model.encoder.layer[1].register_forward_pre_hook(lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        model(**batch.everything)
    hook.remove()
    assert torch.equal(model(**batch.everything).logits, wanted)


FORKED = """
import os, sys
import torch, grammask
from grammask.attention.blocks.lookup import compile_lookup
from grammask.grammar.tables import compile_tables
torch.set_num_threads(1)
torch.manual_seed(0)
tags = torch.randint(0, 17, (2, 70))
words = tuple(grammask.TAGS[:17])
near = grammask.Rule(words, words, grammask.Reach("words", -2, 4))
band = grammask.Grammar("band", (near,))
mixed = grammask.Grammar("mixed", (near, grammask.Rule(("NOUN",), ("VERB",))))
def run():
    found = []
    for grammar in ("paper", band, mixed):
        for dropout in (0.0, 0.3):
            torch.manual_seed(1)
            inputs = torch.randn(3, 2, 4, 70, 8, dtype=torch.float64, requires_grad=True)
            out = grammask.grammar_attention(
                *inputs, tag_ids=tags, grammar=grammar, backend="mixed", dropout=dropout
            )
            found += [out, *torch.autograd.grad(out.square().sum(), inputs)]
    return found
def again():
    same = all(map(torch.equal, run(), wanted))
    compile_tables.cache_clear(), compile_lookup.cache_clear()
    return same and all(map(torch.equal, run(), wanted))
wanted = run()
child = os.fork()
if child == 0:
    os._exit(0 if again() else 1)
same = again()
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.exit(code or not same)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_attends_as_its_parent():
    run_fresh(FORKED)
