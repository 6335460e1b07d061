"""The files of a model from elsewhere: config, index and sizes are read and checked; its code is never run."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from safetensors import safe_open
from transformers import AutoConfig, PreTrainedConfig

from ..errors import ModelError
from ..files.find_file import find_file
from ..files.read import parse_json_object, read_bytes
from ..printing import reason

WEIGHTS: Final[tuple[str, ...]] = (
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json",
)  # fmt: skip
_CONFIG: Final[str] = "config.json"
_TOKENIZER_FILES: Final[tuple[str, ...]] = (
    "added_tokens.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
)  # fmt: skip
ADAPTER: Final[str] = "adapter_config.json"
# A model of more parts would fill the memory before any other check can fail.
_MOST_LAYERS: Final[int] = 1_000
_MOST_COUNTED: Final[int] = 1_000_000
_LAYERS: Final = re.compile("layer|block|group|expert|network|head")
_LARGEST_CONFIG: Final[int] = 1 << 26  # bytes


def read_json(name: str, file: str, **hub: Any) -> dict[str, Any] | None:
    """Read a JSON file of a model, None where it has none; raises `ModelError` where it asks for code to be run."""
    path = find_file(name, file, **hub)
    if path is None:
        return None
    content = read_bytes(path, error=ModelError, most=_LARGEST_CONFIG, named=False)
    data = parse_json_object(content, origin=f"{name}: {file}", error=ModelError)
    if data.get("auto_map"):
        raise ModelError(
            f"model {name!r} brings code of its own ('auto_map' in {file}), and grammask runs no code of a model; take "
            "one that transformers knows, or, where it knows this one, delete 'auto_map' from a local copy"
        )
    for key in ("attn_implementation", "_attn_implementation"):
        if "/" in str(data.get(key)):
            raise ModelError(f"model {name!r} asks for code from elsewhere ({key!r} in {file}: {data[key]!r})")
    return data


def read_config(name: str, *, adapter: bool = False, **hub: Any) -> PreTrainedConfig:
    """Read the config of a model; raises `ModelError` where it is damaged, makes no sense, or brings code of its own.

    `adapter` says that the folder is known to be an adapter's, beside which the config of its guided model lies.
    """
    if not adapter and find_file(name, ADAPTER, **hub) is not None:
        # With peft, transformers would load the model that it names.
        raise ModelError(f"{name!r} holds an adapter ({ADAPTER}); load its base model, and the adapter with peft")
    if (data := read_json(name, _CONFIG, **hub)) is None:
        raise ModelError(f"no model {name!r}: it holds no {_CONFIG}")
    _check_counts(name, data)
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(name, trust_remote_code=False, **hub)
    except Exception as error:  # transformers raises many kinds for configs that it cannot use
        raise ModelError(f"{_CONFIG} of model {name!r} cannot be used: {reason(error)}") from error
    if getattr(config, "num_hidden_layers", 1) < 1:
        raise ModelError(f"{_CONFIG} of model {name!r} describes a model without layers")
    return config


def _check_counts(name: str, data: Mapping[str, Any]) -> None:
    """Raise `ModelError` for a number of parts that is negative or absurdly large."""
    for key, value in data.items():
        if isinstance(value, Mapping):
            _check_counts(name, value)
        elif key.startswith(("num_", "n_")) or key.endswith(("_layers", "_num")):
            most = _MOST_LAYERS if _LAYERS.search(key) else _MOST_COUNTED
            if isinstance(value, int | float) and not 0 <= value <= most:
                raise ModelError(f"{_CONFIG} of model {name!r}: {key} is {value}, but must be from 0 to {most:,}")


def hash_files(name: str, others: Iterable[str], **hub: Any) -> str:
    """Return one sha256 over the config, all weights, the tokenizer, and the `others` that a model has of these names.

    This identifies the model: the weights alone don't say how they are used.
    """
    weights = next((file for file in WEIGHTS if find_file(name, file, **hub) is not None), _CONFIG)
    parts = _parts(name, weights, **hub) if _is_index(Path(weights)) else []
    hashes: dict[str, str] = {}
    for file in sorted({_CONFIG, weights, *parts, *_TOKENIZER_FILES, *others}):
        if (path := find_file(name, file, **hub)) is not None:
            with open(path, "rb") as content:
                hashes[file] = hashlib.file_digest(content, "sha256").hexdigest()
    return hashlib.sha256(repr(hashes).encode()).hexdigest()


def weights_bytes(name: str, *, floats: bool, **hub: Any) -> int | None:
    """Return the size of a model's weights, None where it has none.

    Raises `ModelError` where a part is missing and, under `floats`, where weights are stored as whole numbers.
    """
    for file in WEIGHTS:
        if (path := find_file(name, file, **hub)) is None:
            continue
        paths = [_part(name, part, file, **hub) for part in _parts(name, file, **hub)] if _is_index(path) else [path]
        if floats:
            for path in paths:
                _check_floats(name, path)
        return sum(path.stat().st_size for path in paths)
    return None


def _is_index(path: Path) -> bool:
    return path.name.endswith(".index.json")


def _check_floats(name: str, path: Path) -> None:
    if path.suffix != ".safetensors":
        return
    with safe_open(path, framework="pt") as tensors:
        for key in tensors.keys():  # noqa: SIM118 - no mapping
            kind = tensors.get_slice(key).get_dtype()
            if key.endswith((".weight", ".bias")) and not kind.startswith(("F", "BF")):
                raise ModelError(f"model {name!r}: {path.name} holds {key} as {kind}, which is no kind of float")


def _parts(name: str, index: str, **hub: Any) -> list[str]:
    data = read_json(name, index, **hub) or {}
    parts = data.get("weight_map")
    files = sorted(set(map(str, parts.values()))) if isinstance(parts, dict) else []
    if not files or not isinstance(data.get("metadata"), dict):
        raise ModelError(f"model {name!r}: {index} is damaged; it must hold 'metadata', and files in 'weight_map'")
    return files


def _part(name: str, part: str, index: str, **hub: Any) -> Path:
    if Path(part).name != part:
        raise ModelError(f"model {name!r}: {index} names {part!r}, which lies outside of its folder")
    if (path := find_file(name, part, **hub)) is None:
        raise ModelError(f"model {name!r}: {part} is missing, which {index} names; copy all parts of the weights")
    return path
