"""A device other than the CPU, for machines without one: its tensors lie on the CPU, and refuse to meet the CPU's.

PyTorch names it "lazy", for which nothing need be initialised. As on a GPU, an operation takes tensors of one device
(but for single numbers), `.numpy()` is refused, and `.to`, `.cpu` and `.item` move numbers.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from grammask.grammar import caching

OTHER = torch.device("lazy", 0)


class _There(Tensor):
    @staticmethod
    def __new__(cls, here):
        return Tensor._make_wrapper_subclass(
            cls, here.size(), strides=here.stride(), storage_offset=here.storage_offset(), dtype=here.dtype,
            device=OTHER,
        )  # fmt: skip

    def __init__(self, here):
        self.here = here

    def __repr__(self):
        return f"There({self.here})"

    def tolist(self):
        return self.here.tolist()

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {})


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {})


def _run(function, args, kwargs):
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    there = any(isinstance(tensor, _There) for tensor in tensors)
    if there and "copy" not in function.__name__:
        assert all(isinstance(tensor, _There) or tensor.dim() == 0 for tensor in tensors), f"two devices: {function}"
    device = kwargs.get("device")
    output = function(*tree_map(_here, args), **tree_map(_here, kwargs))
    if torch.device(device).type == OTHER.type if device is not None else there:
        return tree_map(lambda value: _There(value) if isinstance(value, Tensor) else value, output)
    return output


def _here(value):
    if isinstance(value, torch.device):
        return torch.device("cpu")
    return value.here if isinstance(value, _There) else value


def _tensor(*numbers, device=None, made=torch.tensor, **how):
    return made(*numbers, **how).to(device)


def _is_autocast_enabled(*device_type, asked=torch.is_autocast_enabled):
    return device_type != (OTHER.type,) and asked(*device_type)


class _Threads(ThreadPoolExecutor):
    """Threads that know the other device, too."""

    def submit(self, make, *args, **kwargs):
        def known():
            with _Mode():
                return make(*args, **kwargs)

        return super().submit(known)


@contextmanager
def other_device() -> Iterator[torch.device]:
    """Go on with another device; models that are put there get new parameters."""
    with (
        patch.object(torch.__future__, "get_overwrite_module_params_on_conversion", lambda: True),
        # What PyTorch does before it asks us, or by the names of devices that it knows.
        patch.object(torch, "tensor", _tensor),
        patch.object(torch, "is_autocast_enabled", _is_autocast_enabled),
        patch.object(torch, OTHER.type, torch.cpu, create=True),  # where checkpoints look for random numbers
        patch.object(caching, "ThreadPoolExecutor", _Threads),
        patch.object(torch, "inference_mode", lambda on=True: torch.no_grad() if on else nullcontext()),
        _Mode(),
    ):
        yield OTHER
