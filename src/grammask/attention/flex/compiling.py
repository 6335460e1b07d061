"""Compiling for a GPU: within which limits of PyTorch's, and one line where PyTorch cannot."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any, Final

import torch
from torch import Tensor
from torch._dynamo import config as dynamo_config
from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
from torch.fx.experimental import _config as symbol_config

from ...errors import InputError
from ...printing import reason

# Compilations, and whether numbers are constants of the code: a scale is one, sizes are not, however they relate.
_LIMITS: Final[tuple[tuple[Any, str, Any], ...]] = (
    (dynamo_config, "recompile_limit", 256), (dynamo_config, "accumulated_recompile_limit", 1024),
    (dynamo_config, "specialize_float", True), (symbol_config, "use_duck_shape", False),
)  # fmt: skip
# Up to PyTorch 2.11 its numbers are those of all threads: one that read another's would never set back its own.
_ONE_THREAD: Final = RLock()


@contextmanager
def compiling(query: Tensor) -> Iterator[None]:
    """Let calls on `query` be compiled; raise `InputError` where PyTorch cannot."""
    try:
        with _ONE_THREAD, _limits():
            yield
    except (TorchDynamoException, FailOnRecompileLimitHit) as error:
        dtype = str(query.dtype).removeprefix("torch.")
        said = "its limit of compilations is reached" if isinstance(error, FailOnRecompileLimitHit) else reason(error)
        raise InputError(
            f"PyTorch {torch.__version__} cannot compile FlexAttention on {query.device} for heads of "
            f'{query.shape[-1]} numbers in {dtype} ({said}); use backend="dense"'
        ) from error


@contextmanager
def _limits() -> Iterator[None]:
    """Set PyTorch's own numbers for a while: its `patch` takes more than twice as long, in every call."""
    before = [(config, name, getattr(config, name)) for config, name, _ in _LIMITS]
    for config, name, value in _LIMITS:
        setattr(config, name, value)
    try:
        yield
    finally:
        for config, name, value in before:
            setattr(config, name, value)
