"""What a calibration measured, as tables on the terminal: nanoseconds for one of each part of the work."""

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from ..attention.calibration.calibrate import Calibration
from ..attention.calibration.gpu.rates import GpuRates
from ..attention.calibration.parts import Parts
from ..attention.calibration.rates import Rates


def calibration_tables(done: Calibration[Rates] | Calibration[GpuRates]) -> Iterator[Table]:
    """Yield the price of each part of the work: of a call on the dense path, of one on the other, and of plans."""
    machine, rates = done.machine, done.rates
    where = f"{machine.processor}, {machine.instructions}, {machine.dtype}"
    if isinstance(rates, GpuRates):
        other = "FlexAttention"
    else:
        where, other = f"{where}, threads {machine.threads}", "blocks"
    yield _prices(f"{where}: dense path, ns", rates.passes, [rates.of(kind).dense for kind in rates.passes])
    yield _prices(f"{other}, ns", rates.passes, [rates.of(kind).sparse for kind in rates.passes])
    yield _prices("a mask, ns", ("once",), [rates.masks])
    yield _prices("planning, ns", ("once",), [rates.plans])


def _prices(title: str, columns: Sequence[str], prices: Sequence[Parts]) -> Table:
    table = Table(
        box=None, padding=(0, 2, 0, 0), title=Text(title), title_justify="left", title_style="bold", min_width=78
    )
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    for name in prices[0].names():
        table.add_row(name.replace("_", " "), *(_number(getattr(price, name)) for price in prices))
    return table


def _number(nanoseconds: float) -> str:
    return f"{nanoseconds:,.0f}" if nanoseconds >= 100 else f"{nanoseconds:.3g}"
