"""Where the records of a measurement are kept, one for each method and text, so that it can go on where it ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ...files.write import dump, write_whole
from ..records import read_json


class Store(Protocol):
    """Records by their keys."""

    def get(self, key: str) -> dict[str, Any] | None:
        """Return a record, or None."""

    def put(self, key: str, record: Mapping[str, Any]) -> None:
        """Keep a record."""


@dataclass(frozen=True)
class RecordFiles:
    """A folder of records; a record is there as a whole or not at all. Raises `ExperimentError` for a damaged one."""

    folder: Path

    def get(self, key: str) -> dict[str, Any] | None:
        """Return a record, or None."""
        path = self._path(key)
        return read_json(path) if path.is_file() else None

    def put(self, key: str, record: Mapping[str, Any]) -> None:
        """Write a record."""
        write_whole(self._path(key), dump(record), kept="what is finished is kept")

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"
