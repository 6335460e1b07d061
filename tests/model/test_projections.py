"""Query, key and value weights that are drawn anew, in every architecture that can be guided."""

import copy

import pytest
import torch
from helpers.tiny_models import ARCHITECTURES, tiny_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from grammask.errors import ModelError
from grammask.model.projections import find_projections, renew_projections

# By the names that transformers gives them; the code knows none of these.
NAMES = {
    "query", "key", "value", "q_lin", "k_lin", "v_lin", "q_proj", "k_proj", "v_proj", "qkv_proj", "Wqkv", "c_attn",
    "query_key_value",
}  # fmt: skip


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_projections_of_each_architecture_are_drawn_and_nothing_else(name):
    model = tiny_model(name)
    named = {id(module): key for key, module in model.named_modules()}
    before = copy.deepcopy(model.state_dict())
    inputs = {"input_ids": torch.tensor([[4, 5, 6, 7]])}
    implementation = model.config._attn_implementation
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    count = renew_projections(model, seed=1)
    assert torch.equal(torch.rand(1), expected)
    assert model.config._attn_implementation == implementation
    found = [named[id(layer)] for layer in find_projections(model)]
    wanted = [key for key, module in model.named_modules() if key.split(".")[-1] in NAMES and _is_linear(module)]
    assert sorted(found) == sorted(wanted)
    changed = {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])}
    assert changed <= {f"{key}.{part}" for key in found for part in ("weight", "bias")}
    assert {f"{key}.weight" for key in found} <= changed
    weights = torch.cat([model.get_submodule(key).weight.flatten() for key in found])
    assert weights.std().item() == pytest.approx(model.config.initializer_range, rel=0.1)
    biases = [model.get_submodule(key).bias for key in found]
    assert all(bias is None or not bias.any() for bias in biases)
    assert count == weights.numel() + sum(bias.numel() for bias in biases if bias is not None)
    with torch.no_grad():
        outputs = model(**inputs)
    assert bool(next(iter(outputs.values())).isfinite().all())


def _is_linear(module):
    return isinstance(module, nn.Linear | Conv1D)


def test_a_seed_draws_the_same_numbers_and_another_seed_others():
    one, same, other = (tiny_model("bert") for _ in range(3))
    for model, seed in ((one, 5), (same, 5), (other, 6)):
        renew_projections(model, seed)
    key = "bert.encoder.layer.2.attention.self.value.weight"
    assert torch.equal(one.state_dict()[key], same.state_dict()[key])
    assert not torch.equal(one.state_dict()[key], other.state_dict()[key])


def test_models_whose_projections_are_unclear_are_refused_and_left_alone():
    model = tiny_model("bert")
    attention = model.bert.encoder.layer[0].attention.self
    attention.query = nn.Sequential(nn.Linear(32, 8), nn.Linear(8, 32))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ModelError, match="before it attends make 104 numbers for each token, but .* 96; keep them"):
        renew_projections(model, 0)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    model = tiny_model("bert")
    model.bert.encoder.layer[1].attention.self.forward = lambda hidden, *_, **__: (hidden, None)
    with pytest.raises(ModelError, match="2 of its 3 layers attend by transformers' AttentionInterface"):
        renew_projections(model, 0)
    model = tiny_model("bert")
    for spread in (0.0, -0.1, float("inf"), float("nan")):
        model.config.initializer_range = spread
        with pytest.raises(ModelError, match=f"initializer_range in its config is {spread}, which is no standard"):
            renew_projections(model, 0)
    assert model.config._attn_implementation == "sdpa"
