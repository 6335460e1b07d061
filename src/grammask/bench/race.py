"""A race: contenders are made ready, compared in what they compute, timed in turn, and written down as rows."""

from collections.abc import Sequence
from typing import Any

from .contender import Contender, Outputs, Ready, largest_difference, warm
from .other_load import Bystanders
from .timing import summarise_rounds, time_rounds


def race(
    contenders: Sequence[Contender], *, seconds: float, ideal: float | None = None, reference: str | None = None
) -> list[dict[str, Any]]:
    """Return one row for each contender, in order; the first one is full attention, beside which all others stand.

    A contender that cannot run has a row with the `reason`. Where the contender `reference` is among those that run,
    the exact ones' `difference` to it is in their rows; `other_cores` is what other processes kept busy meanwhile.
    """
    warmed = {contender.name: warm(contender) for contender in contenders}
    running = {name: found for name, found in warmed.items() if not isinstance(found, str)}
    compared = _differences(running, reference)
    ready = {name: found for name, (found, _) in running.items()}
    with Bystanders() as others:
        taken = time_rounds({name: found.call for name, found in ready.items()}, seconds=seconds)
    base = taken.get(contenders[0].name)
    rows = []
    for contender in contenders:
        row: dict[str, Any] = {"contender": contender.name, "kind": contender.kind}
        found = warmed[contender.name]
        if isinstance(found, str):
            row["reason"] = found
        elif base is None:
            row["reason"] = f"ran, but {contenders[0].name} did not, so there is nothing to compare with"
        else:
            row |= summarise_rounds(taken[contender.name], base, ideal=ideal)
            row |= {"other_cores": others.cores, **ready[contender.name].facts}
            row |= {"difference": compared[contender.name]} if contender.name in compared else {}
        rows.append(row)
    return rows


def _differences(running: dict[str, tuple[Ready, Outputs]], reference: str | None) -> dict[str, float]:
    """Compare what the exact contenders computed with what the reference did; the outputs may go afterwards."""
    if reference is None or reference not in running:
        return {}
    _, expected = running[reference]
    return {
        name: largest_difference(outputs, expected)
        for name, (ready, outputs) in running.items()
        if ready.exact and name != reference
    }
