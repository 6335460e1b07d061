"""All controls by name. To add one, write its function under `@control` into the module of its kind."""

import re
from dataclasses import replace
from difflib import get_close_matches
from typing import Final

from ...errors import ExperimentError
from . import other_grammars, other_tags, random_pairs  # noqa: F401 - each registers its controls
from .control import CONTROLS, Control

__all__ = ["CONTROLS", "find_control"]

_SHARE: Final = re.compile(r"(.+)-(\d{1,3})")


def find_control(name: str) -> Control:
    """Return the control of this name; raises `ExperimentError` for an unknown one."""
    if name in CONTROLS and not name.endswith("-N"):
        return CONTROLS[name]
    match = _SHARE.fullmatch(name)
    if match and f"{match[1]}-N" in CONTROLS and 0 < int(match[2]) <= 100:
        return _with_share(CONTROLS[f"{match[1]}-N"], name, int(match[2]))
    near = get_close_matches(name, [known.replace("-N", "-20") for known in CONTROLS], n=1)
    hint = f"did you mean {near[0]!r}? Controls are" if near else "controls are"
    raise ExperimentError(f"unknown control {name!r}; {hint} {', '.join(CONTROLS)} (N from 1 to 100)")


def _with_share(control: Control, name: str, percent: int) -> Control:
    description = control.description.replace("N %", f"{percent} %")
    return replace(control, name=name, description=description, share=percent / 100)
