"""The peers as methods: at the share of the cache that a grammar keeps."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from ....grammar.file import load_grammar
from ....grammar.grammar import Grammar
from ...kept_keys import heads_of
from ..cache_share import fit_window
from ..methods import GrammarMethod, Method, Moment, Reading
from ..passages import Passage, join_passages
from ..prefill import Prefill, run
from ..recall_settings import check_peers
from ..score import CachedContext, ReadContext, Scores
from .compress import Scorer, compress, without_last
from .presses import SEEING, WINDOW, press_scorer, with_rotary

STREAMING, SEPARATORS = "streaming-llm", "sep-llm"
_SINKS: Final[int] = 4  # as many as the paper's


@dataclass(frozen=True)
class PressMethod(Method):
    """A whole cache, of which a peer keeps the keys that it scores highest."""

    score: Scorer

    @property
    def reads_states(self) -> bool:
        """Whether it starts from what the stock model's layers were given."""
        return True

    @contextmanager
    def read(self, reading: Reading) -> Iterator[ReadContext]:
        """Compress a context, at once or for each question."""
        full, kept = reading.full, reading.kept
        share = kept / len(reading.context)
        with with_rotary(reading.model):
            if self.moment == "known":
                yield _KnownQuestion(full, self.score, kept, share)
            else:
                yield CachedContext(reading.model, reading.context, compress(full, self.score, kept), share)


@dataclass(frozen=True)
class FittedGrammar(GrammarMethod):
    """A grammar whose window is as long as the share of the cache allows, in each context anew."""

    def grammar_for(self, reading: Reading) -> Grammar:
        """Return the grammar with its window."""
        return fit_window(self.grammar, reading.context, heads_of(reading.model), share=reading.share, name=self.name)


@dataclass(frozen=True, eq=False)
class _KnownQuestion:
    """A context whose cache is compressed when a question stands behind it, which is kept beside its share."""

    full: Prefill
    score: Scorer
    kept: int
    share: float

    def read_on(self, passage: Passage, scored: int) -> Scores:
        """Score the last tokens of a passage; the whole question before them is known.

        Its last token is read again, so that all that follows it is said from what is kept.
        """
        known = passage.until(len(passage) - scored)
        longer = Prefill(self.full.model, join_passages(self.full.context, known), deepcopy(self.full.cache))
        run(longer, known, keep_states=True)
        states = list(map(_last, self.full.states, longer.states))
        rotations = [
            tuple(map(_last, before, now)) for before, now in zip(self.full.rotations, longer.rotations, strict=True)
        ]
        cache = compress(longer, self.score, self.kept + len(known), states=states, rotations=rotations)
        without_last(cache)
        before = longer.context.until(len(longer.context) - 1)
        return CachedContext(self.full.model, before, cache, self.share).read_on(passage.since(len(known) - 1), scored)


def _last(old: Tensor, new: Tensor) -> Tensor:
    """Return the last states of a context, and those of the question behind it."""
    return torch.cat((old[:, -WINDOW:], new), 1)


def peer_methods(names: tuple[str, ...], *, seed: int) -> list[Method]:
    """Return the methods of peers by name; raises `ExperimentError` for an unknown one, or a missing kvpress."""
    methods: list[Method] = []
    for name in check_peers(names):
        if name == SEPARATORS:
            methods.append(FittedGrammar(name, "before", load_grammar("separators")))
        elif name == STREAMING:
            methods.append(PressMethod(name, "before", _by_place))
        else:
            scorer = press_scorer(name, seed=seed)
            moments: tuple[Moment, ...] = ("before", "known") if name in SEEING else ("before",)
            methods += [PressMethod(name, moment, scorer) for moment in moments]
    return methods


def _by_place(layer: int, module: nn.Module, states: Tensor, rotation: Any, keys: Tensor, values: Tensor) -> Tensor:
    """Score the first tokens highest, then the last ones, as StreamingLLM keeps them."""
    scores = torch.arange(keys.shape[2], dtype=torch.float32, device=keys.device)
    scores[:_SINKS] += keys.shape[2]
    return scores.expand(keys.shape[:3])
