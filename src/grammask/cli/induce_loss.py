"""`grammask induce --from loss`: a grammar for long texts, from what a causal model's loss says of its heads."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import ExperimentError
from .console import PlainConsole
from .options import joined

if TYPE_CHECKING:
    from ..data.read_documents import Document

WINDOWS: Final[tuple[int, int]] = (64, 256)  # near and wide, in words, while heads learn
_HELD_OUT = 4  # every fourth document
_SAID: Final[dict[str, str]] = {
    "loss_difference": "all tokens", "names_loss_difference": "names", "answers_loss_difference": "answers about facts",
}  # fmt: skip


def induce_from_loss(
    files: dict[str, Path], *, text: Path | None, model: str, tagger: str, budget: float, length: int, steps: int,
    windows: tuple[int, ...], names: bool, device: str, description: str, console: PlainConsole,
) -> None:  # fmt: skip
    """Write the grammar, its record and its curve; raises `ExperimentError` for too few documents."""
    with console.loading():
        import numpy as np
        import torch

        from ..data.read_documents import read_documents
        from ..environment import check_device
        from ..files.write import dump, write_whole
        from ..induce.far_grammar import far_grammar
        from ..induce.far_loss import costs_of, curve, differences, find_grammar, measure
        from ..induce.far_reads import READ_NAMES, Windows
        from ..induce.long_texts import read_long_texts
        from ..model.count_positions import check_length
        from ..model.named_models import count_key_heads, find_model, load_causal, load_tokenizer
        from ..report.loss_curve import loss_curve
        from ..tagging.annotate import Annotator

    check_device(device)
    _check_windows(windows, length)
    documents = read_documents(None if text is None else str(text), None)
    if len(documents) < _HELD_OUT:
        raise ExperimentError(
            f"--from loss holds out every fourth document, but got {len(documents)}; give a folder of at least "
            f"{_HELD_OUT} with --text"
        )
    name, (train, held_out) = files["toml"].stem, _split(documents)
    settings = f"--from loss --budget {budget:g} --length {length} --steps {steps} --model {model}"
    settings += "" if windows == WINDOWS else f" --windows {joined(windows)}"
    settings += ("" if names else " --no-names") + ("" if device == "cpu" else f" --device {device}")
    made = f"grammask induce {settings}, on {len(train)} documents"
    far_grammar(np.zeros((1, 1), int), Windows(*windows), name=name, source=made)  # a file of it can be written
    source = find_model(model)
    loaded, annotate = load_causal(source), Annotator(load_tokenizer(source), tagger)
    loaded.to(device, torch.float32)  # type: ignore[arg-type]
    check_length(loaded, length, source.name)
    read, measured_on = read_long_texts(annotate, train, length), read_long_texts(annotate, held_out, length)
    costs = costs_of(read, length)
    found = find_grammar(
        loaded, read, costs, windows=Windows(*windows), budget=budget, names=names, steps=steps,
        bar=console.progress,
    )  # fmt: skip
    grammar = found.grammar(name=name, description=description, source=made)
    console.say("measuring on held-out documents")
    full = measure(loaded, measured_on, None)
    lost = differences(measure(loaded, measured_on, grammar), full)
    rows = curve(loaded, measured_on, found, costs, full, console.say)
    counts = Counter(found.choice.flatten().tolist())
    record: dict[str, Any] = {
        "settings": settings, "model": source.name, "model_sha256": source.sha256, "tagger": annotate.tagger.version,
        "documents": [document.name for document in train], "held_out": [document.name for document in held_out],
        "parts": len(read), "words": costs.words, "names_share": costs.names,
        "near": found.windows.near, "wide": found.windows.wide,
        "heads": {read: counts[number] for number, read in enumerate(READ_NAMES)},
        "pairs": costs.pairs(found.choice, found.windows),
        "cache": costs.keys(found.choice, found.windows, count_key_heads(loaded.config)),
        "full": full, **lost, "curve": rows,
    }  # fmt: skip
    write_whole(files["json"], dump(record))
    write_whole(files["svg"], loss_curve(rows, name=name).svg())
    write_whole(files["toml"], grammar.to_toml())
    losses = (f"{what} {lost[key]:+.3f}" for key, what in _SAID.items() if lost[key] is not None)
    console.say(
        f"windows of {found.windows.near} and {found.windows.wide} words; {record['pairs']:.1%} of the causal pairs, "
        f"{record['cache']:.1%} of the keys kept; nats to full: {', '.join(losses)}"
    )
    for file in files.values():
        console.say(str(file))


def _check_windows(windows: tuple[int, ...], length: int) -> None:
    if len(windows) != 2 or not 1 <= windows[0] <= windows[1] <= length:
        raise ExperimentError(
            f"--windows {joined(windows)} must be a near and a wide window in words, such as {joined(WINDOWS)}, and no "
            f"longer than --length {length}"
        )


def _split(documents: list["Document"]) -> tuple[list["Document"], list["Document"]]:
    """Return the documents that heads learn from, and those that are held out."""
    last = _HELD_OUT - 1
    held_out = documents[last::_HELD_OUT]
    return [document for number, document in enumerate(documents) if number % _HELD_OUT != last], held_out
