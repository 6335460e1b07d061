"""Which words an answer depends on: integrated gradients, importance through rules, and reads on the way to [CLS]."""

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from captum.attr import LayerIntegratedGradients  # type: ignore[import-untyped]
from torch import Tensor
from transformers import PreTrainedModel

from ..grammar.tags import UPOS

_STEPS: Final[int] = 32
_TOKENS: Final[int] = 4096  # in one batch


def integrated_gradients(model: PreTrainedModel, inputs: dict[str, Tensor], target: int, pad_token_id: int) -> Tensor:
    """Return what each token adds to the probability of label `target`: (length,); `inputs` are (1, length).

    Sundararajan et al. (2017), Axiomatic Attribution for Deep Networks. The baseline is padding instead of every
    token that isn't structural; who may read whom stays as in the text. The values add up to the difference of the
    probabilities of text and baseline, up to the error of 32 steps.
    """
    names = [name for name in inputs if name != "input_ids"]

    def probability(input_ids: Tensor, *others: Tensor) -> Tensor:
        logits: Tensor = model(input_ids=input_ids, **dict(zip(names, others, strict=True))).logits
        return logits.softmax(-1)[:, target]

    ids = inputs["input_ids"]
    replaced = inputs["tag_ids"] < len(UPOS)
    baseline = torch.where(replaced, pad_token_id, ids)
    gradients = LayerIntegratedGradients(probability, model.get_input_embeddings())
    found: Tensor = gradients.attribute(
        ids, baselines=baseline, additional_forward_args=tuple(inputs[name] for name in names), n_steps=_STEPS,
        internal_batch_size=max(1, min(_STEPS, _TOKENS // ids.shape[1])),
    )  # fmt: skip
    return found.sum(-1)[0].detach()


def importance_through_rules(
    weights: Sequence[Tensor], owners: Sequence[Tensor], changes: Mapping[int, float]
) -> Tensor:
    """Return what each token adds to the answer through the rules by which others read it: float64 (length,).

    A rule is worth the probability that is lost without it: -`changes`, by its index among the sources. Its worth is
    divided among the tokens that are read by it, in proportion to their attention by it in all layers. `weights` and
    `owners` are (heads, length, length) for each layer.
    """
    length = weights[0].shape[-1]
    found = torch.zeros(length, dtype=torch.float64)
    for place, change in changes.items():
        carried = torch.zeros(length, dtype=torch.float64)
        for weight, owner in zip(weights, owners, strict=True):
            carried += (weight * (owner == place)).sum((0, 1)).double()
        if (total := float(carried.sum())) > 0:
            found -= change * carried / total
    return found


def hops_to(target: int, reads: Sequence[Tensor]) -> list[int | None]:
    """Return for each token the fewest reads by which it reaches token `target`, None where it cannot.

    `reads` has a bool (length, length) for each layer, from the first: whether a query reads a key there, in any head.
    A token keeps what it knows from layer to layer without a read.
    """
    length = reads[0].shape[0]
    far = torch.iinfo(torch.int32).max // 2
    hops = torch.full((length,), far, dtype=torch.int32)
    hops[target] = 0
    for layer in reversed(reads):
        onwards = hops[:, None].masked_fill(~layer, far).min(0).values + 1
        hops = torch.minimum(hops, onwards)
    return [None if number >= far else number for number in hops.tolist()]
