"""How much of a model's attention falls on what a grammar allows, next to random pairs and windows of equal density."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..attention.inputs import Annotation
from ..errors import ExplainError
from ..grammar.grammar import Grammar
from ..grammar.masks import allowed_pairs
from ..grammar.tables import compile_layers
from ..model.eval_mode import attention_weights
from ..resampling import Floats, estimate
from ..tagging.annotate import Annotator
from ..tagging.overlap import NO_WORD
from ..tagging.texts import check_texts
from ..tagging.words import ReadWords
from .answers import reads_back_only
from .relations import Followed, Relation, best_heads, parse_relations
from .word_positions import Positions, find_positions, read_by

KINDS: Final[tuple[str, ...]] = ("grammar", "random", "window")


@dataclass(frozen=True, eq=False)
class Adherence:
    """Arrays are (layers, heads) over all texts; `by_text` holds the sums behind them.

    `shares` holds the share of the attention between different words that falls on pairs of each of `KINDS`: those that
    the grammar allows, or as many random or nearest words in every row. `entropy` is that of a word's attention to its
    allowed keys, divided by that of uniform attention: 0 for a single key, 1 for all alike. `by_text` is (texts, 4,
    layers, heads): the attention on each of `KINDS`, and all attention to other words.
    """

    shares: dict[str, Floats]
    entropy: Floats
    word_density: float
    relations: list[Relation]
    by_text: Floats

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON, without the sums of single texts."""
        return {
            "shares": {kind: values.tolist() for kind, values in self.shares.items()},
            "entropy": self.entropy.tolist(),
            "word_density": self.word_density,
            "relations": [asdict(relation) for relation in self.relations],
            "differences": {kind: _difference(self.by_text, kind) for kind in KINDS[1:]},
            "texts": len(self.by_text),
        }


def measure_adherence(
    model: PreTrainedModel,
    annotate: Annotator,
    texts: Sequence[str],
    grammar: Grammar,
    *,
    parser: str,
    progress: Callable[[Sequence[str]], Iterable[str]] = lambda texts: texts,
) -> Adherence:
    """Measure an attached model's attention against `grammar`, which need not be its own; see `Adherence`.

    Of a causal model only pairs with words before the reader count, also as random and nearest ones.

    `parser` is a spaCy pipeline with a parser. Raises `ExplainError` where no text has two words, and `GrammarError`
    where the grammar names layers or heads that the model doesn't have.
    """
    layers, heads = model.config.num_hidden_layers, model.config.num_attention_heads
    tables = compile_layers(grammar, layers=layers, heads=heads)
    causal = reads_back_only(model)
    parses = parse_relations(check_texts(texts), parser)
    halves = Followed(), Followed()
    sums, entropies, counts = [], [], np.zeros(2)
    for number, text in enumerate(progress(texts)):
        read = read_by(model, annotate, text)
        inputs = read.inputs
        weights = torch.stack([layer[0].float() for layer in attention_weights(model, inputs)])
        annotation = Annotation(inputs["tag_ids"], inputs["word_ids"], inputs["sentence_ids"])
        allowed = torch.cat([allowed_pairs(table, **vars(annotation)).expand(-1, heads, -1, -1) for table in tables])
        allowed = allowed.tril() if causal else allowed
        positions = find_positions(read, annotate.tokenizer)
        words = torch.tensor(positions.is_word).nonzero()[:, 0]
        if len(words) < 2:
            continue
        between = positions.attention(weights)[..., words[:, None], words]
        first = positions.firsts[words]
        pairs = allowed[..., first[:, None], first]
        sums.append(_sums(between, pairs, causal=causal))
        entropies.append(_entropy(weights, allowed, positions, words))
        counts += [float(pairs.sum()) / (layers * heads), float(_readable(len(words), causal=causal).sum())]
        halves[number % 2].add(_between_read(parses[number], read.aligned.texts[0]), between)
    if not sums:
        raise ExplainError("no text has two words, so no word reads another")
    by_text = np.stack(sums)
    total = by_text.sum(0)
    return Adherence(
        shares={kind: total[place] / total[3] for place, kind in enumerate(KINDS)},
        entropy=np.nanmean(np.stack(entropies), 0),
        word_density=float(counts[0] / counts[1]),
        relations=best_heads(*halves),
        by_text=by_text,
    )


def _between_read(arcs: Sequence[tuple[int, int, str]], words: ReadWords) -> list[tuple[int, int, str]]:
    """Return the arcs between words as the model reads them, without arcs within a word or to one that was cut off."""
    places = np.where(words.numbers == NO_WORD, NO_WORD, words.numbers - words.cut_before).tolist()
    moved = [(places[word], places[head], name) for word, head, name in arcs if max(word, head) < len(places)]
    return [(word, head, name) for word, head, name in moved if word != head and NO_WORD not in (word, head)]


def _readable(words: int, *, causal: bool) -> Tensor:
    """Return the pairs of words that a model reads whatever the grammar: bool (words, words)."""
    readable = torch.ones(words, words, dtype=torch.bool)
    return readable.tril() if causal else readable


def _sums(between: Tensor, pairs: Tensor, *, causal: bool = False) -> Floats:
    """Return for each of KINDS, and for all, the attention between different words: (4, layers, heads)."""
    size = between.shape[-1]
    others = _readable(size, causal=causal) & ~torch.eye(size, dtype=torch.bool)
    paid = (between * others).double()
    counts = (pairs & others).sum(-1)  # of every row
    offset = torch.arange(size)[None, :] - torch.arange(size)[:, None]
    nearness = (2 * offset.abs() + (offset > 0)).masked_fill(~others, 2 * size + 2)
    rank = nearness.argsort(-1).argsort(-1)
    window = rank < counts[..., None]
    spread = paid.sum(-1) / others.sum(-1).clamp(min=1)
    return torch.stack([
        (paid * pairs).sum((-1, -2)), (spread * counts).sum(-1), (paid * window).sum((-1, -2)), paid.sum((-1, -2)),
    ]).numpy()  # fmt: skip


def _entropy(weights: Tensor, allowed: Tensor, positions: Positions, words: Tensor) -> Floats:
    """Return the mean normalised entropy of words' attention to their allowed keys: (layers, heads)."""
    rows = torch.isin(positions.of_token, words)
    paid = (weights * allowed)[..., rows, :].double()
    paid = paid / paid.sum(-1, keepdim=True).clamp(min=1e-30)
    keys = allowed[..., rows, :].sum(-1)
    entropy = -(paid * paid.clamp(min=1e-30).log()).sum(-1) / keys.clamp(min=2).double().log()
    several = (keys > 1).double()
    mean: Floats = ((entropy * several).sum(-1) / several.sum(-1)).numpy()
    return mean


def _difference(by_text: Floats, kind: str) -> dict[str, Any]:
    """Return the grammar's share less a kind's, a mean over heads, with its interval from a bootstrap over texts."""
    place = KINDS.index(kind)

    def mean(times: Floats) -> Floats:
        total = np.tensordot(times, by_text, 1)  # (draws, 4, layers, heads)
        means: Floats = ((total[:, 0] - total[:, place]) / total[:, 3]).mean((1, 2))
        return means

    return estimate(mean, len(by_text))
