"""What a folder of annotated parts was made from and with: a file that each later call is held to."""

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from ...errors import ExperimentError
from ...files.lock import is_unused
from ...files.read import parse_json_object, read_text
from ...files.write import dump, write_whole
from ...printing import quoted

MANIFEST: Final[str] = "_manifest.json"
_FORMAT: Final[int] = 1


def begin(out: Path, settings: Mapping[str, Any]) -> None:
    """Write what a folder is made with, or check that it is the same; raises `ExperimentError` for anything else."""
    path = out / MANIFEST
    if not path.is_file():
        if not is_unused(out):
            raise ExperimentError(f"--out {out} isn't empty and was not made by this command; name another folder")
        write_manifest(out, settings, None)
        return
    before = parse_json_object(read_text(path, error=ExperimentError), origin=path, error=ExperimentError)
    if before.get("format") != _FORMAT or not isinstance(before.get("settings"), dict):
        raise ExperimentError(f"{path} is damaged, or of another version of grammask; name another folder with --out")
    if changes := list(_changes(before["settings"], json.loads(dump(settings)))):
        raise ExperimentError(
            f"{out} was made with other settings ({'; '.join(changes[:4])}); give the same ones to go on, or name "
            "another folder with --out"
        )


def write_manifest(out: Path, settings: Mapping[str, Any], finished: Mapping[str, int] | None) -> None:
    """Write the manifest, with the counts of a corpus that is finished."""
    made = {"format": _FORMAT, "grammask": version("grammask"), "settings": settings, "finished": finished}
    write_whole(out / MANIFEST, dump(made))


def _changes(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """Say of each setting that differs what it was and is."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            yield from _changes(before.get(key), now.get(key), f"{name} {key}".strip())
    elif before != now:
        yield f"{name} was {_value(before)}, is {_value(now)}"


def _value(value: Any) -> str:
    return "not there" if value is None else quoted(value)
