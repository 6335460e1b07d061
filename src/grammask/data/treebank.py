"""CoNLL-U files, plain or gzipped, sentence by sentence, within limits."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import conllu
from conllu.exceptions import ParseException

from ..errors import InputError

_LARGEST_CORPUS: Final[int] = 1 << 28  # characters
_LONGEST_SENTENCE: Final[int] = 10_000  # lines
_LONGEST_LINE: Final[int] = 100_000  # characters


def read_treebank(path: Path) -> Iterator[conllu.TokenList]:
    """Yield the sentences of a CoNLL-U file, plain or gzipped; raises `InputError`, also where there is none."""
    found = False
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
            for text in _sentences(file, path):
                for sentence in conllu.parse(text):
                    found = True
                    yield sentence
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8; convert the file") from error
    except ParseException as error:
        raise InputError(f"{path}: no CoNLL-U: {error}") from error
    if not found:
        raise InputError(f"{path}: holds no sentence")


def _sentences(file: IO[str], path: Path) -> Iterator[str]:
    """Yield the text of each sentence; raises `InputError` beyond the limits, as a small gzip file can hold gigabytes.

    A sentence ends at an empty line after its words.
    """
    size, lines, words = 0, list[str](), False
    while line := file.readline(_LONGEST_LINE + 1):
        size += len(line)
        lines.append(line)
        _check_most(size, _LARGEST_CORPUS, f"{path} holds more than {_LARGEST_CORPUS:,} characters; split it")
        _check_most(len(line), _LONGEST_LINE, f"{path}: a line has more than {_LONGEST_LINE:,} characters")
        _check_most(len(lines), _LONGEST_SENTENCE, f"{path}: no sentence ends within {_LONGEST_SENTENCE:,} lines")
        if words and line.isspace():
            yield "".join(lines)
            lines, words = [], False
        elif not line.isspace():
            words = words or not line.startswith("#")
    yield "".join(lines)


def _check_most(found: int, most: int, message: str) -> None:
    if found > most:
        raise InputError(message)
