"""Documents to read whole: the built-in ones, a text file, or each file of a folder."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ..errors import InputError
from ..files.read import expand_home, read_text
from .chronicles import chronicles


@dataclass(frozen=True)
class Document:
    """A text and what it is called; names are data of others."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        """The hash of the text."""
        return sha256(self.text.encode()).hexdigest()


def read_documents(text: str | None, limit: int | None) -> list[Document]:
    """Return at most `limit` documents of a file or folder in the order of their names, None for the built-in ones.

    Raises `InputError` for what is no text.
    """
    if text is None:
        documents = [Document(name, text) for name, text in chronicles().items()]
    else:
        path = expand_home(text)
        files = _files_in(path) if path.is_dir() else [path]
        documents = [_read(file, named=file == path) for file in files[:limit]]
    return documents[:limit]


def _files_in(folder: Path) -> list[Path]:
    """Return the files of a folder but for hidden ones; what lies in folders below isn't read."""
    try:
        files = sorted(entry for entry in folder.iterdir() if not entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"--text {folder} cannot be read: {error.strerror}") from error
    if not files:
        raise InputError(f"--text {folder} holds no text files; name a folder with a file for each document")
    return files


def _read(file: Path, *, named: bool) -> Document:
    text = read_text(file, named=named)
    if not text.strip():
        raise InputError(f"{file}: the file holds no text")
    return Document(file.name, text)
