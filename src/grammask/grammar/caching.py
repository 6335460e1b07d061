"""Caching what outlives the call that made it: compiled tables, plans, scratch memory.

Torch's modes (inference mode, autocast, a default device, fake tensors, the transforms of `torch.func`) change what a
plain line of code makes. What is kept would carry the mode of its first caller into every later call.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar, cast

import torch

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def cache_outside_modes(make: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Let `make` run once for equal arguments, in a thread of its own: modes belong to a thread, so none holds there.

    Only the default dtype belongs to the whole process: `make` must name the dtype of every tensor.
    """

    @wraps(make)
    def apart(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(make, *args, **kwargs).result()

    return cast(Callable[Arguments, Result], lru_cache(maxsize=256)(apart))


@contextmanager
def outside_inference_mode() -> Iterator[None]:
    """Make tensors that later calls may train with, also under inference mode; gradients are recorded as outside."""
    # Traced calls keep nothing, and a change of mode would go into the graph.
    if torch.compiler.is_compiling() or not torch.is_inference_mode_enabled():
        yield
        return
    recorded = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.set_grad_enabled(recorded):
        yield
