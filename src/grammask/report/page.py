"""Filling the templates of pages: all values escaped, nothing fetched, scripts allowed by their hash."""

import base64
import hashlib
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..printing import writable
from .markdown import plain

_TEMPLATES: Final = PackageLoader("grammask", "report/templates")


def render_page(template: str, **values: Any) -> str:
    """Fill a template of this package; all values are escaped but `Markup`, and a missing one is an error."""
    environment = Environment(
        loader=_TEMPLATES, autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        finalize=lambda value: writable(value) if type(value) is str else value,
    )  # fmt: skip
    return environment.get_template(template).render(**{"script": None, **values})


def read_script(name: str) -> dict[str, Any]:
    """Return a script of this package with the hash by which a page allows it, and no other, to run."""
    text = files("grammask.report").joinpath("templates", name).read_text(encoding="utf-8")
    sha256 = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return {"text": Markup(text), "sha256": Markup(sha256)}  # noqa: S704 - our own file


def render_markdown(template: str, **values: Any) -> str:
    """Fill a template of Markdown; all text is escaped but `Markdown`, and a missing value is an error."""
    environment = Environment(
        loader=_TEMPLATES, autoescape=False, undefined=StrictUndefined, trim_blocks=True,  # noqa: S701
        keep_trailing_newline=True, finalize=plain,
    )  # fmt: skip
    return environment.get_template(template).render(**values)


def percent(value: float) -> str:
    """Return a share in percent."""
    return f"{100 * value:.1f}"


def points(value: float) -> str:
    """Return a difference of shares in points, with its sign."""
    return f"{100 * value:+.1f}"
