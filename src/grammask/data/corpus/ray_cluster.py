"""A Ray cluster that is asked for: whether one answers, found out before Ray connects to it.

Ray asks on for a quarter of an hour where none does, and says nothing.
"""

import os
import re
import socket
import subprocess
import sys
from typing import Final
from urllib.parse import urlsplit

from ...errors import ExperimentError
from ...printing import printable, quoted, reason

_PATIENCE: Final[float] = 10.0  # seconds until a cluster's machine answers
_STATUS: Final[tuple[str, ...]] = (sys.executable, "-m", "ray.scripts.scripts", "status", "--address")
_STATUS_PATIENCE: Final[float] = 30.0  # seconds until the cluster itself does; Ray is loaded meanwhile
_TOKENS: Final[str] = "RAY_AUTH_MODE"
_RAISED: Final = re.compile(r"^[\w.]*(?:Error|Exception): (.*)", re.MULTILINE | re.DOTALL)


def find_cluster(address: str) -> str:
    """Return the address that Ray is to connect to; `auto` may be another one, by RAY_ADDRESS.

    Raises `ExperimentError` for what is no address, and where no cluster answers that this Ray can use.
    """
    named = os.environ.get("RAY_ADDRESS") if address == "auto" else None
    found = named or address
    try:
        _check_machine(found)
        if found == "auto" and _TOKENS not in os.environ:
            _check_found()
        else:
            _check_cluster(found)
    except (OSError, ValueError) as error:
        asked = f"--address {quoted(address)}" + (f", by RAY_ADDRESS {quoted(named)}" if named else "")
        raise ExperimentError(
            f"{asked}: no cluster that can be used there: {reason(error).rstrip('.')}; start one, name another, or "
            "leave --address out to work on this machine alone"
        ) from error
    return found


def _check_machine(address: str) -> None:
    """Raise `OSError` where nobody listens, and `ValueError` for what is no address, or that of Ray's client."""
    if "://" in address:
        raise ValueError(
            "Ray Data doesn't run over Ray's client; call on a machine that is a node of the cluster, with --address "
            "auto or HOST:PORT, or send the command there with ray job submit"
        )
    if address != "auto":
        knock(address, _PATIENCE)


def knock(address: str, patience: float) -> None:
    """Raise `OSError` where nobody listens at HOST:PORT within so many seconds, `ValueError` for what is no address."""
    place = urlsplit(f"//{address}")
    if place.hostname is None or place.port is None:
        raise ValueError("an address is auto or HOST:PORT")
    socket.create_connection((place.hostname, place.port), timeout=patience).close()


def _check_found() -> None:
    """Check the cluster of this machine, and whether it has tokens.

    Ray takes it to have them once it has made a token on this machine, as it does for a Ray of its own. Workers of a
    cluster that was started without would then be refused, with a message about something else.
    """
    try:
        _check_cluster("auto", **{_TOKENS: "disabled"})
    except OSError:
        _check_cluster("auto")
    else:
        os.environ[_TOKENS] = "disabled"


def _check_cluster(address: str, **variables: str) -> None:
    """Raise `OSError` where Ray's own command finds no cluster, in a process of its own that can be given up."""
    try:
        asked = subprocess.run(  # noqa: S603 - an argument of its own, whatever it holds
            [*_STATUS, address], env={**os.environ, **variables}, capture_output=True, text=True, errors="replace",
            timeout=_STATUS_PATIENCE, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise OSError(f"what listens doesn't answer as a cluster does within {_STATUS_PATIENCE:g} seconds") from None
    if asked.returncode:
        said = _RAISED.search(asked.stderr)
        raise OSError(printable(" ".join((said[1] if said else asked.stderr[-200:]).split())))
