"""The board of a key-value cache: the runs of all patterns in one row of slots, and what queries read of them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from ..blocks.head_bits import EVERY, NONE, additive_mask
from ..position_mask import PositionMask
from .joined_runs import JoinedRuns
from .patterns import NOBODY, Patterns
from .slots import Run, Tokens, later_tokens, may_be_read

ROOM: Final[int] = 64  # slots for tokens that follow, before keys are let go again
_FAR: Final[int] = 1 << 29  # a word beyond every reach, for tokens that belong to none
_ANY: Final[int] = 1 << 29  # tokens to the left that no window bounds


class Board:
    """Which tokens stand in which slots, for a batch of texts of which `seen` tokens each were read.

    `fresh` tokens were read since keys were let go, for which there is `room`. Nobody reads the last slot. `has_lost`
    (batch,) tells of each text whether any run has let a token go.
    """

    def __init__(self, patterns: Patterns, text: Tokens) -> None:
        self.patterns = patterns
        self.runs: list[Run] = []
        self.text = text
        self.fresh, self.room = 0, ROOM
        self.has_lost = torch.zeros(len(text.kinds), dtype=torch.bool, device=text.kinds.device)
        self._numbers: dict[tuple[int, int | None], int] = {}
        self.chosen: list[Tensor] = []  # for each run, which tokens of the text it begins with, as in `later_tokens`
        self._slots = text.at(slice(0, 0))
        self._key_words = self._first_cells = self._slots.words
        self._next = self._lefts = self._origins = torch.zeros(0, dtype=torch.int64, device=text.kinds.device)

    @property
    def seen(self) -> int:
        """How many tokens of each text were read."""
        return self.text.kinds.shape[1]

    def number(self, pattern: int, position: PositionMask) -> int | None:
        """Return which run a pattern has under the model's own mask; None for one that it didn't have before."""
        return self._numbers.get((pattern, position.left))

    def begin(self, pattern: int, position: PositionMask) -> int:
        """Return the run of a pattern, which begins with the tokens `chosen` for it."""
        number = self._numbers.setdefault((pattern, position.left), len(self.runs))
        if number == len(self.runs):
            self.runs.append(Run(pattern, position.left))
            self.chosen.append(self._choose(self.runs[-1], self.text))
        return number

    def lay_out(self) -> None:
        """Lay out the runs of the text's first tokens."""
        self._lay([self.text.take(index) for index in self.chosen])
        self.chosen.clear()

    def knows(self, text: Tokens) -> bool:
        """Whether nothing else is known by now of the tokens that were read."""
        return torch.equal(text.kinds, self.text.kinds) and torch.equal(text.words, self.text.words)

    def missed(self, text: Tokens) -> Tensor:
        """Tell which tokens were let go that may be read by what is known now: bool (batch, tokens)."""
        last, missed = text.words.amax(1, keepdim=True), torch.zeros_like(text.kinds, dtype=torch.bool)
        for run in self.runs:
            places = self._slots.places[:, run.slots(self.fresh)]
            held = torch.zeros_like(text.kinds).scatter_add_(1, places.clamp(min=0).long(), (places >= 0).int())
            missed |= may_be_read(self.patterns, run, text, self.seen, last) & (held == 0)
        return missed

    def learn(self, text: Tokens) -> None:
        """Learn what is known by now of the tokens that were read: a generated word gets its tag later."""
        if not self.knows(text):
            known = text.take(self._slots.places.long())
            self.text, self._slots = text, known
            self._derive()

    def let_go(self, room: int) -> list[Tensor]:
        """Let go of what no later token reads, make room for others, and return which slots of each run stay."""
        slots = [self._slots.at(run.slots(self.fresh)) for run in self.runs]
        stay = [self._choose(run, tokens) for run, tokens in zip(self.runs, slots, strict=True)]
        self.room, self.fresh = room, 0
        self._lay([tokens.take(index) for tokens, index in zip(slots, stay, strict=True)])
        return stay

    def add(self, text: Tokens) -> None:
        """Take in the tokens of the texts, given whole, that follow what was read."""
        new = text.at(slice(self.seen, None))
        self._put(new)
        self.text, self.fresh = text, self.fresh + new.kinds.shape[1]

    def forget(self, tokens: int) -> None:
        """Forget some of the fresh tokens, the last ones."""
        self.text, self.fresh = self.text.at(slice(0, self.seen - tokens)), self.fresh - tokens
        # Heads of longer runs, in whose calls a shorter one is read, reach beyond its fresh slots.
        self._put(Tokens.free(len(self.has_lost), tokens, self.has_lost.device))

    def _put(self, tokens: Tokens) -> None:
        """Put tokens into the slots behind the fresh ones of each run."""
        count = tokens.kinds.shape[1]
        index = (
            self._next[:, None]
            + torch.arange(self.fresh, self.fresh + count, dtype=torch.int64, device=self._next.device)
        ).flatten()
        values = (*vars(tokens).values(), _beyond(tokens.words), tokens.kinds * self.patterns.width)
        own = (*vars(self._slots).values(), self._key_words, self._first_cells)
        for slots, value in zip(own, values, strict=True):
            slots.index_copy_(1, index, value.repeat(1, len(self.runs)))
        self._first_cells.index_add_(1, index, self._origins.repeat_interleave(count).expand(len(tokens.words), -1))

    def join(self, joined: Iterable[tuple[int, ...]]) -> JoinedRuns:
        """Find the slots of runs that are read together; they hold until keys are let go again."""
        nobody = self._slots.places.shape[1] - 1
        return JoinedRuns.of(joined, self.runs, self.room, nobody).to(self.has_lost.device)

    def mask(
        self, slots: slice | Tensor, tags: Tensor, queries: slice, dtype: torch.dtype, *, joined: Tensor | None = None
    ) -> Tensor:
        """Return what some `queries` of the last tokens, whose tags are (batch, tokens), read in some slots.

        It is as attention adds it: (batch, heads, queries, slots). `joined` selects of these slots.
        """
        last = self.text.at(slice(self.seen - tags.shape[1], None)).at(queries)
        keys = self._first_cells[:, slots], self._key_words[:, slots]
        bits = self.patterns.bits(*keys, tags[:, queries].int(), last.words.masked_fill(last.words < 0, -_FAR))
        key, query = self._slots.places[:, None, None, slots], last.places[:, None, :, None]
        if tags.shape[1] > 1:
            bits.masked_fill_(key > query, NONE)
        if any(run.left is not None for run in self.runs):
            bits.masked_fill_(key < query - self._lefts[slots], NONE)
        if bool((last.words < 0).any()):  # all others belong to their own word
            bits.masked_fill_(key == query, EVERY)
        return additive_mask(bits if joined is None else bits.index_select(3, joined), self.patterns.heads, dtype)

    def select(self, rows: Tensor) -> None:
        """Go on with some of the texts, in another order or several times."""
        self.text, self._slots = self.text.rows(rows), self._slots.rows(rows)
        self.has_lost = self.has_lost.index_select(0, rows)
        self._derive()

    def _choose(self, run: Run, tokens: Tokens) -> Tensor:
        index = later_tokens(self.patterns, run, tokens, self.seen, self.text.words.amax(1, keepdim=True))
        self.has_lost |= (index >= 0).sum(1) < (tokens.kinds != NOBODY).sum(1)
        return index

    def _lay(self, kept: Sequence[Tokens]) -> None:
        """Lay out runs that begin with some tokens, with room after each."""
        counts = [tokens.kinds.shape[1] for tokens in kept]
        starts = [sum(counts[:number]) + number * self.room for number in range(len(counts))]
        self.runs = [
            replace(run, start=start, kept=count)
            for run, start, count in zip(self.runs, starts, counts, strict=True)
        ]  # fmt: skip
        device = self.has_lost.device
        free, last = (Tokens.free(len(self.has_lost), count, device) for count in (self.room, 1))
        self._slots = Tokens.joined([*(part for tokens in kept for part in (tokens, free)), last])
        starts = [run.start + run.kept for run in self.runs]
        self._next = torch.tensor(starts, dtype=torch.int64, device=device)
        self._derive()

    def _derive(self) -> None:
        """Derive from the tokens in the slots what look-ups ask for."""
        device = self.has_lost.device
        counts = [*(run.kept + self.room for run in self.runs), 1]  # the last slot is nobody's
        sizes = torch.tensor(counts, dtype=torch.int64, device=device)
        patterns = torch.tensor([*(run.pattern for run in self.runs), 0], dtype=torch.int32, device=device)
        lefts = [*(_ANY if run.left is None else run.left for run in self.runs), _ANY]
        origins = patterns * self.patterns.cells_each
        self._origins = origins[:-1]
        self._lefts = torch.tensor(lefts, dtype=torch.int32, device=device).repeat_interleave(sizes)
        self._key_words = _beyond(self._slots.words)
        self._first_cells = self._slots.kinds * self.patterns.width + origins.repeat_interleave(sizes)


def _beyond(words: Tensor) -> Tensor:
    return words.masked_fill(words < 0, _FAR)
