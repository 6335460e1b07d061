"""Tags on disk: a text is tagged once per tagger and version, in whatever experiment it turns up."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

from ..errors import TaggingError
from ..files.cache_folder import cache_folder
from .packed import pack, unpack
from .split_text import SplitText, tag_words
from .tagger import TaggedText, Tagger, TaggerWrapper

_ROWS: Final[int] = 500
_PATIENCE: Final[float] = 60  # seconds that another process may take to write
_TABLE: Final[str] = "tags_2"  # the first had values without a checksum, under keys that named no content
_CREATE: Final[str] = f"CREATE TABLE {_TABLE} (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"  # as SQLite keeps it
_ELSEWHERE: Final[str] = "set GRAMMASK_CACHE to a folder that can be written"

_Text = TypeVar("_Text", str, SplitText)


def cache_file() -> Path:
    """Return where tags are kept: in $GRAMMASK_CACHE if set, else in the user's cache folder."""
    return cache_folder() / "tags.sqlite"


class CachedTagger(TaggerWrapper):
    """A tagger that asks `tagger` only for texts that it hasn't seen, and keeps the answers in an SQLite file.

    `texts_tagged` and `texts_from_cache` count what happened. Raises `TaggingError` when the file cannot be used.
    """

    def __init__(self, tagger: Tagger, path: Path | None = None) -> None:
        super().__init__(tagger)
        self._path = path or cache_file()
        self.texts_tagged = 0
        self.texts_from_cache = 0

    @property
    def inner(self) -> Tagger:
        """The tagger that is asked for texts that haven't been seen."""
        return self._tagger

    def __getstate__(self) -> dict[str, Any]:
        """Return the tagger and the file; what happened is counted anew in each process."""
        return {**vars(self), "texts_tagged": 0, "texts_from_cache": 0}

    def tag(self, texts: Sequence[str]) -> Iterator[TaggedText]:
        """Tag texts lazily, in order; see `TaggedText`."""
        asked = {self._key(text): text for text in texts}
        return self._answers([self._key(text) for text in texts], asked, asked, self._tagger.tag)

    def tag_words(self, texts: Sequence[SplitText]) -> Iterator[TaggedText]:
        """Tag texts that come as words, which are other ones to the cache than the same texts in one piece."""
        keys = [self._key_of_words(text) for text in texts]
        asked = dict(zip(keys, texts, strict=True))
        spelled = {key: text.text for key, text in asked.items()}
        return self._answers(keys, asked, spelled, lambda missing: tag_words(self._tagger, missing))

    def _answers(
        self,
        keys: Sequence[bytes],
        asked: Mapping[bytes, _Text],
        spelled: Mapping[bytes, str],
        ask: Callable[[list[_Text]], Iterator[TaggedText]],
    ) -> Iterator[TaggedText]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise TaggingError(f"tag cache {self._path}: {error}; {_ELSEWHERE}") from error
        try:
            with closing(sqlite3.connect(self._path, timeout=_PATIENCE)) as database:
                database.text_factory = bytes  # what is no blob is damaged, and need not be UTF-8 either
                _open(database)
                known = _read(database, spelled)
                missing = {key: text for key, text in asked.items() if key not in known}
                self.texts_tagged += len(missing)
                self.texts_from_cache += len(keys) - len(missing)
                fresh = zip(missing, ask(list(missing.values())), strict=True)
                yield from _keep(database, keys, known, fresh)
        except sqlite3.Error as error:
            raise TaggingError(f"tag cache {self._path}: {error}; {_remedy(error)}") from error

    def _key(self, text: str) -> bytes:
        return sha256("\0".join((self.name, self.version, text)).encode("utf-8", "surrogatepass")).digest()

    def _key_of_words(self, text: SplitText) -> bytes:
        return sha256(b"words" + self._key(text.text) + text.spans.tobytes()).digest()


def _keep(
    database: sqlite3.Connection,
    keys: Sequence[bytes],
    known: dict[bytes, TaggedText],
    fresh: Iterator[tuple[bytes, TaggedText]],
) -> Iterator[TaggedText]:
    """Return the answers of all keys, and write those that come fresh, in the order of first appearance."""
    unsaved: list[tuple[bytes, bytes]] = []
    try:
        for key in keys:
            while key not in known:
                tagged_key, tagged = next(fresh)
                known[tagged_key] = tagged
                unsaved.append((tagged_key, pack(tagged, tagged_key)))
                if len(unsaved) >= _ROWS:
                    _write(database, unsaved)
            yield known[key]
    finally:
        _write(database, unsaved)


def _open(database: sqlite3.Connection) -> None:
    """Make the table where it is missing; raise `sqlite3.Error` for one that isn't ours, or has triggers or indices.

    A file of somebody else's may hold a view in its place, or a trigger on it: both run what they like.
    """
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute(_CREATE.replace("TABLE", "TABLE IF NOT EXISTS"))
    there = database.execute("SELECT sql FROM sqlite_master WHERE tbl_name = ? COLLATE NOCASE", (_TABLE,)).fetchall()
    if there != [(_CREATE.encode(),)]:
        raise sqlite3.DatabaseError(f"{_TABLE} is no plain table")


def _read(database: sqlite3.Connection, texts: Mapping[bytes, str]) -> dict[bytes, TaggedText]:
    """Return what is known of the texts, by their keys; what is damaged is not known, and will be written anew."""
    found: dict[bytes, TaggedText] = {}
    wanted = iter(texts)
    while part := list(islice(wanted, _ROWS)):
        marks = ",".join("?" * len(part))
        rows = database.execute(f"SELECT key, value FROM {_TABLE} WHERE key IN ({marks})", part)  # noqa: S608 - marks
        for key, value in rows:
            tagged = unpack(value, key, texts[key])
            if tagged is not None:
                found[key] = tagged
    return found


def _write(database: sqlite3.Connection, rows: list[tuple[bytes, bytes]]) -> None:
    with database:
        database.executemany(f"INSERT OR REPLACE INTO {_TABLE} (key, value) VALUES (?, ?)", rows)  # noqa: S608 - our own name
    rows.clear()


def _remedy(error: sqlite3.Error) -> str:
    """Say what helps: a cache that is only locked, full or not to be written holds good work, and is kept."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest of the bits is detail
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"another process is writing to it: wait for it, or {_ELSEWHERE}"
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return f"see whether its disk is full or failing; free some space, or {_ELSEWHERE}"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return _ELSEWHERE
    return f"it is damaged, or no tag cache: delete the file, and texts are tagged anew, or {_ELSEWHERE}"
