"""What a tagger of subwords reads of texts: their subwords, and the spaces and capitals that subwords may have lost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ...errors import TaggingError
from ...printing import reason
from ..overlap import Integers

CUES: Final[int] = 9  # how many there are
UNKNOWN_CUE: Final[int] = 0  # of subwords whose text isn't there
_SPACES: Final = np.array(
    [*range(9, 14), *range(28, 33), 133, 160, 5760, *range(8192, 8203), 8232, 8233, 8239, 8287, 12288]  # str.isspace
)


@dataclass(frozen=True, eq=False)
class Pieces:
    """The subwords of some texts in order, but those that show only white space.

    All arrays are (pieces,): `ids` in the vocabulary, `texts` which one of the texts it is from, `starts` and `ends` in
    the texts joined by line breaks, and `cues`: 1 + 2 * case + (1 where white space or the text's beginning stands
    before it). The case is 0 without capitals, 1 with a first one, 2 with capitals only, 3 with others.
    """

    ids: Integers
    texts: Integers
    starts: Integers
    ends: Integers
    cues: Integers

    @property
    def spaced(self) -> NDArray[np.bool_]:
        """Whether white space, or the beginning of a text, stands before each piece."""
        spaced: NDArray[np.bool_] = self.cues % 2 == 0
        return spaced


def plain_tokenizer(tokenizer: Tokenizer) -> Tokenizer:
    """Make a tokenizer cut and pad nothing, and read special tokens that a text spells as text."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def text_places(texts: Sequence[str]) -> Integers:
    """Return where each text begins when they are joined by line breaks, and where one more would."""
    return np.cumsum([0, *(len(text) + 1 for text in texts)])


def find_pieces(tokenizer: Tokenizer, texts: Sequence[str]) -> Pieces:
    """Return the subwords of texts; raises `TaggingError` where the tokenizer can't split them."""
    try:
        encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    except Exception as error:  # its own library raises bare ones, as for a vocabulary without its unknown word
        raise TaggingError(f"the tagger's tokenizer cannot split a text: {reason(error)}; train it again") from error
    sizes = [len(encoding) for encoding in encodings]
    ids = _flat((encoding.ids for encoding in encodings), sum(sizes))
    spans = _flat((chain.from_iterable(encoding.offsets) for encoding in encodings), 2 * sum(sizes)).reshape(-1, 2)
    numbers = np.repeat(np.arange(len(texts)), sizes)
    return _look("\n".join(texts), ids, numbers, spans + text_places(texts)[numbers, None])


def _flat(parts: Iterable[Iterable[int]], size: int) -> Integers:
    return np.fromiter(chain.from_iterable(parts), dtype=np.int64, count=size)


def _look(text: str, ids: Integers, numbers: Integers, spans: Integers) -> Pieces:
    """Take white space off the pieces' ends, and see what stands before them and what their case is."""
    visible = np.append(~np.isin(_codes(text), _SPACES), True)
    places = np.arange(len(visible))
    following = np.minimum.accumulate(np.where(visible, places, len(text))[::-1])[::-1]
    last = np.maximum.accumulate(np.where(visible, places + 1, 0))
    starts, ends = following[spans[:, 0]], last[(spans[:, 1] - 1).clip(min=0)]
    shown = (starts < ends) & (spans[:, 0] < spans[:, 1])
    starts, ends = starts[shown], ends[shown]
    before = np.append(0, ends)[:-1]
    hidden = np.append(0, (~visible).cumsum())
    spaced = hidden[starts] > hidden[np.minimum(before, starts)]
    spaced[:1] = True
    return Pieces(ids[shown], numbers[shown], starts, ends, 1 + 2 * _case(text, starts, ends) + spaced)


def _case(text: str, starts: Integers, ends: Integers) -> Integers:
    lower = text.lower()
    if len(lower) != len(text):  # a few capitals become two characters
        lower = "".join(char.lower()[0] for char in text)
    capital = _codes(text) != _codes(lower)
    before = np.append(0, capital.cumsum())
    count, first = before[ends] - before[starts], capital[starts]
    case = np.full(len(starts), 3)
    case[count == 0] = 0
    case[(count == 1) & first] = 1
    case[(count == ends - starts) & (count > 1)] = 2
    return case


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
