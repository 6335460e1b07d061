"""Where a model's files are: in its folder, in the Hub's cache, or on the Hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ..errors import ModelError
from ..printing import reason

# The arguments of `from_pretrained` that say where a file is; every read of a model takes all of them.
HUB_ARGUMENTS: Final[tuple[str, ...]] = (
    "cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token",
)  # fmt: skip


def hub_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of `arguments` that say where a model's files are."""
    return {name: arguments[name] for name in HUB_ARGUMENTS if name in arguments}


def find_file(name: str, file: str, **hub: Any) -> Path | None:
    """Return the path of a model's file, from its folder or the Hub; None where it has none of that name."""
    from transformers.utils.hub import cached_file  # only where models are read

    try:
        found = cached_file(name, file, _raise_exceptions_for_missing_entries=False, **hub)
    except Exception as error:  # the Hub's client and its network library raise many unrelated kinds
        raise ModelError(f"no model {name!r}: {file} cannot be fetched: {reason(error)}") from error
    return None if found is None else Path(found)
