"""`grammask bench`: speed and memory against peers."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ..bench.settings import BenchConfig
from ..environment import check_device
from ..errors import ExperimentError
from .console import PlainConsole
from .options import Figures, Tagger, joined, refuse_others, setting, split, whole_numbers
from .outputs import check_folder
from .signals import advising

if TYPE_CHECKING:
    from ..attention.calibration.calibrate import Calibration
    from ..attention.calibration.gpu.rates import GpuRates
    from ..attention.calibration.rates import Rates

_DEFAULTS: Final[BenchConfig] = BenchConfig()
_WITH_CALIBRATE: Final[tuple[str, ...]] = ("calibrate", "dtypes", "threads", "device")


def bench_command(
    context: typer.Context,
    grammars: Annotated[str, setting(BenchConfig, "grammars")] = joined(_DEFAULTS.grammars),
    strategies: Annotated[str, setting(BenchConfig, "strategies")] = joined(_DEFAULTS.strategies),
    levels: Annotated[str, setting(BenchConfig, "levels")] = joined(_DEFAULTS.levels),
    passes: Annotated[str, setting(BenchConfig, "passes")] = joined(_DEFAULTS.passes),
    lengths: Annotated[str, setting(BenchConfig, "lengths")] = joined(_DEFAULTS.lengths),
    batch_sizes: Annotated[str, setting(BenchConfig, "batch_sizes")] = joined(_DEFAULTS.batch_sizes),
    heads: Annotated[int, setting(BenchConfig, "heads")] = _DEFAULTS.heads,
    head_dim: Annotated[int, setting(BenchConfig, "head_dim")] = _DEFAULTS.head_dim,
    key_heads: Annotated[
        int | None, setting(BenchConfig, "key_heads", default="as many as heads")
    ] = _DEFAULTS.key_heads,
    layer: Annotated[int, setting(BenchConfig, "layer")] = _DEFAULTS.layer,
    masks: Annotated[str, setting(BenchConfig, "masks")] = joined(_DEFAULTS.masks),
    threads: Annotated[str, setting(BenchConfig, "threads", default="what it takes")] = joined(_DEFAULTS.threads or ()),
    dtypes: Annotated[str, setting(BenchConfig, "dtypes")] = joined(_DEFAULTS.dtypes),
    backends: Annotated[str, setting(BenchConfig, "backends")] = joined(_DEFAULTS.backends),
    peers: Annotated[str, setting(BenchConfig, "peers")] = joined(_DEFAULTS.peers),
    model: Annotated[str, setting(BenchConfig, "model")] = _DEFAULTS.model,
    attention_dropout: Annotated[float, setting(BenchConfig, "attention_dropout")] = _DEFAULTS.attention_dropout,
    tagger: Tagger = _DEFAULTS.tagger,
    text: Annotated[
        str | None, setting(BenchConfig, "text", default="the built-in sentences, joined", metavar="FILE")
    ] = _DEFAULTS.text,
    seconds: Annotated[float, setting(BenchConfig, "seconds")] = _DEFAULTS.seconds,
    seed: Annotated[int, setting(BenchConfig, "seed")] = _DEFAULTS.seed,
    padded: Annotated[bool, setting(BenchConfig, "padded")] = _DEFAULTS.padded,
    memory: Annotated[bool, setting(BenchConfig, "memory")] = _DEFAULTS.memory,
    device: Annotated[str, setting(BenchConfig, "device")] = _DEFAULTS.device,
    out: Annotated[Path | None, typer.Option(help="Folder for the results.", show_default="runs/bench-<time>")] = None,
    figures: Figures = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a benchmark in --out, and figures.")] = False,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Only measure, show and keep what backend auto goes by, for --dtypes and --threads, or --device cuda.",
        ),
    ] = False,
) -> None:
    """Measure time and memory of attention under a grammar, against full attention and other ways."""
    settings: dict[str, Any] = {
        "grammars": split(grammars), "strategies": split(strategies), "levels": split(levels),
        "passes": split(passes), "lengths": whole_numbers(lengths, option="--lengths", example="512,1024"),
        "batch_sizes": whole_numbers(batch_sizes, option="--batch-sizes", example="1,8"), "heads": heads,
        "head_dim": head_dim, "key_heads": key_heads, "layer": layer, "masks": split(masks),
        "threads": whole_numbers(threads, option="--threads", example="1,2") or None,
        "dtypes": split(dtypes), "backends": split(backends), "peers": split(peers), "model": model,
        "attention_dropout": attention_dropout, "tagger": tagger, "text": text, "seconds": seconds, "seed": seed,
        "padded": padded, "memory": memory, "device": device,
    }  # fmt: skip
    if calibrate:
        refuse_others(
            context,
            _WITH_CALIBRATE,
            "--calibrate exclude each other; measuring takes --dtypes, --threads and --device alone",
        )
        _calibrate(settings)
        return
    if out is not None:
        check_folder(out, "--out")
    if figures is not None:
        check_folder(figures, "--figures", empty=not force)
    console = PlainConsole()
    with console.loading():
        from ..bench.run import REPORT, RESULTS, run_bench
        from ..bench.settings import make_bench_config
        from ..report.bench_page import write_bench_figures
        from .bench_table import bench_tables

    config = make_bench_config(**settings)
    folder = out or Path("runs") / datetime.now().strftime("bench-%Y-%m-%d-%H%M%S")

    with advising(lambda: f"the results so far are in {folder}" if (folder / RESULTS).is_file() else ""):
        results = run_bench(config, folder, force=force, say=console.say)
    if figures is not None:
        write_bench_figures(results, figures)
    for table in bench_tables(results):
        console.print(table)
    for file in (REPORT, RESULTS):
        console.say(str(folder / file))


def _calibrate(settings: dict[str, Any]) -> None:
    console = PlainConsole()
    with console.loading():
        import torch

        from ..attention.calibration.calibrate import calibrate, calibrate_gpu
        from ..bench.settings import make_bench_config

    config = make_bench_config(**settings)
    check_device(config.device)
    if config.device == "cuda" and config.threads is not None:
        raise ExperimentError("--threads and --device cuda exclude each other; a GPU's rates don't depend on threads")
    for name in config.attention_dtypes:
        dtype = getattr(torch, name)
        if config.device == "cuda":
            console.say("measuring takes minutes: each kind of call is compiled first")
            _show(calibrate_gpu(dtype), console)
            continue
        for threads in config.threads or (torch.get_num_threads(),):
            _show(calibrate(dtype, threads), console)


def _show(done: "Calibration[Rates] | Calibration[GpuRates]", console: PlainConsole) -> None:
    from .calibration_tables import calibration_tables

    for table in calibration_tables(done):
        console.print(table)
    console.say(f"measured in {done.seconds:.1f} s, kept in {done.path}")
