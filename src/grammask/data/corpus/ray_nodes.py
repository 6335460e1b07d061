"""What must be alike on each node of a Ray cluster, found out by the workers before they write anything.

A node with another folder of the same name would write its parts where nobody looks for them.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex
from typing import Final

from ...errors import ExperimentError
from ...files.write import TEMPORARY, write_whole
from ...printing import printable, quoted

_MISSING: Final = re.compile(r"No module named '([^']+)'")
_PLACE: Final = re.compile(r"\bip=([^\s,)]+)")


@dataclass(frozen=True)
class Alike:
    """What a worker must find on its node: the file `token` in the folder of the parts, and this `version`."""

    token: str
    version: str

    def check(self, file: str) -> None:
        """Raise `ExperimentError` on a node of another grammask, or that lacks the folder, or this file of a corpus."""
        if self.version != (there := version("grammask")):
            raise ExperimentError(
                f"grammask is of version {quoted(there)} there, {quoted(self.version)} here; install the same on each "
                "node"
            )
        if not Path(self.token).is_file():
            raise ExperimentError(
                f"--out {Path(self.token).parent} is another folder there; name one that all nodes share, under the "
                "same path on each"
            )
        if not Path(file).is_file():
            raise ExperimentError(
                f"{file}, a file of --corpus, is missing there; name a corpus that all nodes share, under the same "
                "path on each"
            )


@contextmanager
def alike(out: Path) -> Iterator[Alike]:
    """Hold a file in a folder while the block runs, by which workers know it; a later call sweeps what a kill left."""
    token = out / TEMPORARY.replace("*", token_hex(8))
    write_whole(token, "")
    try:
        yield Alike(str(token), version("grammask"))
    finally:
        token.unlink(missing_ok=True)


def node() -> str:
    """Return the address of the node that this process runs on."""
    import ray.util

    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]


def find_missing(said: str) -> str | None:
    """Return what to do where Ray says that a worker could not be loaded for a module, None where it says no such."""
    if (missing := _MISSING.search(said)) is None:
        return None
    place = _PLACE.search(said)
    where = f"node {printable(place[1])}" if place else "a node"
    return f"{where} has no module {quoted(missing[1])}; install grammask, and what it runs with, on each node"
