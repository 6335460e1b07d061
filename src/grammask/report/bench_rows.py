"""Reading a benchmark's rows: series of lengths, names, sentences and figures for a page or a terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

Row = Mapping[str, Any]
# Relative to the largest value; beyond it, a contender computes something else.
_TOLERANCES: Final[Mapping[str, float]] = {"float32": 1e-3, "bfloat16": 5e-2, "bfloat16-weights": 5e-2}
_BUSY: Final[float] = 0.1  # cores


def by_series(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return the rows of each series, all that a case shares with those of other lengths, in order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["series"], []).append(row)
    return found


def contender_name(row: Row) -> str:
    """Return the name of a contender; ours has the name of its backend."""
    return own_name(row["contender"]) if row["kind"] == "ours" else str(row["contender"])


def own_name(backend: str) -> str:
    """Return what one of our own backends is called."""
    return f"grammask {backend}"


def has_run(row: Row) -> bool:
    """Tell whether a contender ran; else its row has a reason."""
    return "reason" not in row


def findings(rows: Iterable[Row]) -> list[str]:
    """Say for each series how our own choice of backend compares with full attention on the longest texts."""
    sentences = []
    for series, members in by_series(rows).items():
        ours = [row for row in members if row["kind"] == "ours" and row["contender"] == "auto" and has_run(row)]
        if ours:
            row = max(ours, key=lambda row: int(row["length"]))
            low, high = row["speedup_quartiles"]
            ideal = "" if row["ideal"] is None else f"; ideal {times(row['ideal'])}"
            sentences.append(
                f"{series}, {row['length']:,} tokens: {times(row['speedup'])} as fast as full attention "
                f"(quartiles over rounds {times(low)} to {times(high)}{ideal})."
            )
    return sentences


def slowest(rows: Iterable[Row]) -> str | None:
    """Say where our own choice of backend does worst beside full attention; None where it never ran."""
    ours = [row for row in rows if row["kind"] == "ours" and row["contender"] == "auto" and has_run(row)]
    if not ours:
        return None
    row = min(ours, key=lambda one: float(one["speedup"]))
    return (
        f"Of {len(ours)} {'case' if len(ours) == 1 else 'cases'}, grammask auto does worst in {row['series']}, "
        f"{row['length']:,} tokens: {times(1 / row['speedup'])} the time of full attention."
    )


def not_run(rows: Iterable[Row]) -> list[tuple[str, str, str, str]]:
    """Return (series, contender, lengths, reason) of all that could not run, with equal reasons as one."""
    found: dict[tuple[str, str, str], set[int]] = {}
    for row in rows:
        if not has_run(row):
            found.setdefault((row["series"], contender_name(row), row["reason"]), set()).add(row["length"])
    return [
        (series, name, ", ".join(f"{length:,}" for length in sorted(lengths)), reason)
        for (series, name, reason), lengths in found.items()
    ]


def warnings(results: Mapping[str, Any]) -> list[str]:
    """Say what a reader must know first: wrong results, other load on the machine, emulation, repeated text."""
    rows, machine, text = results["rows"], results["environment"], results["text"]
    said = [
        f"WRONG: {row['series']}, {row['length']:,} tokens: {contender_name(row)} differs from the dense mask by "
        f"{row['difference']:.1e} of the largest value; its times mean nothing."
        for row in rows
        if not row.get("difference", 0.0) <= _TOLERANCES[row["dtype"]]
    ]
    busy = max((float(row.get("other_cores", 0.0)) for row in rows), default=0.0)
    if busy > _BUSY:
        said.append(
            f"Other processes kept up to {busy:.1f} of {machine['cores']} cores busy during the rounds: times are too "
            "long, most of all with several threads. Measure again on an idle machine."
        )
    if set(results["config"]["dtypes"]) - {"float32"} and machine["bfloat16"] == "emulated":
        said.append(
            "This processor does not compute in bfloat16, it emulates it: those times say nothing of one that does."
        )
    if text["repeats"] > 1:
        said.append(
            f"The text of {text['tokens']:,} tokens was too short and repeated up to {text['repeats']} times, "
            "so its tags repeat too."
        )
    return said


def times(value: float) -> str:
    """Return a ratio with three figures, two places at most: 0.95x, 12.3x."""
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}x"


def milliseconds(seconds: float | None) -> str:
    """Return seconds as milliseconds with three figures, nothing as a dash."""
    if seconds is None:
        return "-"
    value = 1000 * seconds
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def mebibytes(value: float) -> str:
    """Return bytes as MiB."""
    return f"{value / 2**20:,.1f}"


def lengths_of(rows: Sequence[Row]) -> list[int]:
    """Return the lengths that rows have, each once, from short to long."""
    return sorted({row["length"] for row in rows})
