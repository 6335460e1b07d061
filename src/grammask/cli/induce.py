"""`grammask induce`: a grammar for a density budget, from parsed text or from a model's own attention."""

from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Final, cast, get_args

import typer
from rich.table import Table

from ..environment import Device
from ..errors import ExperimentError
from ..grammar.file import load_grammar
from ..grammar.grammar import Grammar
from ..grammar.rules import Rule
from .console import PlainConsole
from .induce_loss import WINDOWS, induce_from_loss
from .options import DEFAULTS, Force, Parser, joined, refuse_others, whole_numbers
from .outputs import check_file

_LOSS: Final[str] = "loss"
# Options of every source, and those of the loss alone.
_SHARED: Final[tuple[str, ...]] = ("out", "source", "text", "model", "tagger", "budget", "description", "force")
_OF_LOSS: Final[tuple[str, ...]] = ("length", "steps", "windows", "names", "device")


def induce_command(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The grammar's file, NAME.toml; NAME.json and NAME.svg go next to it.")],
    source: Annotated[str, typer.Option("--from", help="One of arcs, attention, both, loss.")] = "arcs",
    text: Annotated[
        Path | None,
        typer.Option(
            help="Text file, one text a line; for --from loss a folder, a document each file.",
            show_default="built-in texts",
        ),
    ] = None,
    conllu: Annotated[Path | None, typer.Option(help="A parsed corpus (CoNLL-U, also .gz) instead of a text.")] = None,
    held_out: Annotated[
        Path | None, typer.Option(help="CoNLL-U to measure on.", show_default="every tenth sentence")
    ] = None,
    texts: Annotated[int | None, typer.Option(help="Texts at most.", show_default="all", min=10)] = None,
    model: Annotated[
        str, typer.Option(help="Whose attention: minilm or smollm2 (packaged), a local folder, or a Hub model.")
    ] = DEFAULTS.model,
    tagger: Parser = DEFAULTS.tagger,
    budget: Annotated[
        float,
        typer.Option(
            help="Word density on the text, from 0 to 1; for --from loss the share of causal pairs.", min=0.0, max=1.0
        ),
    ] = 0.2,
    scope: Annotated[str, typer.Option(help="One table for all heads, or one for each: all, layer, head.")] = "all",
    most_rules: Annotated[int, typer.Option(help="Rules at most, of each table.", min=1)] = 100,
    offsets_share: Annotated[
        float, typer.Option(help="Share of the budget for word offsets of all tags alike, filled first.", min=0, max=1)
    ] = 0.0,
    by_query: Annotated[
        bool, typer.Option("--by-query", help="Give every query tag its share of the density.")
    ] = False,
    attention_share: Annotated[float, typer.Option(help="Weight of attention in --from both.", min=0, max=1)] = 0.5,
    start: Annotated[
        str | None, typer.Option(help="A grammar whose rules come first: a shipped name or a file.")
    ] = None,
    strength: Annotated[
        float, typer.Option(help="Strength of every rule that is found, for soft attention; 0 is for hard only.")
    ] = 0.0,
    length: Annotated[
        int, typer.Option(help="--from loss: tokens of a text that the budget is for; longer ones are cut.", min=512)
    ] = 4096,
    steps: Annotated[int, typer.Option(help="--from loss: steps in which heads learn what to read.", min=1)] = 100,
    windows: Annotated[
        str,
        typer.Option(
            help="--from loss: words of the near and the wide window while heads learn; the wide one of the grammar is "
            "as long as --budget allows."
        ),
    ] = joined(WINDOWS),
    names: Annotated[
        bool, typer.Option("--names/--no-names", help="--from loss: let heads read far names; without, the control.")
    ] = True,
    device: Annotated[
        str, typer.Option(help=f"--from loss: where heads learn, in float32. One of {', '.join(get_args(Device))}.")
    ] = "cpu",
    description: Annotated[str, typer.Option(help="Description in the grammar's file.")] = "",
    force: Force = False,
) -> None:
    """Induce a grammar: the cells that carry most arcs or attention, or what far reading takes off a model's loss."""
    files = {kind: out.with_suffix(f".{kind}") for kind in ("toml", "json", "svg")}
    _check_finite(budget=budget, offsets_share=offsets_share, attention_share=attention_share, strength=strength)
    console = PlainConsole()
    with console.loading():
        from ..files.write import dump, write_whole
        from ..induce.build import Recipe, Scope, induce
        from ..induce.corpus import GainSource, built_in_corpus, cells_from_conllu, cells_from_texts, read_corpus
        from ..induce.curve import coverage_curve, measure_coverage
        from ..report.density_plots import curve_plot

    _check(out, files, force=force, source=source, scope=scope, text=text, conllu=conllu, held_out=held_out)
    # What a grammar cannot have is told now, not at the end.
    Grammar(out.stem, (Rule(("X",), ("X",), strength=strength),), description=description)
    if source == _LOSS:
        refuse_others(context, (*_SHARED, *_OF_LOSS), "--from loss exclude each other; leave one out")
        induce_from_loss(
            files, text=text, model=model or "smollm2", tagger=tagger, budget=budget, length=length,
            steps=steps, windows=whole_numbers(windows, option="--windows", example=joined(WINDOWS)), names=names,
            device=device, description=description, console=console,
        )  # fmt: skip
        return
    others = tuple(name for name in context.params if name not in _OF_LOSS)
    refuse_others(context, others, f"--from {source} exclude each other; it is for --from loss")
    model = model or DEFAULTS.model
    given = None if start is None else load_grammar(start)
    if conllu is not None:
        gathered = cells_from_conllu(conllu, held_out)
    else:
        corpus = built_in_corpus(texts) if text is None else read_corpus(text, texts)
        kind = cast("GainSource", source)
        gathered = cells_from_texts(
            corpus, kind, attention_share=attention_share, model=model, tagger=tagger, say=console.say
        )
    sizes = gathered.layers, gathered.heads
    recipe = Recipe(budget, most_rules, cast("Scope", scope), by_query, offsets_share, *sizes, given, strength)
    settings = _settings(
        source=source, budget=budget, scope=scope, most_rules=most_rules, offsets_share=offsets_share,
        by_query=by_query, start=start, attention_share=attention_share, strength=strength,
    )  # fmt: skip
    grammar = induce(
        gathered.cells, recipe, name=out.stem, description=description,
        source=f"grammask induce {settings}, on {gathered.facts['texts']} texts of {gathered.facts['text']}",
    )  # fmt: skip
    measured = measure_coverage(grammar, gathered)
    rows = coverage_curve(gathered, recipe, console.say)
    record = {**gathered.facts, "settings": settings, "rules": len(grammar.rules), **measured, "curve": rows}
    write_whole(files["json"], dump(record))
    write_whole(files["svg"], curve_plot(rows, measured, name=grammar.name).svg())
    write_whole(files["toml"], grammar.to_toml())
    console.print(_table([*rows, {"budget": budget, "rules": len(grammar.rules), **measured}]))
    for file in files.values():
        console.say(str(file))


def _check_finite(**options: float) -> None:
    for name, value in options.items():
        if not isfinite(value):
            raise ExperimentError(f"--{name.replace('_', '-')} is {value}, but must be a finite number")


def _check(out: Path, files: dict[str, Path], *, force: bool, source: str, scope: str, **given: Path | None) -> None:
    from ..induce.build import Scope
    from ..induce.corpus import GainSource

    if out.suffix != ".toml":
        raise ExperimentError(f"--out {out} must end in .toml; its name is the grammar's")
    for file in files.values():
        check_file(file, "--out")
    if there := [str(file) for file in files.values() if file.exists() and not force]:
        raise ExperimentError(f"{', '.join(there)} exists; name another file with --out, or overwrite it with --force")
    for name, value, known in (("--from", source, (*get_args(GainSource), _LOSS)), ("--scope", scope, get_args(Scope))):
        if value not in known:
            raise ExperimentError(f"{name} must be one of {', '.join(known)}, but is {value!r}")
    if given["text"] and given["conllu"]:
        raise ExperimentError("--text and --conllu exclude each other; leave one out")
    if given["held_out"] and not given["conllu"]:
        raise ExperimentError("--held-out needs --conllu; without a treebank every tenth text is held out")
    if given["conllu"] and source != "arcs":
        raise ExperimentError(f"--conllu holds arcs only; --from {source} needs --text")
    if source == "arcs" and scope != "all":
        raise ExperimentError(
            f"--scope {scope} is for a model's layers and heads, but arcs have none; use --from attention"
        )


def _settings(**values: Any) -> str:
    """Return the settings as options of the command, for the grammar's file."""
    spelled = {"from": values["source"], "budget": values["budget"], "scope": values["scope"]}
    spelled |= {"attention-share": values["attention_share"]} if values["source"] == "both" else {}
    spelled |= {"offsets-share": values["offsets_share"]} if values["offsets_share"] else {}
    spelled |= {"most-rules": values["most_rules"]} if values["offsets_share"] < 1 else {}
    spelled |= {"start": values["start"]} if values["start"] else {}
    spelled |= {"strength": values["strength"]} if values["strength"] else {}
    options = " ".join(f"--{name} {value}" for name, value in spelled.items())
    return f"{options} --by-query" if values["by_query"] else options


def _table(rows: list[dict[str, float]]) -> Table:
    kinds = [key for key in rows[-1] if key.endswith("_covered")]
    table = Table("budget %", "rules", "density %", *(f"{kind.removesuffix('_covered')} covered %" for kind in kinds))
    for row in rows:
        figures = (f"{100 * row[key]:.1f}" for key in ("density", *kinds))
        table.add_row(f"{100 * row['budget']:.1f}", str(row["rules"]), *figures)
    table.caption = "Measured on held-out text; the last row is the grammar itself."
    return table
