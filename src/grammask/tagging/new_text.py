"""The text that each generated token adds, and whether it begins a word: decided when it appears, once and for good.

A token may hold a part of a character, as in byte-level BPE; its text comes with the token that completes it. Words are
those of the spelling, without a tagger: they begin at white space and between letters or digits and other signs. In
scripts without spaces, and where a character begins whose end isn't there yet, each token begins one.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final, Literal

from transformers import PreTrainedTokenizerBase

_PART: Final[str] = "\ufffd"  # what a part of a character is decoded to
_LONGEST: Final[int] = 8  # tokens without a whole character, after which bytes are none
_NO_SPACES: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)

# How a text ends: in a word's letters or other signs, in a word that shows nothing yet, or behind a word.
Ending = Literal["letters", "signs", "nothing", "over"]


@dataclass(frozen=True)
class TextEnd:
    """The end of a text, as far as the text of the next token hangs on it.

    `tokens` are decoded anew with each token, `given` characters of them were given out, and the first `whole` of them
    end with a whole character.
    """

    ending: Ending = "over"
    tokens: tuple[int, ...] = ()
    given: int = 0
    whole: int = 0


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Return the ids of a tokenizer's special tokens, by how they are spelled."""
    added = {token.content: number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    return dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True)) | added


class NewText:
    """Reads a text on token by token, as one fast tokenizer spells it."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._backend = tokenizer.backend_tokenizer
        self.special = frozenset(special_tokens(tokenizer).values())

    def decode(self, tokens: tuple[int, ...]) -> str:
        """Return the text of some tokens, special ones spelled out."""
        text: str = self._backend.decode(list(tokens), skip_special_tokens=False)
        return text

    def end_of(self, tokens: tuple[int, ...]) -> TextEnd:
        """Return the end of a text of these tokens."""
        text = self.decode(tokens)
        return TextEnd(_ending("over", text), tokens, len(text), len(tokens))

    def add(self, end: TextEnd, token: int) -> tuple[TextEnd, str, bool]:
        """Return the end of a text with one more token, what that adds, and whether it begins a word.

        A special token is no text: it shows nothing, and parts the words around it.
        """
        if token in self.special:
            return TextEnd(), "\n", True
        tokens = (*end.tokens, token)
        text = self.decode(tokens)
        is_whole = not text.endswith(_PART) or len(tokens) - end.whole > _LONGEST
        added = (text if is_whole else text.rstrip(_PART))[end.given :]
        begins = len(end.tokens) == end.whole and _begins(end.ending, added)
        ending = _ending("nothing" if begins else end.ending, added) if added or not begins else "letters"
        if not is_whole:
            return TextEnd(ending, tokens, end.given + len(added), end.whole), added, begins
        kept = tokens[end.whole :]
        return TextEnd(ending, kept, len(self.decode(kept)), len(kept)), added, begins


def _begins(ending: Ending, added: str) -> bool:
    """Tell whether a token that adds this begins a word, where it doesn't complete a character."""
    if ending in ("nothing", "over"):
        return ending == "over"
    if not added or added[0].isspace() or _NO_SPACES.match(added):
        return True
    kind = _kind(added[0])
    return kind is not None and kind != ending


def _ending(ending: Ending, added: str) -> Ending:
    """Return how a text ends whose last word ended like `ending`, once more characters of that word have come."""
    for char in added:
        if not char.isspace():
            ending = _kind(char) or ending
        elif ending != "nothing":
            ending = "over"
    return ending


def _kind(char: str) -> Ending | None:
    """Return what a visible character is; marks, joiners and controls go on with what stands before them: None."""
    if char.isalnum() or char == "_":
        return "letters"
    return None if unicodedata.category(char) in ("Mn", "Mc", "Me", "Cf", "Cc") else "signs"
