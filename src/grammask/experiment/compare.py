"""The comparison: every strategy with every seed, recorded run by run, so that it resumes where it was cut off."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import set_seed

from ..data.load_task import load_task
from ..data.task import Task, spell_labels
from ..environment import choose_precision, environment
from ..grammar.grammar import Grammar
from ..model.attach import attached
from ..model.load import PACKAGED_MODEL, find_model, load_classifier, load_tokenizer
from ..model.model_files import hash_files
from ..tagging.annotate import Annotator
from .config import Config, RunSpec, plan_runs
from .cost import measure_shape
from .folder import Folder, open_folder
from .prepare import Progress, prepare, tagger_counts
from .results import gather, write_results
from .train import Bench, run
from .trial import fit_length, try_classifier


def compare(
    config: Config,
    out: Path,
    *,
    resume: bool,
    progress: Progress,
    say: Callable[[str], None],
    keep_models: bool = False,
) -> dict[str, Any]:
    """Run what is missing of a comparison into the folder `out`, and return its results.

    With `keep_models` the trained models are saved too, in `models/<run>`.

    Nothing is written before task, model, tagger and grammars are there. `say` is told what is going on.
    Raises the errors of what it uses, and `ExperimentError` for a folder that holds something else.
    """
    specs, grammars = plan_runs(config)
    precision = choose_precision(config.precision)
    with open_folder(out, resume=resume) as folder:
        return _compare(config, folder, specs, grammars, precision, progress, say, keep_models)


def load_whole(config: Config) -> Task:
    """Load all texts of a comparison's task."""
    return load_task(
        config.task,
        text_column=config.text_column,
        pair_column=config.pair_column,
        label_column=config.label_column,
        header=config.header,
    )


def _compare(
    config: Config,
    folder: Folder,
    specs: Sequence[RunSpec],
    grammars: Mapping[str, Grammar],
    precision: str,
    progress: Progress,
    say: Callable[[str], None],
    keep_models: bool,
) -> dict[str, Any]:
    whole = load_whole(config)
    # The draw never depends on the runs' seeds: all of them see the same texts.
    task = Task(
        whole.name, whole.source, whole.label_names,
        whole.train.take(config.train_size, seed=0), whole.dev.take(config.eval_size, seed=0), whole.note,
    )  # fmt: skip
    config.check_steps(len(task.train))
    source = find_model(config.model)
    tokenizer = load_tokenizer(source)
    annotator = Annotator(tokenizer, config.tagger, sentences=config.sentences)
    set_seed(0)
    loaded = load_classifier(source, task.label_names)
    model, new_parameters = loaded.model, list(loaded.new)
    asked, config = config, fit_length(config, model)
    try_classifier(model, tokenizer, source, pairs=task.train.pairs is not None, max_length=config.max_length)
    parameters, model_type, hidden_size = model.num_parameters(), model.config.model_type, model.config.hidden_size
    for grammar in grammars.values():
        with attached(model, grammar):  # a model that cannot be guided says so now, not after the first run
            pass
    shape = measure_shape(model)
    del model, loaded
    packaged = config.model == PACKAGED_MODEL  # its weights are checked, and its package is whole
    files = (
        {} if packaged else {"model_files_sha256": hash_files(source.location, tokenizer.vocab_files_names.values())}
    )
    folder.begin(
        {
            **asked.shared, "task_sha256": task.sha256, "model_sha256": source.sha256,
            "tagger_version": f"{annotator.tagger.name} {annotator.tagger.version}", **files,
        }
    )  # fmt: skip
    for grammar in grammars.values():
        folder.keep(grammar)
    say(
        f"{task.name}: training on {len(task.train):,} of {len(whole.train):,} texts, evaluating on {len(task.dev):,} "
        f"of {len(whole.dev):,}"
        + ("" if config.train_size is None and config.eval_size is None else "; --all takes all")
    )
    data = prepare(task, annotator, max_length=config.max_length, progress=progress)
    tagged, cached = tagger_counts(annotator)
    bench = Bench(config, task, data, source, tokenizer, shape, precision)
    results: dict[str, Any] = {
        "format": 1,
        "config": config.model_dump(mode="json"),
        "task": {
            "name": task.name, "source": task.source, "note": task.note, "labels": list(task.label_names),
            "train_rows": len(task.train), "train_available": len(whole.train),
            "dev_rows": len(task.dev), "dev_available": len(whole.dev), "sha256": task.sha256,
        },
        "answers": spell_labels(task.dev.labels),
        "model": {
            "name": source.name, "model_type": model_type, "layers": shape.layers, "heads": shape.heads,
            "hidden_size": hidden_size, "parameters": parameters, "sha256": source.sha256,
            "new_parameters": new_parameters,
        },
        "tagger": {
            "name": annotator.tagger.name, "version": annotator.tagger.version,
            "word_coverage": annotator.coverage.word_share, "subword_coverage": annotator.coverage.subword_share,
            "unknown_share": annotator.coverage.unknown_share,
            "texts_tagged": tagged, "texts_from_cache": cached, "seconds": data.tagging_seconds,
        },
        "environment": environment(precision),
        "planned_runs": len(specs),
        "planned": [spec.id for spec in specs],
    }  # fmt: skip
    for number, spec in enumerate(specs, start=1):
        guiding = None if spec.grammar is None else grammars[spec.grammar]
        sha256 = None if guiding is None else guiding.sha256
        record = folder.finished(spec.id, sha256)
        ran = record is None
        if record is None:
            say(f"run {number} of {len(specs)}: {_title(spec)}")
            record, predictions = run(
                bench, spec, guiding, keep=folder.path / "models" / spec.id if keep_models else None
            )
            record |= {"grammar_sha256": sha256, "environment": results["environment"]}
            folder.finish(spec.id, record, predictions)
        else:
            say(f"run {number} of {len(specs)}: {_title(spec)}: finished before")
        # Intervals take seconds: runs that were finished before are summed up with the next new one.
        if number == len(specs) or ran:
            write_results(folder.path, gather(folder.path, results))
    return results


def _title(spec: RunSpec) -> str:
    parts = (("grammar", spec.grammar), ("control", spec.control), ("adaptation", spec.adaptation))
    named = ", ".join(f"{kind} {name}" for kind, name in parts if name is not None)
    return f"{spec.strategy} attention" + (f", {named}" if named else "") + f", seed {spec.seed}"
