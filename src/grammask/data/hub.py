"""Datasets of the Hub, through `datasets.load_dataset`. Without a network, the error comes at once and is one line."""

from typing import Any, Final

import pandas as pd

from ..errors import TaskError
from ..files.hub_errors import known_trouble
from ..printing import reason

_DEV: Final[tuple[str, ...]] = ("validation", "dev", "valid", "test")  # many datasets have no dev split
_TIMEOUT = 20  # seconds


def load_hub_tables(
    name: str, *, otherwise: str, revision: str | None = None
) -> tuple[tuple[pd.DataFrame, pd.DataFrame], tuple[str, str], dict[str, list[str]]]:
    """Return the train and the dev table, what their splits are called, and the class names of each labelled column.

    Raises `TaskError` where the Hub cannot be reached, doesn't have the data or has no such splits; `otherwise` says
    in the message what else the task could have been.
    """
    try:
        splits = _load(name, revision)
    except Exception as error:  # the client, its network library and loading scripts raise many unrelated kinds
        raise TaskError(
            f"no task {otherwise}, and {_trouble(error, revision)}; give a local folder with train and dev, "
            "or the built-in task 'film-reviews'; what was loaded before is read with HF_HUB_OFFLINE=1"
        ) from error
    dev = next((split for split in _DEV if split in splits), None)
    if "train" not in splits or dev is None:
        raise TaskError(f"task {name!r} has the splits {', '.join(splits)}, but train and validation are needed")
    class_names = {
        column: list(feature.names) for column, feature in splits["train"].features.items() if hasattr(feature, "names")
    }
    return (splits["train"].to_pandas(), splits[dev].to_pandas()), ("train", dev), class_names


def _trouble(error: Exception, revision: str | None) -> str:
    if (known := known_trouble(error, revision=revision)) is not None:
        return f"on the Hub: {known}"
    if isinstance(error, ValueError | FileNotFoundError):
        return f"the Hub did not give it ({reason(error)})"
    return f"the Hub could not be reached ({reason(error)})"


def _load(name: str, revision: str | None) -> Any:
    from datasets import load_dataset  # takes seconds to import: only where it is used
    from huggingface_hub import HfApi, constants

    if not constants.HF_HUB_OFFLINE:  # what is cached can be loaded offline
        HfApi().dataset_info(
            name, revision=revision, timeout=_TIMEOUT
        )  # fails at once where load_dataset would retry for half a minute
    return load_dataset(name, revision=revision)
