"""attach, attached, detach: switching a grammar on in a transformers model, and off again without a trace."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, Final, TypeVar

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from ..attention.dispatch import check_name
from ..errors import ModelError
from ..grammar import Grammar
from ..grammar_file import load_grammar
from ..plan import Redraw
from ..rules import Strategy, check_strategy
from . import interface, support
from .adapters import keep_grammar_with_adapters
from .guide import Guide
from .stored import CONFIG_KEY, StoredGrammar
from .strengths import STRENGTHS, LearnStrengths, check_learnable, initial_strengths
from .wrapped import inner_model

Model = TypeVar("Model", bound=nn.Module)

_STATE: Final[str] = "_grammask_state"


class _State:
    """What `detach` needs to undo an attachment."""

    def __init__(self, guide: Guide, hooks: list[Any], configs: list[tuple[nn.Module, PretrainedConfig]]) -> None:
        self.guide = guide
        self.hooks = hooks
        self.configs = configs

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Come back from a pickle, perhaps in a process in which nothing was attached yet."""
        interface.register()
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
    ]
    setattr(base, _STATE, _State(guide, hooks, _switch_configs(model, interface.NAME)))
    try:
        assert guide.probe is not None  # noqa: S101 - it is there until settled
        found = support.survey(model, guide.probe)
        guide.settle(found)
        if learn_strengths is not None and not hasattr(base, STRENGTHS):
            heads = found.heads if learn_strengths == "head" else 1
            base.add_module(STRENGTHS, initial_strengths(guide.layer_tables, heads, model.device))
        support.try_out(model, annotated=guide.strategy != "full")
    except BaseException:
        detach(model)
        raise
    stored = StoredGrammar(guide.grammar, guide.strategy, learn_strengths)
    setattr(model.config, CONFIG_KEY, stored.to_dict())
    # Saved under the public name, it makes stock loads of a guided model raise instead of reading everything.
    model.config.attn_implementation = interface.NAME


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
    for module, config in state.configs:
        _set_config(module, config)
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


def _switch_configs(model: PreTrainedModel, implementation: str) -> list[tuple[nn.Module, PretrainedConfig]]:
    """Give every module a copy of its config that asks for `implementation`; return the configs they had.

    Modules read the attention's name from their config, and models built from one config object share it: changing it
    in place would guide all of them.
    """
    had: list[tuple[nn.Module, PretrainedConfig]] = []
    memo: dict[int, Any] = {}
    for module in model.modules():
        config = getattr(module, "config", None)
        if isinstance(config, PretrainedConfig):
            had.append((module, config))
            copied = deepcopy(config, memo)
            copied._attn_implementation = implementation
            _set_config(module, copied)
    return had


def _set_config(module: nn.Module, config: PretrainedConfig) -> None:
    """Set a plain attribute; `nn.Module`'s own stubs take every attribute for a tensor or a module."""
    object.__setattr__(module, "config", config)
