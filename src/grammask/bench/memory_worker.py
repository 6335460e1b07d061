"""One measurement of memory, in a process of its own: `python -m grammask.bench.memory_worker REQUEST`, JSON out."""

import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from ..attention.backends import BackendName
from ..errors import GrammaskError
from ..grammar.file import grammar_from_dict
from ..memory import PeakMemory, resident, settle
from .contender import CannotRunError, Outputs
from .operator_inputs import OperatorInputs, make_inputs
from .ours import guided
from .peers.sdpa import dense_masked, full
from .settings import FULL

_WARM_UP = 32  # tokens


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Run one contender once and return bytes: see `peak_memory.measure_memory`."""
    torch.set_num_threads(request["threads"])
    inputs = _inputs(request, request["annotation"])
    name = request["contender"]
    if name == "auto":
        name = guided(inputs, "auto")[0].backend  # on a short text another backend would be chosen
    short = {name: ids[:, :_WARM_UP] for name, ids in request["annotation"].items()}
    _contend(_inputs(request, short), name)()  # a first call loads libraries
    settle()
    before = resident()
    with PeakMemory() as planning:
        call = _contend(inputs, request["contender"])
    settle()
    held = resident() - before
    with PeakMemory() as attending:
        outputs = call()
    return {
        "before_bytes": before,
        "planning_bytes": max(planning.bytes - before, 0),
        "held_bytes": max(held, 0),
        "attention_bytes": max(attending.bytes - before, 0),
        "output_bytes": sum(output.numel() * output.element_size() for output in outputs),
        "peak_bytes": max(planning.bytes, attending.bytes),
        "method": attending.method,
    }


def _inputs(request: dict[str, Any], annotation: dict[str, Tensor]) -> OperatorInputs:
    return make_inputs(
        annotation,
        grammar=grammar_from_dict(request["grammar"], origin=request["grammar"]["name"]),
        strategy=request["strategy"],
        training=request["training"],
        layer=request["layer"],
        mask=request["mask"],
        heads=request["heads"],
        key_heads=request["key_heads"],
        head_dim=request["head_dim"],
        dtype=request["torch_dtype"],
        seed=request["seed"],
    )


def _contend(inputs: OperatorInputs, name: str) -> Callable[[], Outputs]:
    if name == FULL:
        return full(inputs, measured=False).call
    if name == "dense-masked":
        return dense_masked(inputs, measured=False).call
    return guided(inputs, cast(BackendName, name))[1]


def _end_with_parent() -> None:
    """End this process when standard input ends, which happens when the process that started it is gone."""
    os.read(0, 1)  # not through sys.stdin, whose lock would be held at the end
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        answer = measure(torch.load(sys.argv[1], weights_only=True))
    except (CannotRunError, GrammaskError) as error:
        answer = {"reason": str(error)}
    print(json.dumps(answer))  # noqa: T201 - the parent reads it
