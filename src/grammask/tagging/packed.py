"""A tagged text as bytes: with its format, its length and a checksum, so that damage is never read as an answer."""

from hashlib import blake2b
from typing import Final

import numpy as np

from ..grammar.tags import TAG_IDS, UPOS
from .tagger import TaggedText

_FORMAT: Final[bytes] = b"gmt2"
_DIGEST: Final[int] = 16
_OF_WORDS: Final = np.array([TAG_IDS[tag] for tag in UPOS])


def pack(tagged: TaggedText, key: bytes) -> bytes:
    """Return a tagged text as bytes that `unpack` reads under the same key only."""
    columns = np.stack([tagged.starts, tagged.ends, tagged.tag_ids, tagged.sentence_ids])
    content = _FORMAT + len(tagged).to_bytes(4, "little") + columns.astype("<i4").tobytes()
    return content + _checksum(key, content)


def unpack(value: object, key: bytes, text: str) -> TaggedText | None:
    """Return what was packed under `key`; None for anything that is damaged, another's, or no tagging of `text`."""
    if not isinstance(value, bytes) or len(value) < len(_FORMAT) + 4 + _DIGEST:
        return None
    content, checksum = value[:-_DIGEST], value[-_DIGEST:]
    if content[:4] != _FORMAT or checksum != _checksum(key, content):
        return None
    if len(content) != 8 + 16 * int.from_bytes(content[4:8], "little"):
        return None
    starts, ends, tag_ids, sentence_ids = np.frombuffer(content[8:], dtype="<i4").reshape(4, -1).astype(np.int32)
    tagged = TaggedText(starts, ends, tag_ids, sentence_ids)
    return tagged if _is_of(tagged, text) else None


def _is_of(tagged: TaggedText, text: str) -> bool:
    """Tell whether these are words in the order of the text, inside of it, with tags of words and sentences counted."""
    if not len(tagged):
        return True
    rising = (tagged.starts, tagged.ends, tagged.sentence_ids)
    return bool(
        all((np.diff(column) >= 0).all() for column in rising)
        and (tagged.starts < tagged.ends).all()
        and tagged.starts[0] >= 0
        and tagged.ends[-1] <= len(text)
        and tagged.sentence_ids[0] >= 0
        and np.isin(tagged.tag_ids, _OF_WORDS).all()
    )


def _checksum(key: bytes, content: bytes) -> bytes:
    return blake2b(content, digest_size=_DIGEST, key=key).digest()
