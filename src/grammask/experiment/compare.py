"""A comparison: every strategy with every seed. Each run is recorded, so a comparison resumes where it was cut off."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..environment import choose_precision
from .config import Config
from .facts import facts_of, identity_of
from .folder import Folder, open_folder
from .one_run import run
from .plan_runs import RunSpec, plan_runs
from .prepare import Prepared, Progress, prepare
from .processes import Processes
from .results import collect_results, write_results
from .setup import Setup, load_setup


def compare(
    config: Config,
    out: Path,
    *,
    resume: bool,
    progress: Progress,
    say: Callable[[str], None],
    keep_models: bool = False,
    processes: Processes | None = None,
) -> dict[str, Any]:
    """Run what is missing of a comparison into the folder `out`, and return its results.

    With `keep_models` the trained models are saved too, in `models/<run>`. `say` gets a line for each step. Other
    `processes` train along where they `follow` this one.

    Nothing is written before task, model, tagger and grammars are loaded. Raises the errors of what it uses, and
    `ExperimentError` for a folder that holds something else.
    """
    processes = processes or Processes()
    processes.split(config.batch_size)
    specs, grammars = plan_runs(config)
    precision = choose_precision(config.precision)
    with open_folder(out, resume=resume) as folder:
        setup = load_setup(config, specs, grammars, precision)
        _begin(folder, setup)
        say(_sizes(setup))
        data = prepare(setup.task, setup.annotator, max_length=setup.config.max_length, progress=progress)
        facts = facts_of(setup, data)
        processes.share(config)
        for number, spec in enumerate(specs, start=1):
            title = f"run {number} of {len(specs)}: {_title(spec)}"
            before = _is_finished(folder, setup, spec)
            say(f"{title}: finished before" if before else title)
            if not before:
                processes.share(spec)
                _run(folder, setup, data, spec, processes, facts["environment"], keep_models=keep_models)
            # Intervals take seconds, so runs that were finished before are not summarised one by one.
            if not before or number == len(specs):
                results = collect_results(folder.path, facts)
                write_results(folder.path, results)
        processes.share(None)
    return results.to_dict()


def _begin(folder: Folder, setup: Setup) -> None:
    """Write down what the comparison is, or check it against the one that is resumed."""
    folder.begin(identity_of(setup))
    for grammar in setup.grammars.values():
        folder.keep(grammar)


def _is_finished(folder: Folder, setup: Setup, spec: RunSpec) -> bool:
    grammar = setup.grammar_of(spec)
    return folder.finished(spec.id, grammar.sha256 if grammar else None) is not None


def _run(
    folder: Folder, setup: Setup, data: Prepared, spec: RunSpec, processes: Processes, environment: dict[str, Any], *,
    keep_models: bool,
) -> None:  # fmt: skip
    """Make one run and write its record."""
    grammar = setup.grammar_of(spec)
    record, predictions = run(
        setup, data, spec, processes, keep=folder.path / "models" / spec.id if keep_models else None
    )
    record |= {"grammar_sha256": grammar.sha256 if grammar else None, "environment": environment}
    folder.finish(spec.id, record, predictions)


def _sizes(setup: Setup) -> str:
    """Say how many texts are used."""
    task, config = setup.task, setup.config
    hint = "" if config.train_size is None and config.eval_size is None else "; --all takes all"
    return (
        f"{task.name}: training on {len(task.train):,} of {setup.available_train:,} texts, evaluating on "
        f"{len(task.dev):,} of {setup.available_dev:,}{hint}"
    )


def _title(spec: RunSpec) -> str:
    parts = (("grammar", spec.grammar), ("control", spec.control), ("adaptation", spec.adaptation))
    named = ", ".join(f"{kind} {name}" for kind, name in parts if name is not None)
    weights = "" if spec.attention is None else f"{spec.attention} "
    return f"{weights}{spec.strategy} attention" + (f", {named}" if named else "") + f", seed {spec.seed}"
