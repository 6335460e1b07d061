"""Whether a plan fits a call: a call under a plan is the call without one, or an error."""

import torch
from torch import Tensor

from ..errors import InputError
from ..grammar.grammar import Grammar
from ..grammar.masks import blocked
from .inputs import Annotation, check_ids, check_padding
from .plan import Plan
from .tracing import assert_all, is_read_later


def check_plan(plan: object) -> Plan:
    """Return `plan`; raise `InputError` for anything else."""
    if not isinstance(plan, Plan):
        raise InputError(f"plan must be what grammask.make_plan returns, but is {type(plan).__name__}")
    return plan


def check_fits(
    plan: Plan, grammar: Grammar, tag_ids: object, word_ids: object, sentence_ids: object, attention_mask: object, *,
    strategy: str, layer: int, heads: int, shape: tuple[int, int], device: torch.device,
) -> None:  # fmt: skip
    """Raise `InputError` unless a call with these arguments and without a plan would make this very plan."""
    if (plan.grammar is not grammar and plan.grammar != grammar) or plan.strategy != strategy:
        raise InputError(
            f"the plan is for grammar {plan.name!r}, {plan.strategy}, but the call is for {grammar.name!r}, "
            f"{strategy}; make one with grammask.make_plan"
        )
    if plan.annotation is None or plan.learned is not None or plan.mask_transform is not None:
        raise InputError("the plan is a model's own; make one with grammask.make_plan")
    planned = plan.annotation.tag_ids.device
    if (plan.shape, planned) != (shape, device):
        raise InputError(
            f"the plan is for another batch: its shape is {plan.shape} on {planned}, but the query's is {shape} on "
            f"{device}; make one with grammask.make_plan"
        )
    _check_same(plan.annotation, tag_ids, word_ids, sentence_ids)
    check_padding(plan.annotation, attention_mask, own_masks=False)
    check_size(plan, layer=layer, heads=heads)


def check_size(plan: Plan, *, layer: int, heads: int) -> None:
    """Raise `InputError` for a layer, or a number of heads, that the plan was not made for."""
    if plan.strategy == "full" and not plan.layer_tables:
        return
    if layer >= len(plan.layer_tables):
        raise InputError(f"the plan is for {len(plan.layer_tables)} layers, but the call is for layer {layer}")
    planned = plan.layer_tables[layer][0].allowed.shape[0]
    if planned not in (1, heads):
        raise InputError(f"the plan is for {planned} heads, but the call is for {heads}")


def says_padding(plan: Plan, model_mask: Tensor | None) -> bool:
    """Tell whether a model's mask, as in `Plan.mask`, says what is padding and nothing else; None does without any."""
    return plan.padding is None if model_mask is None else is_padding_only(plan, model_mask)


def is_padding_only(plan: Plan, model_mask: Tensor | None) -> bool:
    """Tell whether a model's mask, as in `Plan.mask`, says no more than what is padding."""
    if model_mask is None or plan.annotation is None:
        return model_mask is None
    readable = plan.readable
    if model_mask is readable:
        return True
    if model_mask.shape[1:3] != (1, 1) or model_mask.shape[3] != readable.shape[3]:
        return False
    shut = blocked(model_mask)
    if model_mask.dtype != torch.bool and bool(model_mask.masked_fill(shut, 0.0).any()):
        return False
    return torch.equal(shut.expand_as(readable), ~readable)


def has_padding(plan: Plan, padding: Tensor | None) -> bool:
    """Tell whether a model's mask (batch, length), None for no padding, holds the padding that the plan knows."""
    own = plan.padding
    if own is not None and own.is_cuda:  # not waited for; without a mask no token is padding, as was asserted
        if padding is not None:
            assert_all(padding.bool() == own[:, 0, 0], "the model's own mask and tag_ids disagree on what is padding")
        return True
    if padding is None or own is None:
        return own is None and (padding is None or bool(padding.all()))
    return torch.equal(padding.bool(), own[:, 0, 0])


def _check_same(planned: Annotation, tag_ids: object, word_ids: object, sentence_ids: object) -> None:
    _check_equal("tag_ids", planned.tag_ids, tag_ids)
    # The tags are equal, and so is what they make of words that aren't given.
    _check_equal("word_ids", planned.word_ids, planned.own_words if word_ids is None else word_ids)
    if planned.sentence_ids is not None:  # else the grammar doesn't ask for them
        _check_equal("sentence_ids", planned.sentence_ids, sentence_ids)


def _check_equal(name: str, own: Tensor, ids: object) -> None:
    given = check_ids(name, ids, (own.shape[0], own.shape[1]), own.device).to(own.dtype)
    if is_read_later(own):
        assert_all(own == given, f"the plan is for another batch: its {name} differ; make one with grammask.make_plan")
    elif not torch.equal(own, given):
        row, column = (own != given).nonzero()[0].tolist()
        raise InputError(
            f"the plan is for another batch: its {name} differ at text {row}, token {column}, where it has "
            f"{int(own[row, column])} and the call {int(given[row, column])}; make one with grammask.make_plan"
        )
