"""One commit for all reads of a model from the Hub: no file is of another state than the rest, and few are asked."""

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ..errors import ExperimentError, ModelError
from ..printing import printable, quoted, reason
from .find_file import is_commit
from .hub_errors import hub_trouble, is_answer
from .write import write_whole

_LOG = logging.getLogger(__name__)
_TIMEOUT: Final[int] = 20  # seconds
_ASKED: Final[str] = "config.json"  # the answer for any file names the commit, also where there is no such file


def pin_revision(name: str, **hub: Any) -> dict[str, Any]:
    """Return the arguments of `hub` for one commit: that of the branch on the Hub, or else the one that is cached.

    Folders stay as they are. Where the Hub cannot be reached, the cached commit is read, and a warning says so. Raises
    `ModelError` where there is none, and for what the Hub refuses.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import LocalEntryNotFoundError

    if os.path.isdir(name):
        return hub
    revision, cached = hub.get("revision"), None
    try:
        cached = _cached_commit(name, hub)
        if cached is not None and (cached == revision or hub.get("local_files_only") or constants.is_offline_mode()):
            return {**hub, "revision": cached}
        if hub.get("local_files_only"):
            raise LocalEntryNotFoundError("")
        return {**hub, "revision": _commit_on_hub(name, hub)}
    except Exception as error:  # the Hub's client and its network library raise many unrelated kinds
        if is_answer(error) or cached is None:
            raise ModelError(f"no model {quoted(name)}: {hub_trouble(error, revision=revision)}") from error
        _LOG.warning(
            "%s gave no %s (%s); the cached one is read", constants.ENDPOINT, quoted(name), printable(reason(error))
        )
        return {**hub, "revision": cached, "local_files_only": True}


def _commit_on_hub(name: str, hub: dict[str, Any]) -> str:
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import RemoteEntryNotFoundError

    url = hf_hub_url(name, _ASKED, revision=hub.get("revision"))
    try:
        commit = get_hf_file_metadata(url, token=hub.get("token"), timeout=_TIMEOUT).commit_hash
    except RemoteEntryNotFoundError as error:
        commit = error.response.headers.get(constants.HUGGINGFACE_HEADER_X_REPO_COMMIT)
    if not is_commit(commit):
        raise OSError("the answer names no commit, so it is of no Hub; HF_ENDPOINT may be wrong")
    if (branch := _branch_file(name, hub)) is not None:
        with suppress(ExperimentError):  # a cache that is only read
            write_whole(branch, commit.encode())
    return commit


def _cached_commit(name: str, hub: dict[str, Any]) -> str | None:
    """Return the commit that a revision had when it was fetched; None where it wasn't."""
    branch, commit = _branch_file(name, hub), hub.get("revision")
    if branch is not None:
        commit = branch.read_text("utf-8").strip() if branch.is_file() else None
    return commit if is_commit(commit) and (_folder(name, hub) / "snapshots" / commit).is_dir() else None


def _branch_file(name: str, hub: dict[str, Any]) -> Path | None:
    """Return where the cache keeps the commit of a branch or tag; None for a commit, and for what is neither."""
    from huggingface_hub import constants

    revision = hub.get("revision") or constants.DEFAULT_REVISION
    if is_commit(revision) or Path(revision).is_absolute() or ".." in Path(revision).parts:
        return None
    return _folder(name, hub) / "refs" / revision


def _folder(name: str, hub: dict[str, Any]) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.utils._validators import validate_repo_id

    validate_repo_id(name)
    return Path(hub.get("cache_dir") or constants.HF_HUB_CACHE, repo_folder_name(repo_id=name, repo_type="model"))
