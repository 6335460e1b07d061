"""What made a result: versions, machine, commit."""

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Literal, get_args

from .errors import ExperimentError
from .printing import quoted

Device = Literal["cpu", "cuda"]
LARGEST_SEED: Final[int] = 2**32 - 1  # of NumPy, which every library seeds
_PACKAGES = ("grammask", "torch", "transformers", "spacy", "datasets")


def environment(precision: str, device: str | None = None) -> dict[str, Any]:
    """Return what the numbers of this process depend on besides the configuration.

    `device` is what was computed on; None for a GPU where there is one, as the Trainer takes it.
    """
    import torch  # not needed by the settings, which take their bounds from here

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    commit, dirty = _commit()
    return {
        **{name: _version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),  # as launchers of training have it
        "device": device,
        **({"gpu": torch.cuda.get_device_name()} if device == "cuda" else {}),
        "precision": precision,
        "commit": commit,
        "dirty": dirty,
    }


def check_device(device: str) -> None:
    """Raise `ExperimentError` for what is no device, and for a GPU that PyTorch doesn't find."""
    import torch

    if device not in get_args(Device):
        raise ExperimentError(f"setting 'device' is {quoted(device)}, but must be one of {', '.join(get_args(Device))}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ExperimentError("setting 'device' is 'cuda', but PyTorch finds no GPU here; leave it out")


def choose_precision(asked: str) -> str:
    """Return "bfloat16" or "float32"; "auto" takes bfloat16 where the hardware computes in it.

    Raises `ExperimentError` where bfloat16 is asked for and would only be emulated.
    """
    import torch

    native = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else torch.cpu._is_avx512_bf16_supported()
    if asked == "bfloat16" and not native:
        raise ExperimentError("this machine doesn't compute in bfloat16; use --precision float32 or auto")
    if asked == "auto":
        return "bfloat16" if native else "float32"
    return asked


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """Return the name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> tuple[str | None, bool | None]:
    """Return the commit of the checkout that this file belongs to, and whether it has changes; None outside of one."""
    git = shutil.which("git")
    if git is None:
        return None, None

    def ask(*arguments: str) -> str | None:
        command = [git, "-C", str(Path(__file__).parent), *arguments]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
        return answer.stdout.strip() if answer.returncode == 0 else None

    if ask("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None, None
    return ask("rev-parse", "HEAD"), bool(ask("status", "--porcelain"))
