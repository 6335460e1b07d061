"""The ways of keeping a context that are compared: in full, by a grammar, or as a peer compresses it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import torch
from transformers import PreTrainedModel

from ...grammar.grammar import Grammar
from ...model.attach import attached
from ...model.cache import GrammarCache
from ...model.cached_call import cache_argument
from ..kept_keys import heads_of
from .cache_share import kept_share
from .passages import Passage
from .prefill import Prefill, prefill
from .score import CachedContext, ReadContext

# When keys are dropped: never; before the question is known; when it is.
Moment = Literal["never", "before", "known"]
FULL: Final[str] = "full"


class Reading:
    """One context and the stock model's reading of it, which several methods start from."""

    def __init__(self, model: PreTrainedModel, context: Passage, *, keep_states: bool, share: float) -> None:
        self.model = model
        self.context = context
        self.share = share
        self._keep_states = keep_states

    @cached_property
    def full(self) -> Prefill:
        """The whole cache."""
        return prefill(self.model, self.context, keep_states=self._keep_states)

    @property
    def kept(self) -> int:
        """How many keys a peer keeps of each layer and head."""
        return max(1, round(self.share * len(self.context)))


@dataclass(frozen=True)
class Method(ABC):
    """A way of keeping a context, and the moment at which it drops keys."""

    name: str
    moment: Moment

    @property
    def id(self) -> str:
        """What its records are called."""
        return f"{self.name}.{self.moment}"

    @property
    def identity(self) -> str:
        """What its records depend on besides the context."""
        return self.id

    @property
    def reads_states(self) -> bool:
        """Whether it starts from what the stock model's layers were given."""
        return False

    @property
    def reads_on(self) -> bool:
        """Whether it can read a text on, where nobody knows what comes."""
        return self.moment != "known"

    @contextmanager
    @abstractmethod
    def read(self, reading: Reading) -> Iterator[ReadContext]:
        """Read a context; what is kept of it holds within the block."""


@dataclass(frozen=True)
class FullMethod(Method):
    """The stock model with its whole cache."""

    @contextmanager
    def read(self, reading: Reading) -> Iterator[ReadContext]:
        """Read a context in full."""
        share = kept_share(None, reading.context, heads_of(reading.model))
        yield CachedContext(reading.model, reading.context, reading.full.cache, share)


@dataclass(frozen=True)
class GrammarMethod(Method):
    """A model under a grammar, with the keys that later tokens may read; exactly what its mask does to all keys."""

    grammar: Grammar

    @contextmanager
    def read(self, reading: Reading) -> Iterator[ReadContext]:
        """Read a context under the grammar."""
        grammar = self.grammar_for(reading)
        # Counted in keys, as the peers' is, and not in memory, which is taken in larger pieces.
        share = kept_share(grammar, reading.context, heads_of(reading.model))
        with attached(reading.model, grammar) as model:
            cache = GrammarCache(model)
            with torch.no_grad():
                model.base_model(**reading.context.on(model.device), **{cache_argument(model): cache}, use_cache=True)
            yield CachedContext(model, reading.context, cache, share, guided=True)

    @property
    def identity(self) -> str:
        """What its records depend on besides the context."""
        return f"{self.id} {self.grammar.sha256}"

    def grammar_for(self, reading: Reading) -> Grammar:
        """Return the grammar that this context is read under."""
        return self.grammar
