"""Tags on disk: a text is tagged once per tagger and version, in whatever experiment it turns up."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from ..errors import TaggingError
from .tagged import TaggedText, Tagger

_ROWS = 500


def cache_file() -> Path:
    """Return where tags are kept: in $GRAMMASK_CACHE if set, else in the user's cache folder."""
    folder = os.environ.get("GRAMMASK_CACHE")
    return (Path(folder).expanduser() if folder else user_cache_path("grammask")) / "tags.sqlite"


class CachedTagger:
    """A tagger that asks `tagger` only for texts that it hasn't seen, and keeps the answers in an SQLite file.

    `texts_tagged` and `texts_from_cache` count what happened. Raises `TaggingError` when the file cannot be used.
    """

    def __init__(self, tagger: Tagger, path: Path | None = None) -> None:
        self._tagger = tagger
        self._path = path or cache_file()
        self.texts_tagged = 0
        self.texts_from_cache = 0

    @property
    def name(self) -> str:
        """The name of the tagger that answers."""
        return self._tagger.name

    @property
    def version(self) -> str:
        """The version of the tagger that answers."""
        return self._tagger.version

    def tag(self, texts: Sequence[str]) -> Iterator[TaggedText]:
        """Tag texts lazily, in order; see `TaggedText`."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=60)) as database:
                database.execute("CREATE TABLE IF NOT EXISTS tags (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
                yield from self._tag(texts, database)
        except (OSError, sqlite3.Error) as error:
            raise TaggingError(
                f"tag cache {self._path}: {error}; delete the file if it is damaged, or set GRAMMASK_CACHE to a folder "
                "that can be written"
            ) from error

    def _tag(self, texts: Sequence[str], database: sqlite3.Connection) -> Iterator[TaggedText]:
        keys = [self._key(text) for text in texts]
        known = _read(database, keys)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        self.texts_tagged += len(missing)
        self.texts_from_cache += len(texts) - len(missing)
        fresh = zip(missing, self._tagger.tag(list(missing.values())), strict=True)
        unsaved: list[tuple[bytes, bytes]] = []
        try:
            for key in keys:
                while key not in known:  # answers come in the order of first appearance
                    tagged_key, tagged = next(fresh)
                    known[tagged_key] = tagged
                    unsaved.append((tagged_key, _pack(tagged)))
                    if len(unsaved) >= _ROWS:
                        _write(database, unsaved)
                yield known[key]
        finally:
            _write(database, unsaved)

    def _key(self, text: str) -> bytes:
        return sha256("\0".join((self.name, self.version, text)).encode("utf-8", "surrogatepass")).digest()


def _read(database: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, TaggedText]:
    found: dict[bytes, TaggedText] = {}
    wanted = iter(dict.fromkeys(keys))
    while part := list(islice(wanted, _ROWS)):
        marks = ",".join("?" * len(part))
        rows = database.execute(f"SELECT key, value FROM tags WHERE key IN ({marks})", part)  # noqa: S608 - only marks
        found.update((key, _unpack(value)) for key, value in rows)
    return found


def _write(database: sqlite3.Connection, rows: list[tuple[bytes, bytes]]) -> None:
    with database:
        database.executemany("INSERT OR REPLACE INTO tags VALUES (?, ?)", rows)
    rows.clear()


def _pack(tagged: TaggedText) -> bytes:
    columns = np.stack([tagged.starts, tagged.ends, tagged.tag_ids, tagged.sentence_ids])
    return columns.astype("<i4").tobytes()


def _unpack(value: bytes) -> TaggedText:
    starts, ends, tag_ids, sentence_ids = np.frombuffer(value, dtype="<i4").reshape(4, -1).astype(np.int32)
    return TaggedText(starts, ends, tag_ids, sentence_ids)
