"""The last tokens of texts, and questions behind them, with the keys and values of what stands before."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from ..model.attach import attached
from ..model.cached_call import cache_argument
from .far_grammar import far_grammar
from .far_reads import WIDE_NAMED, Windows, is_name, masks_of_reads
from .long_texts import LongText

_TAIL: Final[int] = 224  # tokens at most of a text, read at once
_ENDS: Final[tuple[float, ...]] = (0.4, 0.6, 0.8, 1.0)  # where tails of a text end
_NAMES_COUNT: Final[float] = 3.0  # names and numbers are few, and what far reading is for
Keys = Sequence[tuple[Tensor, Tensor]]  # keys and values of each layer, (1, heads, tokens, head_dim) each


@dataclass(frozen=True, eq=False)
class Tail:
    """The tokens of a text from `start` on, after the tokens of `keys`.

    `counts` (tokens - 1,) tells what the loss of each but the first counts; `reads` is that of `masks_of_reads`.
    """

    input_ids: Tensor
    start: int
    counts: Tensor
    reads: Tensor
    keys: Keys


def make_tails(
    model: PreTrainedModel, long_texts: Iterable[LongText], windows: Windows
) -> tuple[list[Tail], list[Tail]]:
    """Return the tails of texts, and those of questions; what stands before a tail is read once."""
    texts, questions = [], []
    for long_text in (long_text.to(model.device) for long_text in long_texts):
        keys = _keys(model, long_text, windows)
        counts = torch.where(is_name(long_text.tag_ids[0]), _NAMES_COUNT, 1.0) * long_text.of_text
        size = min(_TAIL, long_text.asked // 4)
        ends = [int(share * long_text.asked) for share in _ENDS]
        texts += [_tail(long_text, slice(end - size, end), counts, keys, windows) for end in ends]
        asked = slice(long_text.asked, long_text.input_ids.shape[1])
        questions.append(_tail(long_text, asked, long_text.of_answers.float(), keys, windows))
    return texts, questions


def _tail(long_text: LongText, part: slice, counts: Tensor, keys: Keys, windows: Windows) -> Tail:
    reads = masks_of_reads(long_text.tag_ids[0, : part.stop], long_text.word_ids[0, : part.stop], windows, part.start)
    before = [(key[:, :, : part.start], value[:, :, : part.start]) for key, value in keys]
    return Tail(long_text.input_ids[0, part], part.start, counts[part][1:], reads, before)


def _keys(model: PreTrainedModel, long_text: LongText, windows: Windows) -> Keys:
    """Return the keys and values of a text's tokens before its questions, for each layer.

    All heads read their wide window and far names, about as much as they will: a model that reads everything would
    know more of what stands before.
    """
    shape = model.config.num_hidden_layers, model.config.num_attention_heads
    grammar = far_grammar(np.full(shape, WIDE_NAMED), windows, name="before")
    cache, part = DynamicCache(config=model.config), slice(0, long_text.asked)
    inputs = {
        name: getattr(long_text, name)[:, part] for name in ("input_ids", "tag_ids", "word_ids")
    }  # fmt: skip
    with attached(model, grammar), torch.no_grad():
        model(**inputs, **{cache_argument(model): cache}, use_cache=True, logits_to_keep=1)
    return [(key, value) for key, value, *_ in cache]
