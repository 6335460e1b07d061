"""`grammask grammar`: list, show, check and measure grammars."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ..files.write import read_lines
from ..grammar.describe import describe_rule, describe_sinks
from ..grammar.file import load_grammar, shipped_grammars
from ..grammar.grammar import Grammar
from ..grammar.limits import MAX_HEADS, MAX_LAYERS
from ..grammar.roles import has_roles, head_roles, rules_by_head, spell_places
from ..grammar.rules import Rule
from ..grammar.tags import NAMED
from ..tagging.load_tagger import load_tagger
from .console import PlainConsole
from .options import DEFAULTS, OwnText, Sentences, Tagger

app = typer.Typer(help="List, show, check and measure grammars.", no_args_is_help=True)
_Name = Annotated[str, typer.Argument(help="A shipped grammar's name or a file.", metavar="GRAMMAR")]
_AROUND = {
    False: "between [CLS] and [SEP]",
    True: "with nothing around, and reads itself and the words before it: the density is a share of these pairs",
}
# One mark for each way that a tag may read another; the legend is printed with the table.
_MARKS = {"document": "D", "sentence": "S", "words": "w"}
_LEGEND = (
    "Rows read columns: D at any distance, S within the sentence, w within word offsets, + favoured by soft only. The "
    "last three columns are [CLS], [SEP] and [UNK]. Every token reads itself and its word; [UNK] reads and is read by "
    "all."
)


@app.command("list")
def list_command() -> None:
    """List the shipped grammars."""
    table = Table("name", "rules", "sinks", "what it is", "source")
    for name in shipped_grammars():
        grammar = load_grammar(name)
        table.add_row(name, str(len(grammar.rules)), describe_sinks(grammar), grammar.description, grammar.source)
    PlainConsole().print(table)


@app.command("show")
def show_command(name: _Name) -> None:
    """Show a grammar as a tag x tag table, and its rules one by one or what each head reads."""
    grammar = load_grammar(name)
    console = PlainConsole()
    console.say(f"{grammar.name}: {_in_one_line(grammar.description)}")
    console.say(f"source: {_in_one_line(grammar.source) or 'not given'}")
    console.say(f"sinks: {describe_sinks(grammar)}; same tag: {grammar.same_tag}")
    console.print(_tag_table(grammar))
    console.say(_LEGEND)
    roles = has_roles(grammar)
    for heading, rules in _parts(grammar):
        if heading and roles:
            break
        if heading:
            console.say(heading)
        for number, rule in rules:
            console.say(f"{number:3}  {_line(rule, limits=not heading)}")
    for where, role in head_roles(grammar) if roles else ():
        console.say(f"{where}: {role}")


def _parts(grammar: Grammar) -> Iterator[tuple[str, list[tuple[int, Rule]]]]:
    """Yield rules with their numbers: those of all heads, and where rules name heads, those of each head."""
    numbered = list(enumerate(grammar.rules, start=1))
    if not grammar.varies_by_head:
        yield "", numbered
        return
    yield "", [(number, rule) for number, rule in numbered if rule.heads is None]
    for place, found in rules_by_head(grammar):
        yield spell_places([place]), [numbered[number] for number in found]


def _line(rule: Rule, *, limits: bool) -> str:
    limited = "".join(
        f", {kind} {' '.join(map(str, indices))}"
        for kind, indices in (("layers", rule.layers), ("heads", rule.heads))
        if limits and indices is not None
    )
    soft = f", strength {rule.strength:+g}" if rule.strength else ""
    name = f"{rule.name}: " if rule.name and limits else ""
    return f"{name}{describe_rule(rule)}{soft}{'' if rule.allow else ', soft only'}{limited}"


@app.command("check")
def check_command(name: _Name) -> None:
    """Check a grammar file; the first mistake is named with its place."""
    grammar = load_grammar(name)
    PlainConsole().say(f"{grammar.name}: {len(grammar.rules)} rules, nothing wrong")


@app.command("density")
def density_command(
    name: _Name,
    text: OwnText = None,
    tagger: Tagger = DEFAULTS.tagger,
    sentences: Sentences = DEFAULTS.sentences,
    layers: Annotated[
        int, typer.Option(help="Layers of the model, for grammars that name layers.", min=1, max=MAX_LAYERS)
    ] = 12,
    heads: Annotated[
        int, typer.Option(help="Heads of the model, for grammars that name heads.", min=1, max=MAX_HEADS)
    ] = 12,
    causal: Annotated[
        bool, typer.Option("--causal", help="Of the pairs of a model that reads only back: a word and those before it.")
    ] = False,
) -> None:
    """Measure which share of all pairs a grammar allows, word by word, on a text."""
    from ..attention.density import measure_causal_density, measure_density
    from ..tagging.tag_cache import CachedTagger

    grammar = load_grammar(name)
    grammar.check_fits(layers=layers, heads=heads)
    texts = _read_texts(text)
    tagged = CachedTagger(load_tagger(tagger, sentences=sentences)).tag(texts)
    measure = measure_causal_density if causal else measure_density
    counts = measure(grammar, tagged, layers=layers, heads=heads)
    table = Table("grammar", "texts", "density %", "word density %", "ideal speed-up")
    table.add_row(
        grammar.name, f"{len(texts):,}", f"{100 * counts.density:.1f}", f"{100 * counts.word_density:.1f}",
        f"{1 / counts.density:.2f}",
    )  # fmt: skip
    console = PlainConsole()
    console.print(table)
    console.say(f"Each word counts as one token, {_AROUND[causal]}.")


def _read_texts(path: Path | None) -> list[str]:
    if path is None:
        from ..data.film_reviews import film_review_texts

        return list(film_review_texts())
    return read_lines(path)


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def _tag_table(grammar: Grammar) -> Table:
    shown = [tag for tag in NAMED if tag != "[PAD]"]
    table = Table(padding=(0, 0), show_lines=False)
    table.add_column("")
    for tag in shown:
        table.add_column("\n".join(tag.strip("[]")), justify="center", vertical="bottom", width=2)
    for query in shown:
        table.add_row(query, *(_cell(grammar, query, key) for key in shown))
    return table


def _cell(grammar: Grammar, query: str, key: str) -> str:
    marks = {
        _MARKS[rule.reach.kind] for rule in grammar.rules if rule.allow and query in rule.query and key in rule.key
    }
    if key in grammar.sinks or (grammar.same_tag and key == query) or "[UNK]" in (query, key):
        marks.add("D")
    if any(not rule.allow and query in rule.query and key in rule.key for rule in grammar.rules):
        marks.add("+")
    return "".join(sorted(marks)) or "·"
