"""The presses of kvpress, asked for their scores alone: its hooks don't fit every version of transformers.

kvpress pins an older transformers, so it is no extra of this package.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from ....errors import ExperimentError
from ..prefill import attention_modules
from .compress import Scorer

PRESSES: Final[Mapping[str, str]] = {
    "snapkv": "SnapKVPress",
    "expected-attention": "ExpectedAttentionPress",
    "keydiff": "KeyDiffPress",
    "random": "RandomPress",
}
SEEING: Final[tuple[str, ...]] = ("snapkv",)  # presses whose scores depend on what the last tokens are
WINDOW: Final[int] = 64  # tokens at the end by which SnapKV scores, and which it keeps


def press_scorer(peer: str, *, seed: int) -> Scorer:
    """Return what scores keys as a press of kvpress does; raises `ExperimentError` where kvpress is missing."""
    kind = getattr(load_kvpress(), PRESSES[peer])

    def score(layer: int, module: nn.Module, states: Tensor, rotation: Any, keys: Tensor, values: Tensor) -> Tensor:
        # With one seed a random press would draw the same places in every layer.
        settings = {"random": {"seed": seed + layer}, "snapkv": {"window_size": WINDOW}}.get(peer, {})
        scores: Tensor = kind(**settings).score(module, states, keys, values, None, {"position_embeddings": rotation})
        return scores

    return score


def load_kvpress() -> ModuleType:
    """Import kvpress, and take back what it exchanges in transformers' attention functions when it is imported."""
    stock = dict(ALL_ATTENTION_FUNCTIONS.items())
    try:
        return import_module("kvpress")
    except ImportError as error:
        raise ExperimentError(
            f"--peers: kvpress cannot be imported ({error}); it pins an older transformers, so install it and what it "
            "imports without their requirements: pip install --no-deps kvpress==0.5.5 cachetools fire termcolor, or "
            "leave its peers out"
        ) from error
    finally:
        for name, function in stock.items():
            with suppress(KeyError):  # what stands here alone would hide all that is registered later
                del ALL_ATTENTION_FUNCTIONS[name]  # type: ignore[no-untyped-call]
            if ALL_ATTENTION_FUNCTIONS.get(name) is not function:
                ALL_ATTENTION_FUNCTIONS[name] = function


@contextmanager
def with_rotary(model: PreTrainedModel) -> Iterator[None]:
    """Give each attention the position embedding of its model, where presses look for it."""
    modules = attention_modules(model)
    for module in modules:
        module.rotary_emb = model.base_model.rotary_emb
    try:
        yield
    finally:
        for module in modules:
            del module.rotary_emb
