"""Compare the estimates behind backend auto with what is measured: python scripts/check_estimates.py --out FILE.

Planning and mask making are in both, for one layer. Run grammask bench --calibrate before, on an idle machine.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, Final

import torch

import grammask
from grammask.attention.calibration.made_up import made_up_plan, unmade
from grammask.attention.functional import attend
from grammask.attention.plan import Plan
from grammask.environment import environment
from grammask.files.write import dump, write_whole
from grammask.grammar.rules import Strategy

GRAMMARS: Final[tuple[tuple[str, Strategy, str], ...]] = (
    ("paper", "hard", "sorted"), ("banded", "hard", "banded"), ("mixed", "hard", "mixed"), ("paper", "soft", "biased"),
    ("banded", "soft", "biased"),
)  # fmt: skip
HEADS: Final[int] = 12
MOST_TRAINED: Final[int] = 4096


def main() -> None:
    """Measure the grid, write it, and print the calls whose estimates are furthest off and the wrong choices."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lengths", default="128,256,512,1024,2048,4096,8192")
    parser.add_argument("--head-dims", default="32,64")
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--threads", default="1,2")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for row in measure_grid(options):
        rows.append(row)
        print(line(row), flush=True)  # noqa: T201
        write_whole(options.out, dump({"environment": environment(options.dtypes), "rows": rows}))
    worst = max(rows, key=misestimate)
    within = sum(misestimate(row) <= 1.5 for row in rows)
    print(f"{within} of {len(rows)} within 1.5x; furthest off: {line(worst)}")  # noqa: T201
    print(f"largest loss by a wrong choice: {max(map(loss, rows)):.2f}x")  # noqa: T201


def measure_grid(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield estimates and measurements of each call of the grid."""
    dtypes, threads = options.dtypes.split(","), [int(count) for count in options.threads.split(",")]
    sizes = [int(size) for size in options.head_dims.split(",")]
    lengths = [int(length) for length in options.lengths.split(",")]
    for dtype, count, training, size, (grammar, strategy, backend), length in product(
        dtypes, threads, (False, True), sizes, GRAMMARS, lengths
    ):
        if training and length > MOST_TRAINED:
            continue
        torch.set_num_threads(count)
        plan = unmade(made_up_plan(grammar, strategy, length))
        choice = grammask.explain_dispatch(
            plan, heads=HEADS, head_dim=size, backend=backend, dtype=getattr(torch, dtype), training=training
        )
        dense, sparse = measure(plan, ("dense", backend), size, getattr(torch, dtype), training=training)
        yield {
            "dtype": dtype, "threads": count, "pass": "training" if training else "forward", "head_dim": size,
            "grammar": grammar, "strategy": strategy, "length": length, "rates": choice.rates,
            "dense_ms": dense, "sparse_ms": sparse, "estimated_dense_ms": choice.dense_ms,
            "estimated_sparse_ms": choice.sparse_ms,
        }  # fmt: skip


def measure(
    plan: Plan, backends: tuple[str, str], head_dim: int, dtype: torch.dtype, *, training: bool
) -> tuple[float, float]:
    """Return the least milliseconds of one layer on each backend, planning included, in rounds that take turns."""
    # Tokens outermost, as models hand them over.
    query, key, value, gradient = (
        torch.randn(1, plan.shape[1], HEADS, head_dim).to(dtype).transpose(1, 2) for _ in range(4)
    )
    for tensor in (query, key, value):
        tensor.requires_grad_(training)

    def call(backend: str) -> Callable[[], object]:
        def run() -> object:
            with torch.set_grad_enabled(training):
                output = attend(query, key, value, unmade(plan), 0, None, scale=0.1, dropout=0.0, backend=backend)
                return torch.autograd.grad(output, (query, key, value), gradient) if training else output

        return run

    calls = [call(backend) for backend in backends]
    # As the calibration does: a single thread's own time leaves out what other programs took meanwhile.
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    fastest = [float("inf"), float("inf")]
    for _ in range(5):
        for place, run in enumerate(calls):
            begun = clock()
            run()
            fastest[place] = min(fastest[place], (clock() - begun) * 1e3)
    return fastest[0], fastest[1]


def misestimate(row: dict[str, Any]) -> float:
    """Return by which factor the worse estimate of a call is off."""
    ratios = [row[f"estimated_{side}_ms"] / row[f"{side}_ms"] for side in ("dense", "sparse")]
    return float(max(max(ratio, 1 / ratio) for ratio in ratios))


def loss(row: dict[str, Any]) -> float:
    """Return how many times as long as the faster way the chosen one takes."""
    takes_dense = row["estimated_dense_ms"] <= row["estimated_sparse_ms"]
    chosen = row["dense_ms" if takes_dense else "sparse_ms"]
    return float(chosen / min(row["dense_ms"], row["sparse_ms"]))


def line(row: dict[str, Any]) -> str:
    """Say what was estimated and measured of a call."""
    sides = ", ".join(
        f"{side} {row[f'estimated_{side}_ms']:.2f} of {row[f'{side}_ms']:.2f} ms" for side in ("dense", "sparse")
    )
    names = ("dtype", "threads", "pass", "head_dim", "grammar", "strategy", "length")
    what = " ".join(str(row[name]) for name in names)
    return f"{what}: {sides}; off {misestimate(row):.2f}x, loss {loss(row):.2f}x"


if __name__ == "__main__":
    main()
