"""A tagger's files: its settings as JSON, its weights as safetensors, its tokenizer; no pickle, no code, no path."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ...errors import TaggingError
from ...files.read import parse_json_object, read_bytes
from ...files.write import write_whole
from ...printing import quoted, reason
from ..annotator_settings import TRAINED
from .network import OUTPUTS, TagLayers, TagNetwork
from .pieces import CUES

_WEIGHTS: Final[str] = "grammask_tagger.safetensors"
_TOKENIZER: Final[str] = "grammask_tagger_tokenizer.json"
TAGGER_FILES: Final[tuple[str, ...]] = (TRAINED, _WEIGHTS, _TOKENIZER)
_LARGEST: Final[int] = 1 << 28  # bytes of a file
_AGAIN: Final[str] = "train the tagger again, or fetch its files again"

Find = Callable[[str], Path | None]


class SubwordSettings(BaseModel):
    """What a tagger is besides weights and tokenizer.

    `steps` are those of `TagLayers`, `structure` the tags of tokens that are no text, by their ids; `taught` says how
    the tagger was made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    name: Annotated[str, Field(min_length=1, max_length=100)]
    steps: Annotated[tuple[Annotated[int, Field(ge=1, le=64)], ...], Field(min_length=1, max_length=16)]
    structure: dict[Annotated[int, Field(ge=0)], Literal["[CLS]", "[SEP]"]]
    taught: dict[str, Any] = {}


@dataclass(frozen=True)
class TaggerFiles:
    """The contents of a tagger's files."""

    settings: bytes
    weights: bytes
    tokenizer: bytes

    @classmethod
    def read(cls, find: Find, origin: str) -> Self:
        """Read the files that `find` finds by name; raises `TaggingError`, naming `origin`."""
        return cls(*(_content(find(name), f"{origin}: {name}") for name in TAGGER_FILES))

    def write(self, folder: Path) -> None:
        """Write the files into a folder."""
        for name, content in zip(TAGGER_FILES, (self.settings, self.weights, self.tokenizer), strict=True):
            write_whole(folder / name, content)

    @property
    def fingerprint(self) -> str:
        """A hash of what tags depend on: all but the name and how the tagger was taught."""
        steps = read_settings(self.settings, origin="").steps
        digest = blake2b(digest_size=16)
        for part in (repr(steps).encode(), self.weights, self.tokenizer):
            digest.update(len(part).to_bytes(8, "little") + part)
        return digest.hexdigest()


def _content(path: Path | None, origin: str) -> bytes:
    if path is None:
        raise TaggingError(f"{origin} is missing; {_AGAIN}")
    return read_bytes(path, error=TaggingError, most=_LARGEST, named=False)


def read_settings(content: bytes, *, origin: str) -> SubwordSettings:
    """Read settings strictly; raises `TaggingError`, naming `origin`."""
    data = parse_json_object(content, origin=origin, error=TaggingError)
    if data.get("format") != 1:
        raise TaggingError(
            f"{origin}: format is {quoted(data.get('format'))}, but this version of grammask reads format 1; update "
            "grammask, or train the tagger again"
        )
    try:
        return SubwordSettings.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise TaggingError(f"{origin}: {quoted(key)} is {quoted(first['input'])}: {first['msg']}; {_AGAIN}") from error


def pack_network(network: TagNetwork) -> bytes:
    """Return a network as safetensors: subwords in numbers of eight bits and a scale each, which costs no accuracy."""
    pieces = network.pieces.weight.detach()
    scale = pieces.abs().amax(1, keepdim=True).clamp(min=1e-8) / 127
    tensors = {"pieces": (pieces / scale).round().to(torch.int8), "scales": scale, "cues": network.cues.weight}
    layers = {f"layers.{name}": value for name, value in network.layers.state_dict().items()}
    return save({name: value.detach().cpu().contiguous() for name, value in (tensors | layers).items()})


def unpack_network(weights: bytes, steps: tuple[int, ...], *, origin: str) -> TagNetwork:
    """Return the network, in eval mode; raises `TaggingError`, naming `origin`, for weights that are none."""
    try:
        tensors = load(weights)
    except (SafetensorError, ValueError, KeyError) as error:
        raise TaggingError(f"{origin}: {_WEIGHTS} cannot be read: {reason(error)}; {_AGAIN}") from error
    try:
        network = _network(tensors, steps)
    except (KeyError, RuntimeError, ValueError, IndexError) as error:
        raise TaggingError(f"{origin}: {_WEIGHTS} holds no tagger: {reason(error)}; {_AGAIN}") from error
    if not all(bool(value.isfinite().all()) for value in network.state_dict().values()):
        raise TaggingError(f"{origin}: {_WEIGHTS} holds numbers that are not finite; {_AGAIN}")
    return network.eval().requires_grad_(False)


def _network(tensors: Mapping[str, Tensor], steps: tuple[int, ...]) -> TagNetwork:
    own = {name.removeprefix("layers."): value for name, value in tensors.items() if name.startswith("layers.")}
    pieces = tensors["pieces"].float() * tensors["scales"].float()
    inside, width = pieces.shape[1], own["answer.weight"].shape[1]
    if pieces.dim() != 2 or tensors["cues"].shape != (CUES, inside) or own["answer.weight"].shape[0] != OUTPUTS:
        raise ValueError("its shapes don't fit each other")
    with torch.device("meta"):  # what a file says is large must not be made before it is known to be there
        layers = TagLayers(inside, width, steps)
    layers.load_state_dict({name: value.float() for name, value in own.items()}, assign=True)
    return TagNetwork(pieces, tensors["cues"].float(), layers)
