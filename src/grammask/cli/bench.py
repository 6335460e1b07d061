"""`grammask bench`: speed and memory against peers."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from .console import PlainConsole
from .lists import split, whole_numbers
from .places import check_folder
from .quiet import quieten
from .signals import advising


def bench_command(
    grammars: Annotated[str, typer.Option(help="Shipped names or files, with commas.")] = "paper-sinks,banded",
    strategies: Annotated[str, typer.Option(help="Any of hard,soft, with commas.")] = "hard,soft",
    levels: Annotated[
        str, typer.Option(help="Any of operator (one layer's attention), model, end-to-end (from text).")
    ] = "operator,model,end-to-end",
    passes: Annotated[str, typer.Option(help="Any of forward,training, with commas.")] = "forward,training",
    lengths: Annotated[str, typer.Option(help="Tokens of a text, with commas.")] = "512,1024,2048,4096",
    batch_sizes: Annotated[str, typer.Option(help="Texts in a batch, with commas.")] = "1",
    heads: Annotated[int, typer.Option(help="Heads at the operator level.")] = 12,
    head_dim: Annotated[int, typer.Option(help="Size of a head at the operator level.")] = 64,
    threads: Annotated[str, typer.Option(help="PyTorch's threads, with commas  [default: what it takes]")] = "",
    dtypes: Annotated[str, typer.Option(help="Any of float32,bfloat16 (autocast for whole models).")] = "float32",
    backends: Annotated[
        str, typer.Option(help="grammask's own, at the operator level.")
    ] = "auto,dense,sorted,banded,mixed,biased",
    peers: Annotated[
        str, typer.Option(help="Others at the operator level; full attention is always there.")
    ] = "dense-masked,flex,longformer,bigbird",
    model: Annotated[str, typer.Option(help="minilm (packaged), a local folder, or a Hub model; BERT's kind.")] = (
        "minilm"
    ),
    attention_dropout: Annotated[
        float, typer.Option(help="In training steps; PyTorch's fused attention has none and is left with any.")
    ] = 0.0,
    tagger: Annotated[str, typer.Option(help="A spaCy pipeline that gives UPOS tags.")] = "en_core_web_sm",
    text: Annotated[
        str | None, typer.Option(help="UTF-8 text  [default: the built-in sentences, joined]", metavar="FILE")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long the rounds of one case go on; at least 3 rounds.")] = 3.0,
    seed: Annotated[int, typer.Option(help="Of tensors, texts and lengths.")] = 0,
    memory: Annotated[bool, typer.Option(help="Measure peak memory too, at the largest length.")] = True,
    out: Annotated[Path | None, typer.Option(help="Folder for the results  [default: runs/bench-<time>]")] = None,
    figures: Annotated[
        Path | None, typer.Option(help="A folder for every figure as SVG and PNG, and its numbers as CSV.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a benchmark in --out.")] = False,
) -> None:
    """Measure time and memory of attention under a grammar, against full attention and other ways."""
    settings: dict[str, Any] = {
        "grammars": split(grammars), "strategies": split(strategies), "levels": split(levels),
        "passes": split(passes), "lengths": whole_numbers(lengths, option="--lengths", example="512,1024"),
        "batch_sizes": whole_numbers(batch_sizes, option="--batch-sizes", example="1,8"), "heads": heads,
        "head_dim": head_dim, "threads": whole_numbers(threads, option="--threads", example="1,2") or None,
        "dtypes": split(dtypes), "backends": split(backends), "peers": split(peers), "model": model,
        "attention_dropout": attention_dropout, "tagger": tagger, "text": text, "seconds": seconds, "seed": seed,
        "memory": memory,
    }  # fmt: skip
    if out is not None:
        check_folder(out, "--out")
    if figures is not None:
        check_folder(figures, "--figures", empty=not force)
    quieten()
    console = PlainConsole()
    with console.status("loading libraries"):
        from ..bench.run import REPORT, RESULTS, run_bench
        from ..bench.settings import make_bench_config
        from ..report.bench_page import write_bench_figures
        from .bench_table import bench_tables

    config = make_bench_config(**settings)
    folder = out or Path("runs") / datetime.now().strftime("bench-%Y-%m-%d-%H%M%S")

    with advising(lambda: f"what was measured until then is in {folder}" if (folder / RESULTS).is_file() else ""):
        results = run_bench(config, folder, force=force, say=console.say)
    if figures is not None:
        write_bench_figures(results, figures)
    for table in bench_tables(results):
        console.print(table)
    for file in (REPORT, RESULTS):
        console.say(str(folder / file))
