"""The token of a text whose prediction is explained: which one, what was read before it, and how it is spelled."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ..errors import ExplainError
from ..grammar.tags import UNK
from ..printing import quoted
from ..tagging.align import ReadText
from ..tagging.overlap import NO_WORD, shows_nothing
from .answers import Answer, PredictedToken
from .word_positions import Positions, find_positions

_LIKELIEST: Final[int] = 10  # tokens that are shown
_SPACE: Final[str] = "␣"  # of a word of which nothing else was read
_BROKEN: Final[str] = "\ufffd"  # stands for bytes that are no character


def find_place(read: ReadText, tokenizer: PreTrainedTokenizerBase, token: int | str | None, name: str) -> int:
    """Return the place of the token that is asked for: None is the one after the text.

    A string is a word as the model reads it, whose last occurrence is meant and whose first token, or else the number
    of a token; numbers below 0 count from the end. `name` is what errors call the text. Raises `ExplainError` where
    there is no such place.
    """
    if token is None:
        if read.aligned.texts[0].cut_after:
            raise ExplainError(f"{name} is longer than the model reads, so it doesn't predict what follows; shorten it")
        return _end(read)
    word = _find_word(read, tokenizer, token) if isinstance(token, str) else None
    if word is None and isinstance(token, str) and not _is_number(token):
        raise ExplainError(f"{name} has no word {quoted(token)}; give one as it stands there, or a token's number")
    return _behind_something(_numbered(read, token, name) if word is None else word, token, name)


def _find_word(read: ReadText, tokenizer: PreTrainedTokenizerBase, word: str) -> int | None:
    """Return the first token of the last occurrence of a word, without a space that is a token of its own."""
    positions = find_positions(read, tokenizer)
    found = [place for place, label in enumerate(positions.labels) if positions.is_word[place] and label == word]
    if not found:
        return None
    places: list[int] = (positions.of_token == found[-1]).nonzero()[:, 0].tolist()
    ids = read.inputs["input_ids"][0].tolist()
    return next((place for place in places if not shows_nothing(str(tokenizer.decode([ids[place]])))), places[0])


def _numbered(read: ReadText, token: int | str, name: str) -> int:
    length = read.inputs["input_ids"].shape[1]
    if isinstance(token, bool) or not isinstance(token, int | str):
        raise ExplainError(f"token must be a word of the text or the number of a token, but is {quoted(token)}")
    number = int(token)
    if not -length <= number < length:
        raise ExplainError(f"{name} has no token {quoted(number)}; its {length:,} tokens are counted from 0")
    return number % length


def _is_number(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdecimal() and len(text) < 10


def _behind_something(place: int, token: int | str, name: str) -> int:
    if place == 0:
        raise ExplainError(f"{name}: nothing stands before {quoted(token)}, so nothing predicts it")
    return place


def _end(read: ReadText) -> int:
    """Return the place after the text's last token; what the tokenizer puts behind the text isn't of the text."""
    of_text = (read.aligned.word_ids != NO_WORD) | (read.aligned.tag_ids == UNK)
    return int(of_text.nonzero()[0].max(initial=len(of_text) - 1 if not of_text.any() else 0)) + 1


def read_before(read: ReadText, place: int) -> ReadText:
    """Return the text up to a place: the tokens before it, with the tags that they have in the whole text."""
    aligned = replace(
        read.aligned, tag_ids=read.aligned.tag_ids[:place], word_ids=read.aligned.word_ids[:place],
        sentence_ids=read.aligned.sentence_ids[:place],
    )  # fmt: skip
    return replace(read, aligned=aligned, inputs={name: values[:, :place] for name, values in read.inputs.items()})


def positions_before(read: ReadText, place: int, tokenizer: PreTrainedTokenizerBase) -> Positions:
    """Return the words of the text up to a place; of a word that the place parts, as much as was read."""
    positions = find_positions(read_before(read, place), tokenizer)
    words = read.aligned.word_ids
    if place == len(words) or words[place] != words[place - 1] or words[place] == NO_WORD:
        return positions
    tokens = read.inputs["input_ids"][0, :place][positions.of_token == len(positions.labels) - 1]
    part = str(tokenizer.decode(tokens.tolist())).strip() or _SPACE
    return replace(positions, labels=(*positions.labels[:-1], part))


def spell_tokens(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> list[str]:
    """Return what tokens are in a text, each another one: those that are no text by themselves with their number."""
    names: list[str] = []
    for token in tokens:
        text = str(tokenizer.decode([token]))
        if not text or _BROKEN in text or text in names:
            raw = tokenizer.convert_ids_to_tokens(token)  # None beyond the vocabulary, which models fill up
            text = f"{raw} (token {token})" if raw else f"token {token}"
        names.append(text)
    return names


def token_answer(logits: Tensor, tokenizer: PreTrainedTokenizerBase, place: int, token: int | None) -> Answer:
    """Return the answer of logits (tokens,) for a place: `token`, which stands there, or None for the likeliest."""
    index = int(logits.argmax()) if token is None else token
    logs = logits.double().log_softmax(-1)
    shown = dict.fromkeys([*logs.topk(min(_LIKELIEST, len(logs))).indices.tolist(), index])
    names = dict(zip(shown, spell_tokens(tokenizer, list(shown)), strict=True))
    predicted = PredictedToken(
        index, place, in_text=token is not None, log_probability=float(logs[index]),
        likelier=int((logits > logits[index]).sum()),
    )  # fmt: skip
    return Answer(index, names[index], {name: float(logs[one].exp()) for one, name in names.items()}, predicted)
