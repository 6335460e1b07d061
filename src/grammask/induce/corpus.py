"""What `grammask induce` works on: cells of a corpus and of its held-out part, worth arcs, attention, or both."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from torch import Tensor
from transformers import AutoModel

from ..data.film_reviews import film_reviews
from ..errors import InputError
from ..files.write import read_lines
from ..model.load_weights import load_weights
from ..model.named_models import find_model, load_tokenizer
from ..tagging.annotate import Annotator
from ..tagging.collate import Collator
from ..tagging.padding import pads_right
from .arc_cells import Parse, dependent_cells, read_conllu, reader_cells
from .attention_cells import attention_cells
from .cells import Cells, mixed
from .parsing import parse_texts

GainSource = Literal["arcs", "attention", "both"]
_HELD_OUT: Final[int] = 10  # every tenth text of a user's file is held out
_BATCH: Final[int] = 64  # texts


@dataclass(frozen=True)
class Corpus:
    """Texts that grammars are induced from, and held-out texts that they are measured on."""

    name: str
    train: tuple[str, ...]
    held_out: tuple[str, ...]


@dataclass(frozen=True)
class InductionData:
    """Cells to induce from, and cells of held-out text for each kind of gain; `facts` goes into the record."""

    cells: Cells
    held_out: Mapping[str, Cells]
    layers: int
    heads: int
    facts: Mapping[str, Any]


def built_in_corpus(most: int | None) -> Corpus:
    """Return the built-in sentences: at most so many of train, and dev held out."""
    films = film_reviews()
    return Corpus("the built-in film-review sentences", films.train.texts[:most], films.dev.texts[:most])


def read_corpus(path: Path, most: int | None) -> Corpus:
    """Read a text file with one text a line, and hold out every tenth; raises `InputError`."""
    lines = read_lines(path)[:most]
    if len(lines) < _HELD_OUT:
        raise InputError(f"--text {path} holds {len(lines)} texts, but every tenth is held out; give at least 10 lines")
    train = tuple(line for number, line in enumerate(lines) if number % _HELD_OUT)
    return Corpus(path.name, train, tuple(lines[::_HELD_OUT]))


def cells_from_texts(
    corpus: Corpus, source: GainSource, *, attention_share: float, model: str, tagger: str, say: Callable[[str], None]
) -> InductionData:
    """Count the cells of raw text, worth spaCy's arcs, a model's attention, or both with this share for attention."""
    cells: list[Cells] = []
    held_out: dict[str, Cells] = {}
    facts: dict[str, Any] = {"text": corpus.name, "texts": len(corpus.train), "held_out_texts": len(corpus.held_out)}
    layers = heads = 1
    if source != "attention":
        say(f"parsing {len(corpus.train) + len(corpus.held_out):,} texts")
        cells.append(reader_cells(list(parse_texts(corpus.train, tagger))))
        held_out["arcs"] = dependent_cells(list(parse_texts(corpus.held_out, tagger)))
        facts["parser"] = tagger
    if source != "arcs":
        say(f"reading the attention of {model}")
        found = find_model(model)
        encoder = load_weights(AutoModel, found.location, new="pooler", **found.pinned).model  # needs no pooler
        layers, heads = encoder.config.num_hidden_layers, encoder.config.num_attention_heads
        annotate = Annotator(load_tokenizer(found), tagger)
        cells.append(attention_cells(encoder, _batches(annotate, corpus.train)))
        held_out["attention"] = attention_cells(encoder, _batches(annotate, corpus.held_out))
        facts |= {"model": found.name, "model_sha256": found.sha256, "tagger": annotate.tagger.version}
    together = cells[0] if len(cells) == 1 else mixed(cells[0], cells[1], attention_share)
    return InductionData(together, held_out, layers, heads, facts)


def cells_from_conllu(path: Path, held_out: Path | None) -> InductionData:
    """Count the cells of a CoNLL-U file, worth its arcs; every tenth sentence is held out, unless another file is."""
    parses = read_conllu(path)
    measured: Sequence[Parse] = parses[::_HELD_OUT] if held_out is None else read_conllu(held_out)
    if held_out is None:
        parses = [parse for number, parse in enumerate(parses) if number % _HELD_OUT]
    facts = {"text": path.name, "texts": len(parses), "held_out_texts": len(measured)}
    facts |= {} if held_out is None else {"held_out_text": held_out.name}
    return InductionData(reader_cells(parses), {"arcs": dependent_cells(measured)}, 1, 1, facts)


def _batches(annotate: Annotator, texts: Sequence[str]) -> Iterator[Mapping[str, Tensor]]:
    collate = Collator(pads_right(annotate.tokenizer))
    encoded = annotate(list(texts))
    features = [{name: values[number] for name, values in encoded.items()} for number in range(len(texts))]
    features.sort(key=lambda feature: len(feature["input_ids"]))
    for start in range(0, len(features), _BATCH):
        yield collate(features[start : start + _BATCH])
