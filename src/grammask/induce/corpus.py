"""What `grammask induce` works on: cells of a text and of held-out text, from arcs, from attention, or from both."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from torch import Tensor
from transformers import AutoModel

from ..data.film_reviews import film_reviews
from ..errors import InputError
from ..files.write import read_lines
from ..grammar.grammar import Grammar
from ..model.load import find_model, load_tokenizer
from ..model.weights import load_weights
from ..tagging.annotate import Annotator
from ..tagging.collate import Collator
from .allowed import Allowed, allowed_cells
from .arc_cells import Parse, dependent_cells, read_conllu, reader_cells
from .attention_cells import attention_cells
from .build import Recipe, induce
from .cells import Cells, mixed
from .parsing import parse_texts

Source = Literal["arcs", "attention", "both"]
BUDGETS: Final[tuple[float, ...]] = (0.08, 0.1, 0.12, 0.15, 0.2, 0.3)
_HELD_OUT = 10  # every so manieth text of one's own
_BATCH = 64


@dataclass(frozen=True)
class Text:
    """Where grammars are induced from, and where they are measured."""

    name: str
    train: tuple[str, ...]
    held_out: tuple[str, ...]


@dataclass(frozen=True)
class Induction:
    """Cells to induce from, and for each kind of gain those of held-out text; `facts` says where all are from."""

    cells: Cells
    held_out: Mapping[str, Cells]
    layers: int
    heads: int
    facts: Mapping[str, Any]


def built_in_text(most: int | None) -> Text:
    """Return the built-in sentences: at most so many of train, and dev held out."""
    films = film_reviews()
    return Text("the built-in film-review sentences", films.train.texts[:most], films.dev.texts[:most])


def own_text(path: Path, most: int | None) -> Text:
    """Return a text file, a text a line, of which every tenth is held out; raises `InputError`."""
    lines = read_lines(path)[:most]
    if len(lines) < _HELD_OUT:
        raise InputError(f"--text {path} holds {len(lines)} texts, but every tenth is held out; give at least 10 lines")
    train = tuple(line for number, line in enumerate(lines) if number % _HELD_OUT)
    return Text(path.name, train, tuple(lines[::_HELD_OUT]))


def from_texts(
    text: Text, source: Source, *, attention_share: float, model: str, tagger: str, say: Callable[[str], None]
) -> Induction:
    """Gather cells from raw text: spaCy's arcs, a model's attention, or both with this share for attention."""
    cells: list[Cells] = []
    held_out: dict[str, Cells] = {}
    facts: dict[str, Any] = {"text": text.name, "texts": len(text.train), "held_out_texts": len(text.held_out)}
    layers = heads = 1
    if source != "attention":
        say(f"parsing {len(text.train) + len(text.held_out):,} texts")
        cells.append(reader_cells(list(parse_texts(text.train, tagger))))
        held_out["arcs"] = dependent_cells(list(parse_texts(text.held_out, tagger)))
        facts["parser"] = tagger
    if source != "arcs":
        say(f"reading the attention of {model}")
        found = find_model(model)
        encoder = load_weights(AutoModel, found.location, new="pooler").model  # attention doesn't go through it
        layers, heads = encoder.config.num_hidden_layers, encoder.config.num_attention_heads
        annotate = Annotator(load_tokenizer(found), tagger)
        cells.append(attention_cells(encoder, _batches(annotate, text.train)))
        held_out["attention"] = attention_cells(encoder, _batches(annotate, text.held_out))
        facts |= {"model": found.name, "model_sha256": found.sha256, "tagger": annotate.tagger.version}
    together = cells[0] if len(cells) == 1 else mixed(cells[0], cells[1], attention_share)
    return Induction(together, held_out, layers, heads, facts)


def from_conllu(path: Path, held_out: Path | None) -> Induction:
    """Gather cells from the arcs of a CoNLL-U file, measured on another, or on every tenth sentence of the first."""
    parses = read_conllu(path)
    measured: Sequence[Parse] = parses[::_HELD_OUT] if held_out is None else read_conllu(held_out)
    if held_out is None:
        parses = [parse for number, parse in enumerate(parses) if number % _HELD_OUT]
    facts = {"text": path.name, "texts": len(parses), "held_out_texts": len(measured)}
    facts |= {} if held_out is None else {"held_out_text": held_out.name}
    return Induction(reader_cells(parses), {"arcs": dependent_cells(measured)}, 1, 1, facts)


def measure(grammar: Grammar, induction: Induction) -> dict[str, float]:
    """Return the word density on held-out text and the coverage of each kind of gain."""
    allowed = allowed_cells(grammar, layers=induction.layers, heads=induction.heads)
    densities = allowed.densities(next(iter(induction.held_out.values())))
    return {
        "density": float(densities.mean()),
        **{f"{kind}_covered": _coverage(kind, cells, allowed) for kind, cells in induction.held_out.items()},
    }


def curve(induction: Induction, recipe: Recipe, say: Callable[[str], None]) -> list[dict[str, float]]:
    """Return what grammars of other budgets would cover: the recipe at each budget, measured on held-out text."""
    rows = []
    for budget in BUDGETS:
        say(f"curve: word density {budget:.0%}")
        try:
            grammar = induce(induction.cells, recipe.at(budget), name="curve")
        except InputError:  # what the starting grammar allows is more than this
            continue
        rows.append({"budget": budget, "rules": len(grammar.rules), **measure(grammar, induction)})
    return rows


def _coverage(kind: str, cells: Cells, allowed: Allowed) -> float:
    """Return the share of gain that is allowed, a mean over heads; an arc is covered from either of its ends."""
    found = []
    for number, (near, far) in enumerate(zip(allowed.near, allowed.far, strict=True)):
        of_group = cells.select([number if cells.groups > 1 else 0])
        if kind == "arcs":
            near, far = near | near.swapaxes(0, 1)[..., ::-1], far | far.T
        found.append(of_group.coverage(near, far))
    return float(np.mean(found))


def _batches(annotate: Annotator, texts: Sequence[str]) -> Iterator[Mapping[str, Tensor]]:
    collate = Collator(annotate.tokenizer)
    encoded = annotate(list(texts))
    features = [{name: values[number] for name, values in encoded.items()} for number in range(len(texts))]
    features.sort(key=lambda feature: len(feature["input_ids"]))
    for start in range(0, len(features), _BATCH):
        yield collate(features[start : start + _BATCH])
