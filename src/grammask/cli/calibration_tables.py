"""What a calibration measured, as tables on the terminal: nanoseconds for one of each part of the work."""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from ..attention.calibration.calibrate import Calibration
from ..attention.calibration.parts import Parts
from ..attention.calibration.rates import PASSES


def calibration_tables(done: Calibration) -> Iterator[Table]:
    """Yield the price of each part of the work: of a call on the dense path, of one in blocks, and of plans."""
    machine, rates = done.machine, done.rates
    passes = [rates.of(kind) for kind in PASSES]
    where = f"{machine.processor}, {machine.instructions}, {machine.dtype}, threads {machine.threads}"
    yield _prices(f"{where}: dense path, ns", PASSES, [of_pass.dense for of_pass in passes])
    yield _prices("blocks, ns", PASSES, [of_pass.sparse for of_pass in passes])
    yield _prices("a mask, ns", ("once",), [rates.masks])
    yield _prices("planning, ns", ("once",), [rates.plans])


def _prices(title: str, columns: tuple[str, ...], prices: list[Parts]) -> Table:
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
