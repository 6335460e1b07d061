"""A race: prepare contenders, compare what they compute, time them in turn, and return a row for each."""

from collections.abc import Sequence
from typing import Any

from .contender import Contender, Outputs, Ready, largest_difference, warm
from .timing import OtherLoad, call_bytes, finisher, summarise_rounds, time_rounds


def race(
    contenders: Sequence[Contender],
    *,
    seconds: float,
    ideal: float | None = None,
    reference: str | None = None,
    device: str = "cpu",
    memory: bool = False,
) -> list[dict[str, Any]]:
    """Return one row for each contender, in order; the first is full attention, with which all others are compared.

    The row of a contender that cannot run has the `reason`. Where the contender `reference` runs, rows of exact
    contenders have their `difference` from it. `other_cores` is how many cores other processes kept busy.
    Each call is timed until all work on the `device` is done. On a GPU `memory` adds its `call_bytes`: what it takes
    at most above what is there before, such as weights.
    """
    warmed = {contender.label: warm(contender) for contender in contenders}
    running = {name: found for name, found in warmed.items() if not isinstance(found, str)}
    compared = _differences(running, next((one.label for one in contenders if one.name == reference), None))
    ready = {name: found for name, (found, _) in running.items()}
    taking = {name: call_bytes(found.call) for name, found in ready.items()} if memory and device == "cuda" else {}
    with OtherLoad() as others:
        calls = {name: found.call for name, found in ready.items()}
        taken = time_rounds(calls, seconds=seconds, finish=finisher(device))
    base = taken.get(contenders[0].label)
    rows = []
    for contender in contenders:
        row: dict[str, Any] = {"contender": contender.name, "kind": contender.kind}
        found = warmed[contender.label]
        if isinstance(found, str):
            row["reason"] = found
        elif base is None:
            row["reason"] = f"ran, but {contenders[0].name} did not, so there is nothing to compare with"
        else:
            row |= summarise_rounds(taken[contender.label], base, ideal=ideal)
            row |= {"other_cores": others.cores, **ready[contender.label].facts}
            row |= {"call_bytes": taking[contender.label]} if taking else {}
            row |= {"difference": compared[contender.label]} if contender.label in compared else {}
        rows.append(row)
    return rows


def _differences(running: dict[str, tuple[Ready, Outputs]], reference: str | None) -> dict[str, float]:
    """Return how far the outputs of exact contenders are from the reference's; outputs are free afterwards."""
    if reference is None or reference not in running:
        return {}
    _, expected = running[reference]
    return {
        name: largest_difference(outputs, expected)
        for name, (ready, outputs) in running.items()
        if ready.exact and name != reference
    }
