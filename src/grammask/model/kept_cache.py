"""A cache of keys and values that lets go, per layer and key-value head, of what no later token may read."""

from typing import Any

import torch
from torch import Tensor
from transformers import Cache

from ..attention.kept.board import ROOM, Board
from ..attention.kept.joined_runs import JoinedRuns
from ..attention.kept.patterns import compile_patterns
from ..attention.kept.slots import Tokens
from ..attention.plan import Plan
from ..attention.position_mask import PositionMask
from ..errors import ModelError
from ..grammar.caching import outside_inference_mode
from ..grammar.grammar import Grammar
from ..grammar.tables import ReachTables
from .kept_checks import (
    NoGradient,
    check_is_whole,
    check_known,
    check_plan_fits,
    check_reads,
    check_texts,
    check_window,
)
from .kept_layer import KeptLayer
from .kept_reads import KeptReads


class KeptCache(Cache):
    """The cache of a model with this grammar, whose layers have these tables; see `GrammarCache`.

    A forward pass calls `begin`, then in each layer `fill` or, where it `reads_earlier` tokens, `attend`, then `end`.
    """

    layers: list[KeptLayer]  # type: ignore[assignment]

    def __init__(self, grammar: Grammar, layer_tables: tuple[tuple[ReachTables, ...], ...]) -> None:
        super().__init__(layers=[KeptLayer() for _ in layer_tables])
        self._grammar = grammar
        self._tables = layer_tables
        self._forget()

    @property
    def texts(self) -> int:
        """How many texts it holds."""
        return 0 if self._board is None else len(self._board.has_lost)

    @property
    def reads_earlier(self) -> bool:
        """Whether the pass that has begun follows others."""
        return self._reads is not None

    def _forget(self) -> None:
        for layer in self.layers:
            layer.reset()
        self._board: Board | None = None
        self._text: Tokens | None = None
        self._joined: JoinedRuns | None = None
        self._reads: KeptReads | None = None

    def check(self) -> None:
        """Raise `ModelError` unless all layers have read the same tokens."""
        check_is_whole([layer.seen for layer in self.layers], self._board)

    @torch.no_grad()
    def begin(self, plan: Plan, queries: int) -> None:
        """Begin a pass over the last tokens of a plan's texts; raises for one that would not be exact."""
        check_plan_fits(self._grammar, len(self.layers), plan)
        assert plan.annotation is not None  # noqa: S101 - a hard plan has one
        tags, board = plan.annotation.tag_ids, self._board
        with outside_inference_mode():
            text = Tokens.of(tags, plan.annotation.word_ids, self._tables[0][0].sink_tokens)
            self._text, new = text, tags[:, tags.shape[1] - queries :]
            if board is not None:
                check_texts(board, len(tags))
                known = text.at(slice(0, board.seen))
                check_known(board, known)
                board.learn(known)
                if board.fresh + queries > board.room:
                    self._let_go(board, max(ROOM, queries))
                check_reads(board, new, text.words[:, board.seen :])
                board.add(text)
                if self._joined is None:
                    self._joined = board.join(part.distinct for own in self.layers for part in own.parts)
                self._reads = KeptReads(board, self._joined, new)
        for layer in self.layers:
            layer.is_open = True

    @torch.no_grad()
    def fill(self, layer: int, query: Tensor, key: Tensor, value: Tensor, position: PositionMask) -> None:
        """Keep what later tokens may read of a layer's first keys (batch, key-value heads, tokens, head_dim)."""
        with outside_inference_mode():
            if self._board is None:
                assert self._text is not None  # noqa: S101 - the pass has begun
                patterns = compile_patterns(self._tables, query.shape[1], key.shape[1])
                self._board = Board(patterns.to(key.device), self._text)
            runs = [self._board.begin(pattern, position) for pattern in self._board.patterns.of[layer]]
            self.layers[layer].fill(runs, self._board.chosen, self._board.room, key, value)

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, position: PositionMask, **how: Any
    ) -> Tensor:
        """Return attention (batch, heads, queries, head_dim) over a layer's kept keys and its new ones."""
        if not torch.is_grad_enabled():
            return self._attend(layer, query, key, value, position, **how)
        with torch.no_grad():
            output = self._attend(layer, query, key, value, position, **how)
        if query.requires_grad or key.requires_grad or value.requires_grad:
            refused: Tensor = NoGradient.apply(query, output)
            return refused
        return output

    def _attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, position: PositionMask, **how: Any
    ) -> Tensor:
        assert self._board is not None  # noqa: S101 - it reads earlier tokens
        assert self._reads is not None  # noqa: S101
        own = self.layers[layer]
        check_window(self._board.runs[own.runs[0]].left, position.left, layer)
        return self._reads.attend(own, query, key, value, **how)

    @torch.no_grad()
    def end(self) -> None:
        """End a pass."""
        for layer in self.layers:
            layer.is_open = False
        board, is_first = self._board, self._reads is None
        self._reads = self._text = None
        with outside_inference_mode():
            if board is not None and is_first:
                board.lay_out()
            elif board is not None and board.fresh > ROOM:
                self._let_go(board, ROOM)

    def _let_go(self, board: Board, room: int) -> None:
        stay, self._joined = board.let_go(room), None
        for layer in self.layers:
            layer.let_go(stay, room)

    def _select(self, rows: Tensor) -> None:
        """Go on with some of the texts, in another order or several times."""
        if self._board is None:
            return
        with outside_inference_mode():
            rows = rows.to(self._board.has_lost.device)
            self._board.select(rows)
            for layer in self.layers:
                layer.select(rows)

    def _crop(self, tokens: int) -> None:
        """Forget the last tokens; raises `ModelError` where keys were let go for them."""
        fresh = 0 if self._board is None else self._board.fresh
        if tokens > fresh:
            raise ModelError(
                f"a GrammarCache can forget its last {fresh} tokens, but not {tokens}: keys before them were let go"
            )
        if self._board is not None:
            self._board.forget(tokens)
            for layer in self.layers:
                layer.seen -= tokens

    def _tokens_of(self, layer: KeptLayer) -> int:
        """Return how many of a text's tokens the model's own window leaves to a layer."""
        left = None if self._board is None or not layer.runs else self._board.runs[layer.runs[0]].left
        return layer.seen if left is None else min(layer.seen, left)

    @property
    def _room(self) -> int:
        """How many tokens its slots have room for, since keys were let go last."""
        return 0 if self._board is None else self._board.room
