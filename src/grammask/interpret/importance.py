"""Which words an answer depends on: integrated gradients, importance through rules, and reads on the way to it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from captum.attr import LayerIntegratedGradients  # type: ignore[import-untyped]
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..errors import ExplainError
from ..grammar.tags import UPOS
from .answers import answer_logits, worth

_STEPS: Final[int] = 32
_STATES: Final[int] = 10_000_000  # numbers of hidden states in one batch, over all layers


def integrated_gradients(model: PreTrainedModel, inputs: dict[str, Tensor], target: int, baseline_id: int) -> Tensor:
    """Return what each token adds to the worth of answer `target`: (length,); `inputs` are (1, length).

    Sundararajan et al. (2017), Axiomatic Attribution for Deep Networks. The baseline is one token, `baseline_id`, in
    place of every token that isn't structural; who may read whom stays as in the text. The values add up to the
    difference of the worths of text and baseline, up to the error of 32 steps; see `worth`.
    """
    names = [name for name in inputs if name != "input_ids"]

    def asked(input_ids: Tensor, *others: Tensor) -> Tensor:
        given = {"input_ids": input_ids, **dict(zip(names, others, strict=True))}
        return worth(model, answer_logits(model, given), target)

    ids = inputs["input_ids"]
    replaced = inputs["tag_ids"] < len(UPOS)
    baseline = torch.where(replaced, baseline_id, ids)
    gradients = LayerIntegratedGradients(asked, model.get_input_embeddings())
    found: Tensor = gradients.attribute(
        ids, baselines=baseline, additional_forward_args=tuple(inputs[name] for name in names), n_steps=_STEPS,
        internal_batch_size=max(1, min(_STEPS, _STATES // _states(model, ids))),
    )  # fmt: skip
    return found.sum(-1)[0].detach()


def _states(model: PreTrainedModel, ids: Tensor) -> int:
    """Return how many numbers the hidden states of a text hold: gradients keep several times as many."""
    embedding: Any = model.get_input_embeddings()
    return int(model.config.num_hidden_layers * embedding.weight.shape[1] * ids.shape[1])


def starting_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the token that says least, at which integrated gradients begin: padding, or else another special one."""
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id, tokenizer.bos_token_id):
        if token is not None:
            return int(token)
    raise ExplainError(
        "the tokenizer has no padding, end, unknown or begin token, from which importance is counted; set "
        "tokenizer.pad_token"
    )


def carried_by_source(weights: Tensor, owners: Tensor, sources: int) -> Tensor:
    """Return the attention of a layer that each source carries to each token: float64 (sources, length).

    `weights` and `owners` are (heads, length, length).
    """
    length = weights.shape[-1]
    owned = (owners >= 0).flatten()
    keys = torch.arange(length).expand_as(owners).flatten()[owned]
    at = owners.flatten()[owned].long() * length + keys
    carried = torch.bincount(at, weights=weights.flatten()[owned].double(), minlength=sources * length)
    return carried.view(sources, length)


def importance_through_rules(carried: Tensor, changes: Mapping[int, float]) -> Tensor:
    """Return what each token adds to the answer through the rules by which others read it: float64 (length,).

    A rule is worth what is lost without it: -`changes`, by its index among the sources. Its worth is divided among the
    tokens that are read by it, in proportion to `carried` (sources, length), their attention by it in all layers.
    """
    found = torch.zeros(carried.shape[1], dtype=torch.float64)
    for place, change in changes.items():
        if (total := float(carried[place].sum())) > 0:
            found -= change * carried[place] / total
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
