"""The page of a model's faithfulness."""

from collections.abc import Mapping
from typing import Any

from .page import points, render_page


def faithfulness_page(measured: Mapping[str, Any]) -> str:
    """Return the page of `Faithfulness.to_dict()` and what was measured on, as HTML."""
    return render_page("faithfulness.html.j2", **measured, points=points)
