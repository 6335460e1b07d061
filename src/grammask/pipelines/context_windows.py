"""A question with its context, in windows that overlap where it is long: inputs, and what their tokens stand for."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import torch

from ..errors import InputError
from ..printing import quoted
from ..tagging.annotate import Annotator
from ..tagging.encode import check_limit, encode
from ..tagging.overlap import NO_WORD
from ..tagging.texts import check_pairs

NOT_READ: Final[tuple[str, ...]] = ("in_context", "for_none", "places", "word_places")
_NO_COLUMNS: Final[tuple[str, ...]] = ("offset_mapping", "overflow_to_sample_mapping")
_NO_TOKEN: Final[int] = -1
_SHARED: Final[int] = 128  # tokens that windows share, if nobody says how many, as the field has it
Place = tuple[int, int]


def read_windows(
    annotator: Annotator, question: str, context: str, *, most: int | None, length: int | None, stride: int | None
) -> Iterator[dict[str, Any]]:
    """Yield the windows of a context, each a batch of one: what the model reads, and `NOT_READ`.

    `in_context` marks the tokens that answers are made of, and `for_none` what stands for no answer. `places` are the
    characters of the marked tokens, and `word_places` those of their words. `most` is what the model reads. Raises
    `InputError`.
    """
    made = _annotated(annotator, question, context, _length(annotator, most, length), stride)
    count = len(made["input_ids"])
    sides = [made.sequence_ids(number) for number in range(count)]
    places = [
        [_trimmed(context, *place) if side == 1 else (0, 0) for side, place in zip(*row, strict=True)]
        for row in zip(sides, made["offset_mapping"], strict=True)
    ]
    word_places = _word_places(places, made["word_ids"])
    none = annotator.tokenizer.cls_token_id
    for number in range(count):
        ids = made["input_ids"][number]
        inside = np.array([start < end for start, end in places[number]])
        for_none = [
            side is None and token == (_NO_TOKEN if none is None else none)
            for side, token in zip(sides[number], ids, strict=True)
        ]
        yield {
            **{name: torch.tensor([made[name][number]]) for name in made if name not in _NO_COLUMNS},
            "in_context": torch.from_numpy(inside).int()[None],
            "for_none": torch.tensor([for_none]).int(),
            "places": [np.array(places[number])[inside]],
            "word_places": [np.array(word_places[number])[inside]],
        }


def _length(annotator: Annotator, most: int | None, asked: int | None) -> int | None:
    """Return how many tokens a window has, None for a context that is read whole."""
    if asked is None:
        told = check_limit(annotator.max_length, annotator.tokenizer, pairs=True)
        return min((limit for limit in (told, most) if limit is not None), default=None)
    if most is not None and asked > most:
        raise InputError(f"max_seq_len is {quoted(asked)}, but the model reads {most} tokens at most; take no more")
    return asked


def _annotated(annotator: Annotator, question: str, context: str, length: int | None, stride: int | None) -> Any:
    if length is None:
        if stride is not None:
            raise InputError(
                "doc_stride is for windows, but this model reads texts of any length; give max_seq_len too"
            )
        return annotator([question], [context], return_offsets_mapping=True)
    room = _room(annotator, question, context, length)
    if stride is not None and stride >= room:
        raise InputError(
            f"windows of {length} tokens have room for {room} of the context, but doc_stride is {quoted(stride)}; take "
            "less"
        )
    return annotator(
        [question], [context], truncation="only_second", max_length=length, return_overflowing_tokens=True,
        stride=min(_SHARED, room // 2) if stride is None else stride, return_offsets_mapping=True,
    )  # fmt: skip


def _room(annotator: Annotator, question: str, context: str, length: int) -> int:
    """Return how many tokens of the context a window holds besides the question."""
    check_pairs([question], [context])
    alone = encode(
        annotator.tokenizer, [question], [""], max_length=None, return_tensors=None,
        options={"truncation": False, "verbose": False},
    )  # fmt: skip
    whole = len(alone["input_ids"][0])
    if whole >= length:
        raise InputError(
            f"the question has {whole} tokens with what is added to it, but a window {length}; take a shorter one, or "
            "a larger max_seq_len"
        )
    return length - whole


def _trimmed(context: str, start: int, end: int) -> Place:
    """Return a token's characters without white space around them, which some tokenizers count to it; none may stay."""
    text = context[start:end]
    return start + len(text) - len(text.lstrip()), start + len(text.rstrip())


def _word_places(places: Sequence[Sequence[Place]], words: Sequence[Sequence[int]]) -> list[list[Place]]:
    """Return the characters of each token's word, also of one that a window cuts; a token of no word has its own."""
    whole = dict[int, Place]()
    for row in zip(places, words, strict=True):
        for (start, end), word in zip(*row, strict=True):
            if start < end and word != NO_WORD:
                first, last = whole.get(word, (start, end))
                whole[word] = min(first, start), max(last, end)
    return [
        [whole.get(word, place) if place[0] < place[1] else place for place, word in zip(*row, strict=True)]
        for row in zip(places, words, strict=True)
    ]
