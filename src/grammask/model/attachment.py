"""The attachment of a guide to a model: hooks, forward and configs, put on and taken off again."""

from typing import Any, Final

from torch import nn
from transformers import PreTrainedModel

from ..errors import ModelError
from ..tagging.annotate import Annotator
from . import interface, support
from .adapters import keep_grammar_with_adapters
from .configs import Configs, check_is_saved, mark_config, restore_configs, switch_configs
from .generation import free_generation, guide_generation
from .guide import Guide
from .saved_grammar import SavedGrammar
from .saving import free_saving, guide_saving
from .strengths import STRENGTHS, LearnStrengths, initial_strengths
from .wrappers import DirectForward, NamedForward, inner_model

_STATE: Final[str] = "_grammask_state"


class _State:
    """What `detach` needs to undo an attachment."""

    def __init__(self, guide: Guide, hooks: list[Any], configs: Configs) -> None:
        self.guide = guide
        self.hooks = hooks
        self.configs = configs

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Come back from a pickle, perhaps in a process in which nothing was attached yet."""
        interface.register()
        keep_grammar_with_adapters()
        vars(self).update(state)


def attach_guide(model: PreTrainedModel, guide: Guide, learn_strengths: LearnStrengths | None) -> None:
    """Attach; a model that has learned strengths already, as one that is being loaded, keeps them."""
    support.check_kind(model)
    base = model.base_model
    if hasattr(base, _STATE):
        raise ModelError(f"this {type(model).__name__} already has a grammar; call grammask.detach(model) first")
    interface.register()
    keep_grammar_with_adapters()
    hooks = [
        base.register_forward_pre_hook(guide.before_forward, with_kwargs=True),
        base.register_forward_hook(guide.after_forward, with_kwargs=True),
        base.register_state_dict_pre_hook(check_is_saved),  # type: ignore[no-untyped-call]
    ]
    model.forward = NamedForward(model)
    base.forward = DirectForward(base)  # the same model, where it has no head
    guide_generation(guide)
    guide_saving(model, guide)
    setattr(base, _STATE, _State(guide, hooks, switch_configs(model)))
    try:
        assert guide.probe is not None  # noqa: S101 - it is there until settled
        found = support.survey(model, guide.probe)
        guide.settle(found)
        if learn_strengths is not None and not hasattr(base, STRENGTHS):
            heads = found.heads if learn_strengths == "head" else 1
            base.add_module(STRENGTHS, initial_strengths(guide.layer_tables, heads, model.device))
        mark_config(model, SavedGrammar(guide.grammar, guide.strategy, learn_strengths))
        support.try_out(model, annotated=guide.strategy != "full")
    except BaseException:
        detach_guide(model)
        raise


def detach_guide(model: PreTrainedModel) -> None:
    """Undo `attach_guide`; raise `ModelError` when the model has no grammar."""
    base = model.base_model
    state: _State | None = getattr(base, _STATE, None)
    if state is None:
        raise ModelError(f"this {type(model).__name__} has no grammar to detach")
    for hook in state.hooks:
        hook.remove()
    del base.forward
    if isinstance(vars(model).get("forward"), NamedForward):
        del model.forward
    free_generation(state.guide.model)
    free_saving(state.guide.model)
    restore_configs(model, state.configs)
    if hasattr(base, STRENGTHS):
        delattr(base, STRENGTHS)
    delattr(base, _STATE)
    support.forget(model)


def guide_of(model: nn.Module) -> Guide:
    """Return the guide of an attached model; raises `ModelError` when it has none."""
    inner = inner_model(model)
    state: _State | None = getattr(inner.base_model, _STATE, None)
    if state is None:
        raise ModelError(f"this {type(inner).__name__} has no grammar; call grammask.attach(model, grammar) first")
    return state.guide


def annotator_of(model: PreTrainedModel) -> Annotator | None:
    """Return the annotator that a model was attached with, None where there is none."""
    state: _State | None = getattr(model.base_model, _STATE, None)
    return None if state is None else state.guide.annotator
