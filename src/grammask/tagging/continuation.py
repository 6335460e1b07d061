"""The tags and word numbers of a text that is being generated: they follow from its token ids alone.

A new word has the tag `[NEW]` until enough words stand behind it. Then a tagger reads it in its context, and it gets
its tag once and for good. Nothing hangs on when or in which order texts were asked for, so beams may change places.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import GrammaskError, TaggingError
from ..grammar.tags import NEW, TAG_IDS, UNK, UPOS
from ..printing import quoted, reason
from .new_text import NewText, TextEnd
from .overlap import NO_WORD, Integers, overlapping_words, shows_nothing
from .tagger import Tagger

_OTHER: Final[int] = TAG_IDS["X"]
_AHEAD: Final[int] = 4  # words behind a word that its tag may hang on: what spaCy's small models see
_EVERY: Final[int] = 64  # words from one call of the tagger to the next, at most
_CONTEXT: Final[int] = 100  # words before the new ones that a tagger reads, at most
_LEAST: Final[int] = 8  # and at least, where a sentence begins in between
_TOKENS: Final[int] = 400  # of a prompt, in which so many words are looked for
_WORD: Final = re.compile(r"\S+")
_SENTENCE: Final = re.compile(r"[.!?\u2026][^\w\s]*\s+|\n")


@dataclass(frozen=True)
class Schedule:
    """When new words are tagged: `every` so many at a time, with `ahead` more words behind them."""

    every: int
    ahead: int

    @classmethod
    def within(cls, room: int | None) -> "Schedule":
        """Return the rarest calls by which a word is tagged before `room` words stand behind it; None: any number."""
        if room is None:
            return cls(_EVERY, _AHEAD)
        ahead = min(_AHEAD, max(room - 1, 0))
        return cls(max(1, min(_EVERY, room - ahead)), ahead)


@dataclass(frozen=True, eq=False)
class Row:
    """A generated text after some tokens: their tags and word numbers (tokens,), and what the next ones hang on.

    `number` is that of the last word, `tag` the tag that its further tokens get. `new` holds the text of each word that
    has no tag yet, `context` what stands before them.
    """

    tags: Integers
    words: Integers
    number: int
    tag: int
    end: TextEnd
    context: str
    new: tuple[str, ...] = ()


class Writer:
    """Follows generated texts token by token, for one tokenizer, tagger and schedule; None: no word needs a tag."""

    def __init__(self, text: NewText, tagger: Tagger, schedule: Schedule | None) -> None:
        self._text = text
        self._tagger = tagger
        self._schedule = schedule

    def start(self, tokens: Integers, tag_ids: Integers, word_ids: Integers) -> Row:
        """Return the row of a prompt, without padding, after which nothing was generated yet; its last `tokens` do."""
        structural = np.flatnonzero(word_ids[len(word_ids) - len(tokens) :] == NO_WORD)
        first = max(len(tokens) - _TOKENS, structural[-1] + 1 if len(structural) else 0)
        tail = tuple(int(token) for token in tokens[first:])
        nothing = np.zeros(0, dtype=np.int64)
        number = int(word_ids.max(initial=NO_WORD))
        goes_on = tail and tail[-1] not in self._text.special and int(word_ids[-1]) == number
        end = self._text.end_of(tail) if goes_on and tag_ids[-1] < len(UPOS) else TextEnd()
        return Row(nothing, nothing, number, int(tag_ids[-1]), end, _last_words(self._text.decode(tail)))

    def add(self, row: Row, token: int) -> Row:
        """Return the row with one more token."""
        end, added, begins = self._text.add(row.end, token)
        if begins:
            if self._schedule is not None and len(row.new) >= self._schedule.every + self._schedule.ahead:
                row = self._tag(row, len(row.new) - self._schedule.ahead)
            row = replace(row, number=row.number + 1, tag=NEW, new=(*row.new, added))
        elif row.new:
            row = replace(row, new=(*row.new[:-1], row.new[-1] + added))
        else:
            row = replace(row, context=row.context + added)
        return replace(row, tags=np.append(row.tags, row.tag), words=np.append(row.words, row.number), end=end)

    def _tag(self, row: Row, count: int) -> Row:
        """Give so many of the first new words their tags; the others stand ahead."""
        text = row.context + "".join(row.new)
        ends = len(row.context) + np.cumsum([len(word) for word in row.new[:count]])
        spans = np.stack([np.append(len(row.context), ends[:-1]), ends], 1)
        found = self._tags(text, spans)
        first = row.number - len(row.new) + 1
        place = row.words - first
        inside = (place >= 0) & (place < count)
        tags = row.tags.copy()
        tags[inside] = found[place[inside]]
        return replace(row, tags=tags, context=_last_words(text[: ends[-1]]), new=row.new[count:])

    def _tags(self, text: str, spans: Integers) -> Integers:
        """Return the tags of the words at these places of a text; raises `TaggingError` where none is found."""
        shown = np.array([not shows_nothing(text[start:end]) for start, end in spans])
        if not shown.any():
            return np.full(len(spans), _OTHER)
        try:
            (tagged,) = self._tagger.tag([text])
        except GrammaskError:
            raise
        except Exception as error:  # a tagger of the caller's own may raise anything
            raise TaggingError(
                f"tagger {self._tagger.name} failed on generated text: {reason(error)}; the text is {quoted(text)}"
            ) from error
        owners = overlapping_words(spans, tagged)
        if not (owners[shown] != NO_WORD).any():
            raise TaggingError(
                f"tagger {self._tagger.name} found no word in the generated text {quoted(text[spans[0, 0] :])}; take "
                "one for its language"
            )
        known = np.append(tagged.tag_ids, UNK)[owners]  # -1 takes the last
        tags: Integers = np.where(shown, known, _OTHER).astype(np.int64)
        return tags


class Continuation:
    """The texts that go on from the prompts of one batch; `writer` is None where there is no tokenizer.

    Without it each token is a word of its own. Arrays are (batch, length), of prompts padded on the left; of their
    tokens the last are enough.
    """

    def __init__(self, writer: Writer | None, tokens: Integers, tag_ids: Integers, word_ids: Integers) -> None:
        self._writer = writer
        self._prompts = tokens, tag_ids, word_ids
        same = [b"".join(ids[number].tobytes() for ids in self._prompts) for number in range(len(tokens))]
        # Rows of one prompt, as beams are, share what is known: the first of them names it.
        self._first = [same.index(prompt) for prompt in same]
        self._rows: dict[tuple[int, bytes], Row] = {}

    def after(self, generated: Integers) -> tuple[Integers, Integers]:
        """Return tags and word numbers of the tokens that were generated after each prompt (batch, tokens)."""
        if self._writer is None:
            last = self._prompts[2].max(1, initial=NO_WORD)[:, None]
            return np.full_like(generated, NEW), last + 1 + np.arange(generated.shape[1])
        rows = [self._row(self._writer, *text) for text in zip(self._first, generated, strict=True)]
        # The next tokens are asked for after these.
        self._rows = {(first, ids.tobytes()): row for first, ids, row in zip(self._first, generated, rows, strict=True)}
        return np.stack([row.tags for row in rows]), np.stack([row.words for row in rows])

    def _row(self, writer: Writer, number: int, generated: NDArray[np.int64]) -> Row:
        for known in range(len(generated), -1, -1):
            row = self._rows.get((number, generated[:known].tobytes()))
            if row is not None:
                break
        else:
            known, row = 0, self._start(writer, number)
        for token in generated[known:].tolist():
            row = writer.add(row, token)
        return row

    def _start(self, writer: Writer, number: int) -> Row:
        tokens, tag_ids, word_ids = (ids[number] for ids in self._prompts)
        real = tag_ids != TAG_IDS["[PAD]"]
        return writer.start(tokens[real[len(real) - len(tokens) :]], tag_ids[real], word_ids[real])


def _last_words(text: str) -> str:
    """Return the end of a text that a tagger needs before the next word: from the beginning of a sentence, if near."""
    starts = [found.start() for found in _WORD.finditer(text)][-_CONTEXT:]
    if not starts:
        return ""
    begins = [found.end() for found in _SENTENCE.finditer(text, starts[0], starts[max(len(starts) - _LEAST, 0)])]
    return text[begins[-1] if begins else starts[0] :]
