"""`grammask induce --from loss`: a grammar for long texts, from what a causal model's loss says of its heads."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import ExperimentError
from .console import PlainConsole

_HELD_OUT = 4  # every fourth document


def induce_from_loss(
    files: dict[str, Path], *, text: Path | None, model: str, tagger: str, budget: float, length: int, at: int,
    full_heads: int, named_heads: int, description: str, console: PlainConsole,
) -> None:  # fmt: skip
    """Write the grammar, its record and its curve; raises `ExperimentError` for too few documents."""
    with console.loading():
        from ..data.read_documents import read_documents
        from ..files.write import dump, write_whole
        from ..induce.far_loss import FarRecipe, annotate_texts, build, costs_of, curve, differences, measure, worth_of
        from ..model.named_models import count_key_heads, find_model, load_causal, load_tokenizer
        from ..report.loss_curve import loss_curve
        from ..tagging.annotate import Annotator

    documents = read_documents(None if text is None else str(text), None)
    if len(documents) < _HELD_OUT:
        raise ExperimentError(
            f"--from loss holds out every fourth document, but got {len(documents)}; give a folder of at least "
            f"{_HELD_OUT} with --text"
        )
    source = find_model(model)
    loaded, annotate = load_causal(source), Annotator(load_tokenizer(source), tagger)
    held_out = [document for number, document in enumerate(documents) if number % _HELD_OUT == _HELD_OUT - 1]
    train = [document for document in documents if document not in held_out]
    read = annotate_texts(annotate, [document.text for document in train], length)
    measured_on = annotate_texts(annotate, [document.text for document in held_out], at)
    costs = costs_of(read, at)
    recipe = FarRecipe(full_heads, named_heads, budget, costs.words, length // 4)
    steps = iter(console.progress(range(2 * len(read)), "differentiating the loss"))

    def step(_: int) -> None:
        next(steps, None)

    worth = worth_of(loaded, read, recipe, step)
    settings = (
        f"--from loss --budget {budget:g} --full-heads {full_heads} --named-heads {named_heads} --length {length} "
        f"--at {at} --model {model}"
    )
    name = files["toml"].stem
    found = build(
        worth, recipe, costs, name=name, description=description,
        source=f"grammask induce {settings}, on {len(train)} documents",
    )  # fmt: skip
    console.say("measuring on held-out documents")
    full = measure(loaded, measured_on, None, recipe.skip)
    lost = differences(measure(loaded, measured_on, found.grammar, recipe.skip), full)
    rows = curve(loaded, measured_on, worth, recipe, costs, full, console.say)
    key_heads = count_key_heads(loaded.config)
    record: dict[str, Any] = {
        "settings": settings, "model": source.name, "model_sha256": source.sha256, "tagger": annotate.tagger.version,
        "documents": [document.name for document in train], "held_out": [document.name for document in held_out],
        **asdict(recipe), "window": found.window, "names_share": costs.names,
        "pairs": costs.pairs(found.choice, found.window), "cache": costs.keys(found.choice, found.window, key_heads),
        "full": full, **lost, "curve": rows, "worth": {"names": worth.names.tolist(), "full": worth.full.tolist()},
    }  # fmt: skip
    write_whole(files["json"], dump(record))
    write_whole(files["svg"], loss_curve(rows, name=name).svg())
    write_whole(files["toml"], found.grammar.to_toml())
    console.say(
        f"window of {found.window} words; {record['pairs']:.1%} of the causal pairs, {record['cache']:.1%} of the keys "
        f"kept; loss {lost['loss_difference']:+.3f} nats to full, names {lost['names_loss_difference']:+.3f}"
    )
    for file in files.values():
        console.say(str(file))
