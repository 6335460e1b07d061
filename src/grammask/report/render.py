"""The report of a comparison: results in, one HTML file out that fetches nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..files import write_whole
from .plots import accuracy_plot, cost_plot, row_name


def write_report(results: Mapping[str, Any], path: Path) -> None:
    """Write the report as a whole or not at all; raises `ExperimentError` when it cannot be written."""
    write_whole(path, render_report(results))


def render_report(results: Mapping[str, Any]) -> str:
    """Return the report of `results` (the content of results.json) as HTML."""
    rows = results["summary"]
    return render_page(
        "template.html.j2",
        **results,
        findings=[finding(row) for row in rows if row["difference"] is not None],
        accuracy_plot=Markup(accuracy_plot(rows)),  # noqa: S704 - our own SVG, its texts escaped by matplotlib
        cost_plot=Markup(cost_plot(rows)),  # noqa: S704
        row_name=row_name,
        percent=_percent,
        interval=_interval,
        points=_points,
    )


def render_page(template: str, **values: Any) -> str:
    """Fill a template of this package; all values are escaped but `Markup`, and a missing one is an error."""
    environment = Environment(
        loader=PackageLoader("grammask", "report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template(template).render(**values)


def render_text(template: str, **values: Any) -> str:
    """Fill a template of plain text, where nothing is escaped; a missing value is an error."""
    environment = Environment(
        loader=PackageLoader("grammask", "report"), autoescape=False, undefined=StrictUndefined, trim_blocks=True,  # noqa: S701
        keep_trailing_newline=True,
    )  # fmt: skip
    return environment.get_template(template).render(**values)


def finding(row: Mapping[str, Any]) -> str:
    """Say in a sentence how a row compares with full attention, and no more than its interval allows."""
    low, high = row["difference_interval"]
    extent = f"{_points(row['difference'])} points, 95 % interval {_points(low)} to {_points(high)}"
    if low <= 0 <= high:
        return f"{row_name(row)}: no difference to full attention could be shown ({extent})."
    return f"{row_name(row)} is {'below' if high < 0 else 'above'} full attention ({extent})."


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _interval(bounds: Sequence[float]) -> str:
    low, high = bounds
    return f"{100 * low:.1f} to {100 * high:.1f}"
