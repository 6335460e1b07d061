"""What a GPU compiles of FlexAttention is compiled for kinds of rules, not for batches, and says where it cannot be.

It is traced here, and run by PyTorch's own operators.
"""

from threading import Event, Thread
from types import SimpleNamespace

import pytest
import torch
from helpers.attention_calls import GRAMMARS, draw
from helpers.batches import random_batch
from torch._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn.attention import flex_attention as torch_flex

import grammask
from grammask.attention.flex import attend_calls, compiling
from grammask.errors import InputError
from grammask.grammar.grammar import Grammar
from grammask.grammar.rules import Rule
from grammask.grammar.tags import PAD, UPOS

ONE, OTHER = (Grammar(name, rules=(Rule(tags, UPOS),)) for name, tags in (("one", UPOS[:5]), ("two", UPOS[3:])))


def traced(patch, backend):
    compiled = torch.compile(attend_calls._attend, backend=backend, dynamic=True, fullgraph=True)
    patch.setattr(attend_calls, "_compile", lambda: compiled)
    patch.setattr(attend_calls, "_attend", attend_calls._compiled)


def run(grammar, lengths, strategy="hard"):
    """Hold a compiled call against the dense path."""
    batch = random_batch(lengths)
    inputs = [tensor.detach() for tensor in draw(batch, dtype=torch.float32)[:3]]
    drawn = {**batch.annotation, "attention_mask": batch.inputs["attention_mask"]}
    found, expected = (
        grammask.grammar_attention(*inputs, **drawn, grammar=grammar, strategy=strategy, backend=backend)
        for backend in ("flex", "dense")
    )
    real = (batch.annotation["tag_ids"] != PAD)[:, None, :, None]
    torch.testing.assert_close(found * real, expected * real, atol=1e-5, rtol=0)


def test_nothing_is_compiled_for_a_batch(monkeypatch):
    counter = CompileCounterWithBackend("eager")
    traced(monkeypatch, counter)
    run(ONE, (300, 20))
    once = counter.frame_count
    assert once == 1
    for lengths, grammar in (((400, 20, 7), ONE), ((700, 131, 5, 2), ONE), ((256, 256), OTHER)):
        run(grammar, lengths)
    assert counter.frame_count == once


def test_batches_of_one_text_and_of_one_block_are_kinds_of_their_own(monkeypatch):
    """PyTorch compiles sizes of 1 as constants."""
    counter = CompileCounterWithBackend("eager")
    traced(monkeypatch, counter)
    for lengths in ((300, 20), (300,), (60, 20), (60,)):
        run(ONE, lengths)
    assert counter.frame_count == 4
    for lengths in ((400, 7, 20), (1025,), (128, 1, 9), (33,)):
        run(OTHER, lengths)
    assert counter.frame_count == 4


def test_what_cannot_be_compiled_is_said_in_one_line(monkeypatch):
    def backend(*_):
        raise OSError("no compiler\nwas found")

    traced(monkeypatch, backend)
    with pytest.raises(
        InputError, match=r"cannot compile FlexAttention on cpu for heads of 8 numbers in float32"
    ) as told:
        run(ONE, (300, 20))
    assert "\n" not in str(told.value)


def test_a_limit_of_compilations_that_is_reached_is_said_in_one_line(monkeypatch):
    torch._dynamo.reset()  # forget what other tests compiled
    traced(monkeypatch, "eager")
    monkeypatch.setattr(compiling, "_LIMITS", (*compiling._LIMITS[1:], (compiling.dynamo_config, "recompile_limit", 1)))
    run(ONE, (300, 20))
    with pytest.raises(InputError, match=r"\(its limit of compilations is reached\); use"):
        run(GRAMMARS["mixed"], (300, 20))


def test_a_second_thread_sets_back_the_limits_that_the_first_one_found(monkeypatch):
    """The numbers of a whole process stand for PyTorch's: later versions keep one for each thread."""
    config = SimpleNamespace(limit=8)
    monkeypatch.setattr(compiling, "_LIMITS", ((config, "limit", 256),))
    inside, first_left, seen = Event(), Event(), []

    def second():
        with compiling.compiling(torch.zeros(1)):
            seen.append(config.limit)
            inside.set()
            first_left.wait(10)

    thread = Thread(target=second)
    with compiling.compiling(torch.zeros(1)):
        thread.start()
        inside.wait(0.2)  # never set where one waits for the other
    first_left.set()
    thread.join()
    assert seen == [256]
    assert config.limit == 8


@pytest.mark.parametrize("strategy", ["hard", "soft"])
def test_pairs_are_looked_up_by_tensors_alone(strategy, monkeypatch):
    """PyTorch 2.9 and 2.10 read a number out of a tensor where the other index is a number, which compiles nowhere."""
    own, indices = TransformGetItemToIndex.__torch_function__, []

    def seen(mode, func, types, args=(), kwargs=None):
        if func is torch.Tensor.__getitem__ and isinstance(args[1], tuple):
            indices.append({isinstance(index, torch.Tensor) for index in args[1]})
        return own(mode, func, types, args, kwargs)

    monkeypatch.setattr(torch_flex, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)
    monkeypatch.setattr(TransformGetItemToIndex, "__torch_function__", seen)
    for name in ("mixed", "a table for each head"):
        run(GRAMMARS[name], (30, 20), strategy)
    assert indices
    assert all(kinds == {True} for kinds in indices)
