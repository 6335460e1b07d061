"""How subwords are spelled, as numbers: what is learnt of an ending holds for subwords that were never seen."""

from collections.abc import Iterator, Mapping
from typing import Final
from zlib import crc32

import torch
from torch import Tensor

PARTS: Final[int] = 4096  # numbers that parts of spellings get, by their hash
_MARKS: Final[tuple[str, ...]] = (
    "##",
    "\u0120",
    "\u2581",
)  # how WordPiece, byte-level BPE and SentencePiece mark subwords
_BEGINNINGS, _ENDINGS = (1, 2, 3), (1, 2, 3, 4)  # characters


def spelling_table(vocabulary: Mapping[str, int], size: int) -> Tensor:
    """Return the parts of each subword's spelling (size, parts), by the ids of a vocabulary."""
    table = torch.zeros(size, len(_BEGINNINGS) + len(_ENDINGS) + 2, dtype=torch.long)
    for subword, number in vocabulary.items():
        table[number] = torch.tensor([crc32(part.encode("utf-8", "surrogatepass")) % PARTS for part in _parts(subword)])
    return table


def _parts(subword: str) -> Iterator[str]:
    mark = next((mark for mark in _MARKS if subword.startswith(mark) and subword != mark), "")
    plain = subword.removeprefix(mark)
    for size in _BEGINNINGS:
        yield f"{mark}<{plain[:size]}"
    for size in _ENDINGS:
        yield f">{plain[-size:]}"
    yield f"{mark}{min(len(plain), 6)}"
    yield "".join("0" if char.isdigit() else "a" if char.isalpha() else char for char in plain[:6])
