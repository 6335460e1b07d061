"""Where a model's files are: in its folder, in the Hub's cache, or on the Hub."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeGuard

from ..errors import ModelError
from ..printing import quoted
from .hub_errors import hub_trouble

# The arguments of `from_pretrained` that say where a file is; every read of a model takes all of them.
HUB_ARGUMENTS: Final[tuple[str, ...]] = (
    "cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token",
)  # fmt: skip


def hub_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of `arguments` that say where a model's files are."""
    return {name: arguments[name] for name in HUB_ARGUMENTS if name in arguments}


def is_commit(revision: str | None) -> TypeGuard[str]:
    """Tell whether a revision is a commit, which never changes, and no branch or tag."""
    return re.fullmatch("[0-9a-f]{40}", revision or "") is not None


def find_file(name: str, file: str, *, sure: bool = False, **hub: Any) -> Path | None:
    """Return the path of a model's file, from its folder or the Hub; None where it has none of that name.

    Where only the cache may be read, what isn't there counts as missing; `sure` says that it must be known to be.
    Raises `ModelError` for what cannot be fetched.
    """
    inside = f"{hub['subfolder']}/{file}" if hub.get("subfolder") else file
    if os.path.isdir(name):
        path = Path(name, inside)
        return path if path.is_file() else None
    from huggingface_hub import _CACHED_NO_EXIST, constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError

    wanted = {key: hub[key] for key in ("cache_dir", "revision") if key in hub}
    asked = {key: hub[key] for key in ("force_download", "local_files_only", "token") if key in hub}
    try:
        known = try_to_load_from_cache(name, inside, **wanted)
        if known is _CACHED_NO_EXIST and is_commit(hub.get("revision")):
            return None
        return Path(hf_hub_download(name, inside, **wanted, **asked))
    except RemoteEntryNotFoundError:
        return None
    except Exception as error:  # the Hub's client and its network library raise many unrelated kinds
        only = constants.is_offline_mode() or hub.get("local_files_only")
        if not isinstance(error, LocalEntryNotFoundError) or not (known is _CACHED_NO_EXIST or (only and not sure)):
            raise ModelError(f"model {quoted(name)}: no {file}: {hub_trouble(error)}") from error
        return None
