"""`grammask induce --from loss`: a grammar for long texts, from what a causal model's loss says of its heads."""

from collections import Counter
from pathlib import Path
from typing import Any, Final

from ..errors import ExperimentError
from .console import PlainConsole
from .options import joined

WINDOWS: Final[tuple[int, int]] = (64, 256)  # near and wide, in words, while heads learn
_HELD_OUT = 4  # every fourth document


def induce_from_loss(
    files: dict[str, Path], *, text: Path | None, model: str, tagger: str, budget: float, length: int, steps: int,
    windows: tuple[int, ...], names: bool, device: str, description: str, console: PlainConsole,
) -> None:  # fmt: skip
    """Write the grammar, its record and its curve; raises `ExperimentError` for too few documents."""
    with console.loading():
        import torch

        from ..data.read_documents import read_documents
        from ..environment import check_device
        from ..files.write import dump, write_whole
        from ..induce.far_loss import costs_of, curve, differences, find_grammar, measure
        from ..induce.far_reads import READ_NAMES, Windows
        from ..induce.long_texts import read_long_texts
        from ..model.count_positions import check_length
        from ..model.named_models import count_key_heads, find_model, load_causal, load_tokenizer
        from ..report.loss_curve import loss_curve
        from ..tagging.annotate import Annotator

    check_device(device)
    if len(windows) != 2 or not 1 <= windows[0] <= windows[1] <= length:
        raise ExperimentError(
            f"--windows {joined(windows)} must be a near and a wide window in words, such as {joined(WINDOWS)}, and no "
            f"longer than --length {length}"
        )
    documents = read_documents(None if text is None else str(text), None)
    if len(documents) < _HELD_OUT:
        raise ExperimentError(
            f"--from loss holds out every fourth document, but got {len(documents)}; give a folder of at least "
            f"{_HELD_OUT} with --text"
        )
    source = find_model(model)
    loaded, annotate = load_causal(source), Annotator(load_tokenizer(source), tagger)
    loaded.to(device, torch.float32)  # type: ignore[arg-type]
    check_length(loaded, length, source.name)
    held_out = [document for number, document in enumerate(documents) if number % _HELD_OUT == _HELD_OUT - 1]
    train = [document for document in documents if document not in held_out]
    read, measured_on = read_long_texts(annotate, train, length), read_long_texts(annotate, held_out, length)
    costs = costs_of(read, length)
    found = find_grammar(
        loaded, read, costs, windows=Windows(*windows), budget=budget, names=names, steps=steps,
        bar=console.progress,
    )  # fmt: skip
    settings = f"--from loss --budget {budget:g} --length {length} --steps {steps} --model {model}"
    settings += "" if windows == WINDOWS else f" --windows {joined(windows)}"
    settings += ("" if names else " --no-names") + ("" if device == "cpu" else f" --device {device}")
    name = files["toml"].stem
    grammar = found.grammar(
        name=name, description=description, source=f"grammask induce {settings}, on {len(train)} documents"
    )
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
    console.say(
        f"windows of {found.windows.near} and {found.windows.wide} words; {record['pairs']:.1%} of the causal pairs, "
        f"{record['cache']:.1%} of the keys kept; loss {lost['loss_difference']:+.3f} nats to full, names "
        f"{lost['names_loss_difference']:+.3f}, answers about facts {lost['answers_loss_difference']:+.3f}"
    )
    for file in files.values():
        console.say(str(file))
