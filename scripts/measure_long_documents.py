"""Measure what long documents gain from more positions: cut at 512 tokens, or read whole, in full or by a grammar.

    python scripts/measure_long_documents.py ARTICLES.tsv --work FOLDER --out results/long-documents.json
    python scripts/measure_long_documents.py ARTICLES.tsv --work FOLDER --out results/long-documents.json --speed

ARTICLES.tsv has lines of a label, 0 or 1, and a document. Each document is tested once a seed, by models that were
trained on the other folds. Of several --learning-rates each arm takes the one that is best on a fifth of a fold's
training documents, trained on the rest; no tested document has a say. FOLDER gets the folds and a record of each
training: what is finished there is not run again. The record is of the seeds and folds that all arms finished. With
--speed nothing is trained: the record gets the times of answering and of training steps, measured in turns; run it
alone on a machine.

The model's attention has no dropout, in all arms: PyTorch's fused attention on a CPU has none.
"""

import argparse
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, median
from typing import Any, Final

import numpy as np
import torch
from long_documents import CUT, Documents, density, facts_of, read_documents, say, split_estimate
from torch import Tensor
from transformers import AutoModel, PreTrainedModel

import grammask
from grammask.environment import choose_precision, environment
from grammask.errors import ExperimentError
from grammask.experiment.config import Config, make_config
from grammask.experiment.label_line import read_label_line, write_label_line
from grammask.experiment.plan_runs import plan_runs
from grammask.experiment.prepare import prepare as prepare_task
from grammask.experiment.processes import Processes
from grammask.experiment.records import read_json
from grammask.experiment.setup import load_setup
from grammask.experiment.train import train_and_evaluate
from grammask.files.write import dump, write_whole
from grammask.model.named_models import find_model, load_classifier, load_tokenizer
from grammask.printing import reason
from grammask.resampling import Floats

NOTE: Final[str] = "attention_probs_dropout_prob is 0 in all arms"
ROUNDS: Final[int] = 3


@dataclass(frozen=True)
class Arm:
    """Documents cut at 512 tokens or whole, read in full or by a grammar; `control` breaks the grammar."""

    name: str
    is_whole: bool
    grammar: str | None = None
    control: str | None = None

    @property
    def choices(self) -> dict[str, Any]:
        """The settings that choose the runs of a comparison; the last one is the arm's."""
        if self.grammar is None:
            return {"strategies": ("full",), "grammars": ()}
        if self.control is None:
            return {"strategies": ("hard",), "grammars": (f"{self.grammar}:hard",)}
        return {"strategies": ("hard",), "grammars": (f"{self.grammar}:controls",), "controls": (self.control,)}


ARMS: Final[tuple[Arm, ...]] = (
    Arm("cut", is_whole=False),
    Arm("whole-grammar", is_whole=True, grammar="english-long"),
    Arm("whole-full", is_whole=True),
    Arm("whole-window", is_whole=True, grammar="english-long", control="window-sinks"),
    Arm("cut-grammar", is_whole=False, grammar="english-long"),
)
AGAINST: Final[tuple[tuple[str, str], ...]] = (
    ("whole-full", "cut"), ("whole-grammar", "cut"), ("whole-grammar", "whole-full"), ("whole-grammar", "whole-window"),
    ("cut-grammar", "cut"),
)  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """One training: of an arm, on a fold, with a seed and a learning rate; `is_choosing` on its training documents."""

    arm: Arm
    fold: int
    seed: int
    rate: float
    is_choosing: bool = False

    @property
    def task(self) -> str:
        """The name of the folder with its texts."""
        return f"fold-{self.fold}{'-choosing' * self.is_choosing}"

    @property
    def name(self) -> str:
        """The name of its record."""
        return f"{self.arm.name}-{self.task}-seed{self.seed}-{self.rate:g}"


class Measurement:
    """What is to be trained, and what is known of it."""

    def __init__(self, documents: Documents, model: str, arms: list[Arm], options: argparse.Namespace) -> None:
        self.documents, self.model, self.arms, self.options = documents, model, arms, options
        self.folds = documents.folds(options.folds)

    def write_tasks(self) -> None:
        """Write the texts of all folds, as tasks of comparisons."""
        for fold, (trained, tested) in enumerate(self.folds):
            for name, splits in (
                (f"fold-{fold}", (trained, tested)), (f"fold-{fold}-choosing", self.documents.choosing(trained))
            ):  # fmt: skip
                for split, chosen in zip(("train", "dev"), splits, strict=True):
                    lines = [f"{self.documents.labels[number]}\t{self.documents.texts[number]}" for number in chosen]
                    write_whole(self.options.work / name / f"{split}.tsv", "\n".join(["label\ttext", *lines, ""]))

    def config(self, unit: Unit) -> Config:
        """Return the settings of a unit: positions are added where its texts need more than 512."""
        options = self.options
        return make_config(
            task=str(options.work / unit.task), model=self.model,
            max_length=options.whole if unit.arm.is_whole else CUT,
            positions=options.whole if unit.arm.is_whole else None, epochs=options.epochs,
            batch_size=options.batch_size, learning_rate=unit.rate, warmup=options.warmup,
            precision=options.precision, group_by_length=True, seeds=(unit.seed,), **unit.arm.choices,
        )  # fmt: skip

    def record(self, unit: Unit) -> dict[str, Any] | None:
        """Return the record of a unit, None for an unfinished one; raises `ExperimentError` for other settings."""
        path = self.path(unit)
        if not path.is_file():
            return None
        record, now = read_json(path), self.config(unit).model_dump(mode="json")
        changed = [f"{name} was {record['config'].get(name)}, is {now[name]}" for name in now
                   if record["config"].get(name) != now[name]]  # fmt: skip
        if changed:
            raise ExperimentError(f"{path} is of another experiment ({'; '.join(changed)}); name another --work")
        return record

    def path(self, unit: Unit) -> Path:
        """Return where the record of a unit is."""
        path: Path = self.options.work / "runs" / f"{unit.name}.json"
        return path

    def choosing(self) -> list[Unit]:
        """Return the units that choose learning rates: none where there is one rate."""
        rates = self.options.learning_rates
        return [
            Unit(arm, fold, self.options.seeds[0], rate, is_choosing=True)
            for fold in range(len(self.folds)) for arm in self.arms for rate in rates if len(rates) > 1
        ]  # fmt: skip

    def rate(self, arm: Arm, fold: int) -> float:
        """Return the learning rate of an arm on a fold: the first of the best; raises `ExperimentError` for none."""
        rates: list[float] = self.options.learning_rates
        if len(rates) == 1:
            return rates[0]
        units = [Unit(arm, fold, self.options.seeds[0], rate, is_choosing=True) for rate in rates]
        found = [(record["accuracy"], unit.rate) for unit in units if (record := self.record(unit)) is not None]
        if len(found) < len(rates):
            raise ExperimentError(f"{arm.name}, fold {fold}: not all learning rates were tried; call this again")
        return max(found, key=lambda pair: pair[0])[1]

    def units(self) -> list[Unit]:
        """Return the units that the record is of, one seed after the other."""
        rates = {(arm, fold): self.rate(arm, fold) for fold in range(len(self.folds)) for arm in self.arms}
        return [
            Unit(arm, fold, seed, rates[arm, fold])
            for seed in self.options.seeds for fold in range(len(self.folds)) for arm in self.arms
        ]  # fmt: skip

    def run(self, units: Iterable[Unit]) -> Iterator[Unit]:
        """Run what is missing, in several processes, and yield each unit as it finishes, or was finished before.

        What is not begun after --seconds is left for the next call, and what fails is told.
        """
        missing = []
        for unit in units:
            if self.record(unit) is None:
                missing.append(unit)
            else:
                yield unit
        given = [(self.config(unit), self.path(unit), self.options.threads, self.options.until) for unit in missing]
        if self.options.workers == 1:
            for unit, its in zip(missing, given, strict=True):
                if run_unit(*its):
                    yield unit
            return
        with ProcessPoolExecutor(self.options.workers, mp_context=get_context("spawn")) as pool:
            futures = {pool.submit(run_unit, *its): unit for unit, its in zip(missing, given, strict=True)}
            for future in as_completed(futures):
                if (error := future.exception()) is not None:
                    say(f"{futures[future].name} failed: {reason(error)}")
                elif future.result():
                    yield futures[future]


def run_unit(config: Config, path: Path, threads: int, until: float) -> bool:
    """Train and test a model and write its record; tell whether that was begun in time."""
    if time.time() > until:
        return False
    torch.set_num_threads(threads)
    begun = time.perf_counter()
    specs, grammars = plan_runs(config)
    spec, precision = specs[-1], choose_precision(config.precision)
    setup = load_setup(config, specs, grammars, precision)
    data = prepare_task(setup.task, setup.annotator, max_length=config.max_length, progress=lambda tagged, *_: tagged)
    controlled = setup.controlled(spec, data)
    trained = train_and_evaluate(setup, spec, controlled, Processes(), keep=None)
    answers = trained.logits.argmax(1)
    accuracy, loss = float(np.mean(answers == np.array(setup.task.dev.labels))), trained.training_loss
    record = {
        "config": config.model_dump(mode="json"),
        "accuracy": accuracy,
        "training_loss": loss,
        "density": density(
            controlled.grammar, controlled.dev, layers=setup.model.shape.layers, heads=setup.model.shape.heads
        ),
        "predictions": write_label_line([int(answer) for answer in answers]),
        "seconds": {"training": trained.training_seconds, "all": time.perf_counter() - begun},
        "tagger": {"name": setup.annotator.tagger.name, "version": setup.annotator.tagger.version},
        "environment": environment(precision),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
    write_whole(path, dump(record))
    say(f"{path.stem}: {100 * accuracy:.1f} %, loss {loss:.3f}, {trained.training_seconds:.0f} s")
    torch.cuda.empty_cache()  # other processes share the device
    return True


def main() -> None:
    """Run what is missing and write the record, or measure speed and add it to the record."""
    options = read_options()
    torch.set_num_threads(options.threads)
    documents = read_documents(options.documents, options.model, folds=options.folds)
    check_work(options)
    model = without_dropout(options.model, options.work / "model")
    names = options.arms.split(",")
    if unknown := set(names) - {arm.name for arm in ARMS}:
        raise SystemExit(f"no arm {min(unknown)!r}; there are {', '.join(arm.name for arm in ARMS)}")
    arms = [arm for arm in ARMS if arm.name in names]
    if options.speed:
        measured = measure_speed(arms, documents, model, options)
        write_whole(options.out, dump(known(options.out) | {"speed": measured}))
        return
    measurement = Measurement(documents, model, arms, options)
    measurement.write_tasks()
    for _ in measurement.run(measurement.choosing()):
        pass
    done = set[tuple[int, int]]()
    for _ in measurement.run(measurement.units()):
        if (finished := finished_folds(measurement)) != done:
            done = finished
            write_whole(options.out, dump({"speed": None, **known(options.out), **make_record(measurement, done)}))


def read_options() -> argparse.Namespace:
    """Return the options, and until when units may begin."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("documents", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--arms", default=",".join(arm.name for arm in ARMS[:4]))
    parser.add_argument("--whole", type=int, default=2048, help="tokens that a whole document has at most")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=lambda text: [*map(int, text.split(","))], default=[0])
    parser.add_argument("--epochs", type=float, default=10.0)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--learning-rates", type=lambda text: [*map(float, text.split(","))], default=[1e-4, 2e-4])
    parser.add_argument("--warmup", type=float, default=0.1)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="trainings at a time")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which no training is begun")
    parser.add_argument("--shared-machine", action="store_true", help="say that other work ran beside")
    parser.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    options.until = time.time() + options.seconds
    return options


def known(path: Path) -> dict[str, Any]:
    """Return the record until now: accuracy and speed are measured in any order."""
    return read_json(path) if path.is_file() else {}


def check_work(options: argparse.Namespace) -> None:
    """Write down what the work folder is made from, or check it: its records know folds and model by place alone.

    Raises `ExperimentError` for other documents, folds, or another model.
    """
    path = options.work / "made-from.json"
    now = {
        "documents_sha256": sha256(options.documents.read_bytes()).hexdigest(),
        "model_sha256": find_model(options.model).sha256, "folds": options.folds,
    }  # fmt: skip
    if not path.is_file():
        write_whole(path, dump(now))
    before = read_json(path)
    if changed := [name for name in now if before.get(name) != now[name]]:
        raise ExperimentError(f"{options.work} was made with other {', '.join(changed)}; name another --work")


def without_dropout(name: str, folder: Path) -> str:
    """Save a model whose attention has no dropout, once, and return its folder."""
    if not (folder / "config.json").is_file():
        source = find_model(name)
        load_tokenizer(source).save_pretrained(folder)
        model = AutoModel.from_pretrained(source.location, attention_probs_dropout_prob=0.0)
        model.save_pretrained(folder)
    return str(folder)


def finished_folds(measurement: Measurement) -> set[tuple[int, int]]:
    """Return the seeds and folds that all arms finished."""
    units = measurement.units()
    missing = {(unit.seed, unit.fold) for unit in units if not measurement.path(unit).is_file()}
    return {(unit.seed, unit.fold) for unit in units} - missing


def make_record(measurement: Measurement, done: set[tuple[int, int]]) -> dict[str, Any]:
    """Return the settings, what is known of the documents, and the arms and their differences in what is `done`."""
    documents, options = measurement.documents, measurement.options
    records: dict[str, dict[tuple[int, int], dict[str, Any]]] = {arm.name: {} for arm in measurement.arms}
    for unit in measurement.units():
        if (unit.seed, unit.fold) in done and (record := measurement.record(unit)) is not None:
            records[unit.arm.name][unit.seed, unit.fold] = record
    right = {name: right_of(found, measurement) for name, found in records.items()}
    first = next(iter(records[measurement.arms[0].name].values()))
    names = (
        "model", "whole", "folds", "epochs", "batch_size", "learning_rates", "warmup", "threads", "workers",
        "shared_machine",
    )  # fmt: skip
    return {
        "settings": {name: getattr(options, name) for name in names}
        | {"seeds": {str(seed): sorted(fold for one, fold in done if one == seed) for seed, _ in sorted(done)},
           "group_by_length": True, "position_method": "tile", "note": NOTE},
        "documents": facts_of(documents, options.whole),
        "tagger": first["tagger"],
        "model_sha256": find_model(options.model).sha256,
        "environment": {**first["environment"], "gpu": first["gpu"]},
        "arms": [
            {**vars(arm), **summary_of(arm, records[arm.name], measurement),
             "accuracy": split_estimate(mean_over(right[arm.name]), documents),
             "accuracy_of_seeds": {seed: float(np.nanmean(of)) for seed, of in right[arm.name].items()},
             "correct": {seed: "".join("-" if np.isnan(value) else str(int(value)) for value in of)
                         for seed, of in right[arm.name].items()}}
            for arm in measurement.arms
        ],
        "differences": [
            {"arm": one, "against": other,
             **split_estimate(mean_over(right[one]) - mean_over(right[other]), documents)}
            for one, other in AGAINST
            if one in right and other in right
        ],
    }  # fmt: skip


def right_of(records: dict[tuple[int, int], dict[str, Any]], measurement: Measurement) -> dict[str, Floats]:
    """Return, by seed, 1 for each document that an arm got right, else 0, and NaN for those that weren't tested."""
    labels = np.array(measurement.documents.labels)
    right = {str(seed): np.full(len(labels), np.nan) for seed, _ in sorted(records)}
    for (seed, fold), record in records.items():
        tested = measurement.folds[fold][1]
        right[str(seed)][tested] = np.equal(labels[tested], read_label_line(record["predictions"]))
    return right


def mean_over(right: dict[str, Floats]) -> Floats:
    """Return how often each document was right, over the seeds that tested it; NaN where none did."""
    answers = np.stack([*right.values()])
    counts = (~np.isnan(answers)).sum(0)
    return np.where(counts, np.nansum(answers, 0) / np.maximum(counts, 1), np.nan)


def summary_of(arm: Arm, records: dict[tuple[int, int], dict[str, Any]], measurement: Measurement) -> dict[str, Any]:
    """Return the learning rates of the folds of an arm, and means over seeds and folds."""
    return {
        "learning_rates": [measurement.rate(arm, fold) for fold in range(len(measurement.folds))],
        **{name: fmean(record[name] for record in records.values()) for name in ("density", "training_loss")},
        "highest_training_loss": max(record["training_loss"] for record in records.values()),
    }


def measure_speed(arms: list[Arm], documents: Documents, model: str, options: argparse.Namespace) -> dict[str, Any]:
    """Time arms in turns, each answering a tenth of the documents, and making training steps on them.

    Weights don't matter, so none are trained. Tagging, which only grammars need, is timed by itself.
    """
    by_length = np.argsort(documents.tokens)
    texts = [documents.texts[number] for number in by_length[5::10]]
    annotate = grammask.Annotator(load_tokenizer(find_model(model)), cache=False)
    annotate(texts[:2])  # the pipeline is loaded
    begun = time.perf_counter()
    annotate(texts, max_length=options.whole)
    tagging = time.perf_counter() - begun
    timed: dict[str, list[tuple[float, float]]] = {arm.name: [] for arm in arms}
    ready = {arm.name: prepare(arm, texts, model, annotate, options) for arm in arms}
    for turn in range(ROUNDS + 1):
        for arm in arms:
            seconds = pass_over(*ready[arm.name], options.precision)
            say(f"{arm.name}: answering {seconds[0]:.2f} s, training {seconds[1]:.2f} s")
            if turn:  # the first one warms up
                timed[arm.name].append(seconds)
    return {
        "documents": len(texts), "whole": options.whole,
        "batch_size": options.batch_size, "rounds": ROUNDS, "tagging_seconds": tagging,
        "threads": options.threads, "shared_machine": options.shared_machine,
        "environment": environment(choose_precision(options.precision)),
        "arms": [
            {"arm": name, **{f"{part}_seconds": median(part_seconds) for part, part_seconds in zip(
                ("answering", "training"), zip(*seconds, strict=True), strict=True)}}
            for name, seconds in timed.items()
        ],
    }  # fmt: skip


def prepare(
    arm: Arm, texts: list[str], model: str, annotate: grammask.Annotator, options: argparse.Namespace
) -> tuple[PreTrainedModel, list[dict[str, Tensor]]]:
    """Return a model as it is trained in an arm, and batches of texts of about one length."""
    source = find_model(model)
    made, length = load_classifier(source, ("0", "1")).model, options.whole if arm.is_whole else CUT
    if arm.is_whole:
        grammask.extend_positions(made, length)
    if arm.grammar is not None:
        grammask.attach(made, arm.grammar, "hard")
    names = ["input_ids", "attention_mask", *(() if arm.grammar is None else ("tag_ids", "word_ids", "sentence_ids"))]
    batches = []
    for start in range(0, len(texts), options.batch_size):
        batch = annotate(texts[start : start + options.batch_size], max_length=length, return_tensors="pt")
        batches.append({name: batch[name] for name in names})
    return made, batches


def pass_over(model: PreTrainedModel, batches: list[dict[str, Tensor]], precision: str) -> tuple[float, float]:
    """Return the seconds that a model takes to answer all batches, and to go forward and backward over them."""
    seconds = []
    for training in (False, True):
        model.train(training)
        begun = time.perf_counter()
        for batch in batches:
            half = choose_precision(precision) == "bfloat16"
            with torch.set_grad_enabled(training), torch.autocast("cpu", torch.bfloat16, enabled=half):
                labels = torch.zeros(len(batch["input_ids"]), dtype=torch.long)
                loss = model(**batch, labels=labels).loss
            if training:
                loss.backward()
                model.zero_grad()
        seconds.append(time.perf_counter() - begun)
    return seconds[0], seconds[1]


if __name__ == "__main__":
    main()
