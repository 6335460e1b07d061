"""A model that is asked is in evaluation mode, and as it was afterwards."""

import pytest
import torch
from helpers.tiny_models import tiny_model
from torch import nn

from grammask.model.eval_mode import attention_weights, eval_mode


def test_every_module_gets_its_own_mode_back():
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()))
    model[1].train(False)  # a part that is frozen
    modes = [module.training for module in model.modules()]
    with eval_mode(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == modes == [True, True, False, False]
    with pytest.raises(ZeroDivisionError), eval_mode(model):
        1 / 0  # noqa: B018
    assert [module.training for module in model.modules()] == modes


def test_weights_are_those_of_evaluation():
    model = tiny_model("bert", attention_probs_dropout_prob=0.5).train()
    model.set_attn_implementation("eager")
    inputs = {"input_ids": torch.tensor([[1, 2, 3, 4]])}
    weights = attention_weights(model, inputs)
    assert [layer.shape for layer in weights] == [(1, 4, 4, 4)] * 3
    assert all(torch.allclose(layer.sum(-1), torch.ones(1, 4, 4)) for layer in weights)
    assert model.training
    assert not any(layer.requires_grad for layer in weights)
