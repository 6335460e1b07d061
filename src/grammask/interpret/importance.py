"""Which words the answer rests on: captum's integrated gradients, from the embeddings."""

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

    Sundararajan et al. (2017), Axiomatic Attribution for Deep Networks. The baseline is padding in the place of every
    token that isn't structural; who may read whom stays as in the text. The sum is the difference of the probabilities
    of text and baseline, but for the error of a sum of 32 steps.
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
