"""What the other processes of a comparison do: train along with the main one, and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

from ..environment import choose_precision
from .config import Config
from .plan_runs import RunSpec, plan_runs
from .prepare import prepare
from .processes import Processes
from .setup import load_setup
from .train import train_and_evaluate


@contextmanager
def launched() -> Iterator[Processes]:
    """Give the processes of this command; in all but the main one the block begins when all is trained."""
    processes = Processes()
    if not processes.is_main:
        _follow(processes)
    yield processes
    if processes.is_main:
        processes.share(None)
    processes.leave()


def _follow(processes: Processes) -> None:
    """Train what the main process trains, until it has no comparison left; raises what `compare` does."""
    while (config := processes.share()) is not None:
        _follow_comparison(config, processes)


def _follow_comparison(config: Config, processes: Processes) -> None:
    specs, grammars = plan_runs(config)
    setup = load_setup(config, specs, grammars, choose_precision(config.precision))
    # The main process has tagged all texts before, so the tags come from the cache.
    data = prepare(setup.task, setup.annotator, max_length=setup.config.max_length, progress=lambda tagged, *_: tagged)
    spec: RunSpec | None
    while (spec := processes.share()) is not None:
        train_and_evaluate(setup, spec, setup.controlled(spec, data), processes, keep=None)
