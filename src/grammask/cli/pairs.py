"""`grammask pairs`: minimal pairs of agreement and negative polarity, scored by a language model under grammars."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from ..errors import ExperimentError
from ..experiment.minimal_pairs.config import PairsConfig
from .console import PlainConsole
from .options import Force, Tagger, joined, setting, split
from .outputs import check_file

_DEFAULTS: Final[PairsConfig] = PairsConfig()


def pairs_command(
    model: Annotated[str, setting(PairsConfig, "model")] = _DEFAULTS.model,
    grammar: Annotated[
        list[str] | None, setting(PairsConfig, "grammars", several="by repeating the option", default="none")
    ] = None,
    strategies: Annotated[str, setting(PairsConfig, "strategies")] = joined(_DEFAULTS.strategies),
    controls: Annotated[str, setting(PairsConfig, "controls", default="none")] = joined(_DEFAULTS.controls),
    phenomena: Annotated[str, setting(PairsConfig, "phenomena", default="all")] = joined(_DEFAULTS.phenomena),
    count: Annotated[int, setting(PairsConfig, "count")] = _DEFAULTS.count,
    batch_size: Annotated[int, setting(PairsConfig, "batch_size")] = _DEFAULTS.batch_size,
    tagger: Tagger = _DEFAULTS.tagger,
    seed: Annotated[int, setting(PairsConfig, "seed")] = _DEFAULTS.seed,
    device: Annotated[str, setting(PairsConfig, "device")] = _DEFAULTS.device,
    out: Annotated[Path | None, typer.Option(help="A JSON file for the record.", show_default="none")] = None,
    force: Force = False,
) -> None:
    """Ask a language model which sentence of minimal pairs is likelier, under full attention, grammars and controls."""
    if out is not None:
        check_file(out, "--out")
        if out.exists() and not force:
            raise ExperimentError(f"--out {out} exists; name another file, or overwrite it with --force")
    console = PlainConsole()
    with console.loading():
        from ..experiment.minimal_pairs.config import make_pairs_config
        from ..experiment.minimal_pairs.run_pairs import run_pairs
        from ..files.write import dump, write_whole

    config = make_pairs_config(
        model=model, grammars=tuple(grammar or ()), strategies=split(strategies), controls=split(controls),
        phenomena=split(phenomena), count=count, batch_size=batch_size, tagger=tagger, seed=seed,
        device=device,
    )  # fmt: skip
    results = run_pairs(config, progress=console.progress)
    console.print(_table(results))
    if out is not None:
        write_whole(out, dump(results))
        console.say(str(out))


def _table(results: Mapping[str, Any]) -> Table:
    """Return the share of right pairs by phenomenon, a column for each row of the results."""
    table = Table(
        box=None,
        padding=(0, 2, 0, 0),
        caption=f"Pairs whose grammatical sentence has the higher {results['scores']}, in %, with 95 % intervals; "
        "equal ones count half, as guessing would.",
    )
    table.add_column("", no_wrap=True)
    for row in results["rows"]:
        table.add_column(str(row["control"] or row["grammar"] or row["strategy"]) + _strategy(row), overflow="fold")
    for name in results["rows"][0]["figures"]:
        table.add_row(name, *(_figure(row["figures"][name]) for row in results["rows"]))
    return table


def _strategy(row: Mapping[str, Any]) -> str:
    return "" if row["grammar"] is None else f"\nof {row['grammar']}" if row["control"] else f"\n{row['strategy']}"


def _figure(figure: Mapping[str, Any]) -> str:
    low, high = figure["accuracy_interval"]
    return f"{100 * figure['accuracy']:.1f}\n{100 * low:.0f}..{100 * high:.0f}"
