"""One step of a whole model: a forward pass, the prefill of a prompt, or a training step."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..cases import Case
from ..contender import Outputs

Step = Callable[[Mapping[str, Tensor]], Outputs]
_UNLABELLED = -100  # of tokens that no loss counts


def make_step(model: PreTrainedModel, case: Case, *, causal: bool) -> Step:
    """Return the step of a case, for a causal language model or a sequence classifier."""
    if case.work == "training":
        return _training_step(model, case, _next_tokens if causal else _classes)
    return _prefill_step(model, case) if case.work == "prefill" else _forward_step(model, case)


def _forward_step(model: PreTrainedModel, case: Case) -> Step:
    """Return a forward pass without the head, in eval mode and without gradients."""
    base = model.base_model
    base.train(False)

    def step(batch: Mapping[str, Tensor]) -> Outputs:
        with torch.no_grad(), _autocast(case, model):
            return (base(**batch).last_hidden_state,)

    return step


def _prefill_step(model: PreTrainedModel, case: Case) -> Step:
    """Return the pass over a prompt that gives the next token's logits: those of the last place only."""
    model.train(False)

    def step(batch: Mapping[str, Tensor]) -> Outputs:
        with torch.no_grad(), _autocast(case, model):
            return (model(**batch, logits_to_keep=1).logits,)

    return step


def _training_step(model: PreTrainedModel, case: Case, label: Callable[[Mapping[str, Tensor]], Tensor]) -> Step:
    """Return a step of AdamW on the model's own loss, in train mode."""
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-6)

    def step(batch: Mapping[str, Tensor]) -> Outputs:
        with _autocast(case, model):
            loss = model(**batch, labels=label(batch)).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        return (loss.detach(),)

    return step


def _classes(batch: Mapping[str, Tensor]) -> Tensor:
    return torch.arange(len(batch["input_ids"]), device=batch["input_ids"].device) % 2


def _next_tokens(batch: Mapping[str, Tensor]) -> Tensor:
    return batch["input_ids"].masked_fill(batch["attention_mask"] == 0, _UNLABELLED)


def _autocast(case: Case, model: PreTrainedModel) -> torch.autocast:
    return torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=case.dtype == "bfloat16")
