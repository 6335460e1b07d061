"""Peak memory of full attention, of the dense mask and of each backend, each in a fresh process."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..grammar.grammar import Grammar
from .cases import Case
from .settings import FULL, BenchConfig


def measure_memory(
    case: Case, config: BenchConfig, *, grammar: Grammar, annotation: Mapping[str, Tensor]
) -> list[dict[str, Any]]:
    """Return one row for each contender, all in bytes of resident memory.

    `before_bytes` is memory with libraries loaded and queries, keys and values made. The following are measured above
    it: `planning_bytes`, the peak while the plan or mask is made; `held_bytes`, what plan or mask occupy; and
    `attention_bytes`, the peak during attention, plan or mask included. `peak_bytes` is the highest of all,
    with nothing subtracted.
    """
    request = {
        **case.facts(), **config.one_layer, "torch_dtype": case.torch_dtype, "seed": config.seed,
        "training": case.work == "training", "grammar": grammar.to_dict(), "annotation": dict(annotation),
    }  # fmt: skip
    facts = {**case.facts(), **config.one_layer}
    masked = [("dense-masked", "peer")] if "dense-masked" in config.peers else []
    contenders = [(FULL, "full"), *masked, *((backend, "ours") for backend in config.backends)]
    return [
        {**facts, "contender": name, "kind": kind, **_in_fresh_process({**request, "contender": name})}
        for name, kind in contenders
    ]


def _in_fresh_process(request: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "request.pt"
        torch.save(request, path)
        command = [sys.executable, "-m", "grammask.bench.memory_worker", str(path)]
        with _leash() as held:
            done = subprocess.run(command, stdin=held, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode == 0:
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer
    if done.returncode < 0:
        return {"reason": f"killed by signal {-done.returncode}, as happens when memory is full"}
    lines = done.stderr.strip().splitlines() or ["no message"]
    return {"reason": lines[-1][:300]}


@contextmanager
def _leash() -> Iterator[int]:
    """Yield a pipe whose other end closes when this process ends, in whatever way; see `memory_worker`."""
    held, ours = os.pipe()
    try:
        yield held
    finally:
        os.close(held)
        os.close(ours)
