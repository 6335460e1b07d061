"""A packaged GGUF file as an ordinary folder of transformers, in float32: unpacked once, which takes up to a minute."""

import os
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from ..errors import ModelError
from ..files.cache_folder import cache_folder
from ..printing import reason

_NEEDED: Final[tuple[str, ...]] = ("gguf", "accelerate")


def unpack_gguf(path: Path, name: str, sha256: str) -> Path:
    """Return the folder of a causal language model, made in the cache folder where it isn't there yet.

    Raises `ModelError` where a package is missing that reads the file, or the folder cannot be written.
    """
    folder = cache_folder() / "models" / f"{name}-{sha256[:16]}"
    if (folder / "config.json").is_file():
        return folder
    for package in _NEEDED:
        if find_spec(package) is None:
            raise ModelError(f"model {name!r} is read by the package {package}: pip install 'grammask[offline]'")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix=".unpacking-", ignore_cleanup_errors=True) as made:
            _unpack(path, made)
            _move(Path(made), folder)
    except Exception as error:  # a full disk, or what transformers raises for a file that it cannot read
        raise ModelError(
            f"the packaged {name} cannot be unpacked to {folder}: {reason(error)}; set GRAMMASK_CACHE to a folder "
            "that can be written and has room for 600 MB"
        ) from error
    return folder


def _unpack(path: Path, target: str) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    config: Any = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
    quantised: Any = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, config=config)
    # What is loaded so can be neither saved nor cast. An ordinary model of its weights can.
    plain = type(quantised).from_pretrained(None, config=config, state_dict=quantised.state_dict())
    plain.float().save_pretrained(target)
    PreTrainedTokenizerFast.from_pretrained(path.parent, gguf_file=path.name).save_pretrained(target)


def _move(made: Path, folder: Path) -> None:
    """Give a whole folder its name; another process may have done so first."""
    try:
        os.rename(made, folder)
    except OSError:
        if not (folder / "config.json").is_file():
            raise
