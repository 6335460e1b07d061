"""attach, attached, detach: switching a grammar on in a transformers model, and off again without a trace."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from torch import nn
from transformers import PreTrainedModel

from ..attention.dispatch import check_name
from ..attention.plan import Redraw
from ..errors import ModelError
from ..grammar.file import load_grammar
from ..grammar.grammar import Grammar
from ..grammar.rules import Strategy, check_strategy
from . import interface, support
from .adapters import keep_grammar_with_adapters
from .configs import Configs, check_is_saved, mark_config, restore_configs, switch_configs
from .direct_forward import DirectForward
from .guide import Guide
from .saved_grammar import StoredGrammar
from .strengths import STRENGTHS, LearnStrengths, check_learnable, initial_strengths
from .unwrap import inner_model

Model = TypeVar("Model", bound=nn.Module)

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


def attach(
    model: Model,
    grammar: Grammar | str | Path,
    strategy: str = "hard",
    *,
    learn_strengths: LearnStrengths | None = None,
    backend: str = "auto",
) -> Model:
    """Guide `model`'s attention by a grammar, in place, and return it. Its weights are untouched.

    From here on the model's forward takes `tag_ids`, `word_ids` and, for sentence reach, `sentence_ids`, each an
    integer tensor (batch, length); `Annotator` makes them. They are not asked for under strategy "full", which is the
    stock model. `learn_strengths` (soft only) makes the strengths a parameter: one tag x tag table per "layer" or per
    "head", starting from the grammar's own. `backend` is how attention is computed: "auto" chooses for every call, see
    `explain_dispatch`; "dense", "sorted", "banded", "mixed" and "biased" are obeyed or refused. All are exact.
    The grammar is saved with the model; see `from_pretrained`.

    Raises `ModelError` for an architecture that cannot be guided or a model that already is, and `GrammarError` for a
    grammar that doesn't fit.
    """
    inner = inner_model(model)
    if learn_strengths is not None and inner is not model:
        raise ModelError(
            f"{type(model).__name__} would not know of strengths that are learned: call grammask.attach(..., "
            "learn_strengths=...) on the model inside, and wrap it then"
        )
    guide = Guide(inner, load_grammar(grammar), check_strategy(strategy), check_name(backend))
    if learn_strengths is not None:
        check_learnable(guide.grammar, guide.strategy, learn_strengths)
    attach_guide(inner, guide, learn_strengths)
    return model


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
    base.forward = DirectForward(base)
    setattr(base, _STATE, _State(guide, hooks, switch_configs(model)))
    try:
        assert guide.probe is not None  # noqa: S101 - it is there until settled
        found = support.survey(model, guide.probe)
        guide.settle(found)
        if learn_strengths is not None and not hasattr(base, STRENGTHS):
            heads = found.heads if learn_strengths == "head" else 1
            base.add_module(STRENGTHS, initial_strengths(guide.layer_tables, heads, model.device))
        mark_config(model, StoredGrammar(guide.grammar, guide.strategy, learn_strengths))
        support.try_out(model, annotated=guide.strategy != "full")
    except BaseException:
        detach(model)
        raise


def detach(model: Model) -> Model:
    """Undo `attach`, in place, and return the model: its logits are bit-identical to those before.

    Learned strengths are dropped with the grammar. Raises `ModelError` when the model has no grammar.
    """
    inner = inner_model(model)
    base = inner.base_model
    state: _State | None = getattr(base, _STATE, None)
    if state is None:
        raise ModelError(f"this {type(inner).__name__} has no grammar to detach")
    for hook in state.hooks:
        hook.remove()
    del base.forward
    restore_configs(inner, state.configs)
    if hasattr(base, STRENGTHS):
        delattr(base, STRENGTHS)
    delattr(base, _STATE)
    support.forget(inner)
    return model


def set_redraw(model: nn.Module, redraw: Redraw | None) -> None:
    """Let an attached model read what `redraw` makes of its grammar's masks, None for the masks; see `Plan`.

    For controls, for ways of training, and for switching off a rule.

    Raises `ModelError` when the model has no grammar.
    """
    _guide_of(model).redraw = redraw


def grammar_of(model: nn.Module) -> tuple[Grammar, Strategy]:
    """Return the grammar and the strategy of an attached model; raises `ModelError` when it has none."""
    guide = _guide_of(model)
    return guide.grammar, guide.strategy


def _guide_of(model: nn.Module) -> Guide:
    inner = inner_model(model)
    state: _State | None = getattr(inner.base_model, _STATE, None)
    if state is None:
        raise ModelError(f"this {type(inner).__name__} has no grammar; call grammask.attach(model, grammar) first")
    return state.guide


@contextmanager
def attached(
    model: Model, grammar: Grammar | str | Path, strategy: str = "hard", *, backend: str = "auto"
) -> Iterator[Model]:
    """Guide `model` within a `with` block; the grammar goes with the block, even after an error. See `attach`."""
    attach(model, grammar, strategy, backend=backend)
    try:
        yield model
    finally:
        detach(model)
