"""Nothing on the way through "flex" reads a number of a tensor on a GPU: that would wait for all that is queued there.

Fake tensors stand for those of a GPU. They have no numbers, so that whatever reads one raises.
"""

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from helpers.attention_calls import GRAMMARS, choices_of_calls
from helpers.batches import random_batch
from helpers.gpu_rates import gpu_rates
from helpers.tiny_models import tiny_model
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

import grammask
from grammask.attention import dispatch, functional
from grammask.attention.blocks.lookup import compile_lookup
from grammask.attention.flex import attend_calls, calls, pair_tensors
from grammask.grammar.tables import compile_layers

CPU = torch.device("cpu")
pytestmark = [
    pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile"),
    pytest.mark.skipif(
        not torch.backends.cuda.is_built(), reason="this PyTorch is built without CUDA, and has no such tensors"
    ),
]


def there(tensor):
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")


def moved(values):
    return {name: there(value) for name, value in values.items() if isinstance(value, Tensor)}


@contextmanager
def gpu(grammar, patch, *, layers, heads):
    """Go on under fake tensors. What is made once for each device is made before, and the kernel is left out."""
    compiled = compile_layers(grammar, layers=layers, heads=heads)
    made = {tables: calls.rules_on(tables, CPU) for tables in compiled}
    assert all(compile_lookup(tables).kind for tables in compiled)  # read on the CPU, once for all batches

    def rules_on(tables, device):
        assert device.type == "cuda"
        bounded = tuple(table._replace(**moved(table._asdict())) for table in made[tables].bounded)
        return replace(made[tables], **moved(vars(made[tables])), bounded=bounded)

    def kernel(query, key, value, *_, **__):
        return query + key.sum() + value.sum()

    patch.setattr(calls, "rules_on", rules_on)
    patch.setattr(pair_tensors, "_bounds", lambda *_: torch.empty(2, dtype=torch.int32, device="cuda"))
    patch.setattr(attend_calls, "_compiled", kernel)
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("name", ["sorted with sinks", "mixed", "banded by sentence", "a table for each head"])
def test_a_call_reads_nothing(name, strategy, monkeypatch):
    batch = random_batch((300, 20))
    drawn = {**batch.annotation, "attention_mask": batch.inputs["attention_mask"]}
    with gpu(GRAMMARS[name], monkeypatch, layers=1, heads=3):
        given = {name: there(ids) for name, ids in drawn.items()}
        query = torch.empty(2, 3, 300, 16, device="cuda", requires_grad=True)
        options = {**given, "grammar": GRAMMARS[name], "strategy": strategy, "backend": "flex"}
        grammask.grammar_attention(query, query, query, **options, causal=True)
        plan = grammask.make_plan(GRAMMARS[name], **given, strategy=strategy, heads=3)
        grammask.grammar_attention(query, query, query, **options, plan=plan)
        with pytest.raises(DataDependentOutputException):  # as anything would that reads
            bool(given["tag_ids"].any())


def test_a_guided_model_reads_nothing(monkeypatch):
    model = tiny_model("bert", attention_probs_dropout_prob=0.0, hidden_size=64)
    grammask.attach(model, GRAMMARS["mixed"], backend="flex")
    batch, config = random_batch((60, 33)).everything, model.config
    with gpu(GRAMMARS["mixed"], monkeypatch, layers=config.num_hidden_layers, heads=config.num_attention_heads):
        for module in model.modules():
            for name, weight in module.named_parameters(recurse=False):
                module.register_parameter(name, nn.Parameter(there(weight)))
            for name, buffer in module.named_buffers(recurse=False):
                module.register_buffer(name, there(buffer))
        model.train()(**{name: there(ids) for name, ids in batch.items()})


@pytest.mark.parametrize("position", [{}, {"causal": True}], ids=["free", "causal"])
def test_choosing_by_what_was_measured_reads_nothing(position, monkeypatch):
    monkeypatch.setattr(dispatch, "gpu_rates_for", lambda dtype, device: gpu_rates(dense_score=10.0))
    batch, grammar = random_batch((700, 20)), GRAMMARS["mixed"]
    given = {**batch.annotation, "attention_mask": batch.inputs["attention_mask"]}
    # Counts a made-up text on the CPU, once.
    asked = grammask.explain_dispatch(
        grammask.make_plan(grammar, **given, heads=3), heads=3, head_dim=16, device="cuda", **position
    )
    assert asked.backend == "flex"
    chosen = choices_of_calls(monkeypatch)
    with gpu(grammar, monkeypatch, layers=1, heads=3):
        given = {name: there(ids) for name, ids in given.items()}
        query = torch.empty(2, 3, 700, 16, device="cuda")
        grammask.grammar_attention(query, query, query, **given, grammar=grammar, **position)
    assert [choice.backend for choice in chosen] == ["flex"]


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32], ids=str)
def test_a_mask_of_a_models_own_is_not_read_where_the_gpu_was_measured(dtype, monkeypatch):
    monkeypatch.setattr(dispatch, "gpu_rates_for", lambda dtype, device: gpu_rates(dense_score=10.0))
    batch, grammar, chosen = random_batch((300, 20)), GRAMMARS["mixed"], choices_of_calls(monkeypatch)
    monkeypatch.setattr(functional, "dense_attention", lambda query, *_, **__: query)  # asks for the driver
    with gpu(grammar, monkeypatch, layers=1, heads=3):
        given = {**batch.annotation, "attention_mask": batch.inputs["attention_mask"]}
        plan = grammask.make_plan(grammar, **{name: there(ids) for name, ids in given.items()}, heads=3)
        query, own = torch.empty(2, 3, 300, 16, device="cuda"), torch.empty(2, 1, 1, 300, dtype=dtype, device="cuda")
        functional.attend(query, query, query, plan, 0, own, scale=0.1, dropout=0.0, backend="auto")
    assert chosen[0].backend == "dense"
    assert "may be more than padding" in chosen[0].reason
