"""What the Hub's client and its network library raise, as one line that says what to do."""

from typing import Final

from ..printing import made_of, printable, quoted, reason

_LOG_IN: Final[str] = "log in (hf auth login), or give a token (HF_TOKEN)"


def is_answer(error: BaseException) -> bool:
    """Tell whether the Hub answered, and said no; False where it could not be reached, or is out of order."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    status = [said.response.status_code for said in made_of(error) if isinstance(said, HfHubHTTPError)]
    return any(400 <= code < 500 and code not in (408, 429) for code in status) or isinstance(error, HFValidationError)


def hub_trouble(error: BaseException, *, revision: str | None = None) -> str:
    """Say in one line why the Hub didn't give what was asked for, and what to do."""
    from huggingface_hub import constants
    from huggingface_hub.errors import LocalEntryNotFoundError

    if (known := known_trouble(error, revision=revision)) is not None:
        return known
    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is None:
        return "it isn't in the cache, and nothing was to be fetched: fetch it once, or give a local folder"
    why = error.__cause__ or error if isinstance(error, LocalEntryNotFoundError) else error
    return f"{constants.ENDPOINT} did not give it ({printable(reason(why))}): try again, or give a local folder"


def known_trouble(error: BaseException, *, revision: str | None = None) -> str | None:
    """Say in one line what is wrong, where the Hub or its client says it; None where the connection broke."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    for said in made_of(error):
        if isinstance(said, HFValidationError):
            return "it is no local folder, and no name of the Hub, which are as owner/name"
        if isinstance(said, GatedRepoError):
            return f"it is gated: ask for access on its page at {constants.ENDPOINT}, then {_LOG_IN}"
        if isinstance(said, RepositoryNotFoundError):
            return f"{constants.ENDPOINT} has none of this name, or it is private: check the name, or {_LOG_IN}"
        if isinstance(said, RevisionNotFoundError):
            return f"it has no revision {quoted(revision or 'main')}: name a branch, a tag or a commit that it has"
        if isinstance(said, ConnectionError) and constants.is_offline_mode():
            return "it isn't in the cache, and HF_HUB_OFFLINE is set: unset it, or give a local folder"
        if isinstance(said, HfHubHTTPError) and said.response.status_code in (401, 403):
            return f"{constants.ENDPOINT} refuses it ({said.response.status_code}): {_LOG_IN}, of one who may read it"
    return None
