"""Measure what long documents gain from more positions: cut at 512 tokens, or read whole, in full or by a grammar.

    python scripts/measure_long_documents.py ARTICLES.tsv --work FOLDER --out results/long-documents.json
    python scripts/measure_long_documents.py ARTICLES.tsv --work FOLDER --out results/long-documents.json --speed

ARTICLES.tsv has lines of a label, 0 or 1, and a document. Each document is tested once, by models that were trained on
the other folds. FOLDER gets the folds, and a folder of `grammask compare` for each length and fold: what is finished
there is not run again. The record is written after each fold, and is of those until then. With --speed nothing is
trained: the record gets the times of answering and of training steps, measured in turns; run it alone on a machine.

The model's attention has no dropout, in all arms: PyTorch's fused attention on a CPU has none.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModel, PreTrainedModel

import grammask
from grammask.environment import choose_precision, environment
from grammask.experiment.compare import compare
from grammask.experiment.config import Config, make_config
from grammask.experiment.folder import CONFIG, Folder
from grammask.experiment.label_line import read_label_line
from grammask.experiment.plan_runs import plan_runs
from grammask.experiment.records import read_json
from grammask.files.write import dump, write_whole
from grammask.model.named_models import find_model, load_classifier, load_tokenizer
from grammask.resampling import Floats, estimate

NOTE: Final[str] = "attention_probs_dropout_prob is 0 in all arms"
CUT, WHOLE = 512, 2048  # tokens: the positions that MiniLM learned, and those that it is given
ROUNDS: Final[int] = 3


@dataclass(frozen=True)
class Arm:
    """Documents cut at a length, read by a grammar or, without one, in full; `control` breaks the grammar."""

    name: str
    length: int
    grammar: str | None = None
    control: str | None = None

    @property
    def choices(self) -> dict[str, Any]:
        """The settings that choose the runs of `compare`."""
        if self.grammar is None:
            return {"strategies": ("full",), "grammars": ()}
        if self.control is None:
            return {"strategies": ("hard",), "grammars": (f"{self.grammar}:hard",)}
        return {"strategies": ("hard",), "grammars": (f"{self.grammar}:controls",), "controls": (self.control,)}


# In the order in which they are run. The last run of an arm's plan is its own: a control comes after its grammar.
ARMS: Final[tuple[Arm, ...]] = (
    Arm("cut", CUT),
    Arm("whole-grammar", WHOLE, "english-long"),
    Arm("whole-full", WHOLE),
    Arm("whole-window", WHOLE, "english-long", "window-sinks"),
    Arm("cut-grammar", CUT, "english-long"),
)
AGAINST: Final[tuple[tuple[str, str], ...]] = (
    ("whole-full", "cut"), ("whole-grammar", "cut"), ("whole-grammar", "whole-full"), ("whole-grammar", "whole-window"),
    ("cut-grammar", "cut"),
)  # fmt: skip


@dataclass(frozen=True)
class Documents:
    """Labels, texts and how many tokens they have."""

    labels: list[int]
    texts: list[str]
    tokens: list[int]
    sha256: str

    def folds(self, count: int) -> Iterator[tuple[list[int], list[int]]]:
        """Yield the numbers of the documents to train on, and to test: each fold has its share of each label.

        Those to test are sorted by their length, so that batches are padded little.
        """
        drawn = np.random.default_rng(0).permutation(len(self.labels)).tolist()
        dealt = sorted(drawn, key=lambda number: self.labels[number])
        for fold in range(count):
            tested = sorted(dealt[fold::count], key=lambda number: self.tokens[number])
            yield [number for number in drawn if number not in set(tested)], tested


def main() -> None:
    """Run what is missing and write the record, or measure speed and add it to the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("documents", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--arms", default=",".join(arm.name for arm in ARMS[:3]))
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=float, default=4.0)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shared-machine", action="store_true", help="say that other work ran beside")
    parser.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = without_dropout(options.model, options.work / "model")
    documents = read_documents(options.documents, model)
    names = options.arms.split(",")
    if unknown := set(names) - {arm.name for arm in ARMS}:
        raise SystemExit(f"no arm {min(unknown)!r}; there are {', '.join(arm.name for arm in ARMS)}")
    arms = [arm for arm in ARMS if arm.name in names]
    if options.speed:
        measured = measure_speed(arms, documents, model, options)
        write_whole(options.out, dump(known(options.out) | {"speed": measured}))
    else:
        for fold, numbers in enumerate(documents.folds(options.folds)):
            for arm in arms:
                run_fold(arm, fold, numbers, documents, model, options)
            made = make_record(fold + 1, arms, documents, model, options)
            write_whole(options.out, dump({"speed": None, **known(options.out), **made}))


def known(path: Path) -> dict[str, Any]:
    """Return the record until now: accuracy and speed are measured in any order."""
    return read_json(path) if path.is_file() else {}


def without_dropout(name: str, folder: Path) -> str:
    """Save a model whose attention has no dropout, once, and return its folder."""
    if not (folder / "config.json").is_file():
        source = find_model(name)
        load_tokenizer(source).save_pretrained(folder)
        model = AutoModel.from_pretrained(source.location, attention_probs_dropout_prob=0.0)
        model.save_pretrained(folder)
    return str(folder)


def read_documents(path: Path, model: str) -> Documents:
    """Read lines of a label and a document."""
    content = path.read_bytes()
    labels, texts = zip(*(line.split("\t", 1) for line in content.decode("utf-8").split("\n") if line), strict=True)
    encoded = load_tokenizer(find_model(model))(list(texts), verbose=False)["input_ids"]
    return Documents([*map(int, labels)], list(texts), [len(row) for row in encoded], sha256(content).hexdigest())


def config_of(arm: Arm, fold: int, model: str, options: argparse.Namespace) -> Config:
    """Return the comparison of an arm on a fold: positions are added where its texts need more than 512."""
    return make_config(
        task=str(options.work / f"fold-{fold}"), model=model, max_length=arm.length,
        positions=arm.length if arm.length > CUT else None, epochs=options.epochs, batch_size=options.batch_size,
        learning_rate=options.learning_rate, precision=options.precision, group_by_length=True, **arm.choices,
    )  # fmt: skip


def find_records(arm: Arm, fold: int, model: str, options: argparse.Namespace) -> tuple[Path, list[Path]]:
    """Return the folder of an arm's comparison on a fold, and the records of its runs, its own as the last.

    Raises `ExperimentError` where the folder was made with other settings.
    """
    config, out = config_of(arm, fold, model, options), Path(options.work / f"{arm.length}-fold-{fold}")
    if (out / CONFIG).is_file():
        Folder(out, resume=True).check(config.shared)
    return out, [out / "runs" / f"{spec.id}.json" for spec in plan_runs(config)[0]]


def run_fold(
    arm: Arm, fold: int, numbers: tuple[list[int], list[int]], documents: Documents, model: str,
    options: argparse.Namespace,
) -> None:  # fmt: skip
    """Write the texts of a fold, and run on them what is missing of an arm."""
    out, records = find_records(arm, fold, model, options)
    if all(path.is_file() for path in records):
        return
    for split, chosen in zip(("train", "dev"), numbers, strict=True):
        lines = [f"{documents.labels[number]}\t{documents.texts[number]}" for number in chosen]
        write_whole(options.work / f"fold-{fold}" / f"{split}.tsv", "\n".join(["label\ttext", *lines, ""]))
    compare(
        config_of(arm, fold, model, options), out, resume=(out / CONFIG).is_file(),
        progress=lambda tagged, *_: tagged,
        say=lambda line: print(f"{arm.name}, fold {fold}: {line}", flush=True),  # noqa: T201
    )  # fmt: skip


def make_record(
    folds: int, arms: list[Arm], documents: Documents, model: str, options: argparse.Namespace
) -> dict[str, Any]:
    """Return the settings, what is known of the documents, and the arms and their differences in the first folds."""
    paths = {arm.name: [find_records(arm, fold, model, options)[1][-1] for fold in range(folds)] for arm in arms}
    records = {name: [read_json(path) for path in found] for name, found in paths.items()}
    right = {name: right_of(found, documents, options) for name, found in records.items()}
    first = read_json(find_records(arms[0], 0, model, options)[0] / "results.json")
    names = ("model", "folds", "epochs", "batch_size", "learning_rate", "threads", "shared_machine")
    return {
        "settings": {name: getattr(options, name) for name in names}
        | {"folds_tested": folds, "seed": 0, "group_by_length": True, "position_method": "tile", "note": NOTE},
        "documents": facts_of(documents),
        "tagger": {name: first["tagger"][name] for name in ("name", "version")},
        "model_sha256": find_model(options.model).sha256,
        "environment": first["runs"][0]["environment"],
        "arms": [
            {**vars(arm), **summary_of(records[arm.name]), "accuracy": split_estimate(right[arm.name], documents),
             "correct": "".join("-" if np.isnan(value) else str(int(value)) for value in right[arm.name])}
            for arm in arms
        ],
        "differences": [
            {"arm": one, "against": other, **split_estimate(right[one] - right[other], documents)}
            for one, other in AGAINST
            if one in right and other in right
        ],
    }  # fmt: skip


def right_of(records: list[dict[str, Any]], documents: Documents, options: argparse.Namespace) -> Floats:
    """Return 1 for each document that an arm got right, else 0, and NaN for those that weren't tested yet."""
    right = np.full(len(documents.labels), np.nan)
    for (_, tested), record in zip(documents.folds(options.folds), records, strict=False):  # some folds may be missing
        answers = read_label_line(record["predictions"])
        right[tested] = np.equal([documents.labels[number] for number in tested], answers)
    return right


def summary_of(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the means over the folds of an arm, and the most memory."""
    return {
        "density": float(np.mean([record["density"] for record in records])),
        "training_loss": float(np.mean([record["training_loss"] for record in records])),
        "peak_memory_bytes": max(record["peak_memory_bytes"] for record in records),
    }


def split_estimate(values: Floats, documents: Documents) -> dict[str, Any]:
    """Return the mean of values of all tested documents, and of those of more than 512 tokens, with 95 % intervals."""
    tested, longer = ~np.isnan(values), np.array(documents.tokens) > CUT
    return {"all": mean_of(values[tested]), "longer": mean_of(values[tested & longer])}


def mean_of(values: Floats) -> dict[str, Any]:
    """Return a mean over documents with its bootstrap interval, and their number."""
    if not len(values):
        return {"value": None, "interval": None, "documents": 0}
    return {**estimate(lambda times: times @ values / len(values), len(values)), "documents": len(values)}


def facts_of(documents: Documents) -> dict[str, Any]:
    """Return numbers of the documents, without any text."""
    tokens = np.array(documents.tokens)
    return {
        "count": len(tokens), "with_label_1": sum(documents.labels), "sha256": documents.sha256,
        "median_tokens": float(np.median(tokens)), "longest_tokens": int(tokens.max()),
        **{f"longer_than_{length}": int((tokens > length).sum()) for length in (CUT, WHOLE)},
    }  # fmt: skip


def measure_speed(arms: list[Arm], documents: Documents, model: str, options: argparse.Namespace) -> dict[str, Any]:
    """Time arms in turns, each answering a tenth of the documents, and making training steps on them.

    Weights don't matter, so none are trained. Tagging, which only grammars need, is timed by itself.
    """
    by_length = np.argsort(documents.tokens)
    texts = [documents.texts[number] for number in by_length[5::10]]
    annotate = grammask.Annotator(load_tokenizer(find_model(model)), cache=False)
    annotate(texts[:2])  # the pipeline is loaded
    begun = time.perf_counter()
    annotate(texts, max_length=max(arm.length for arm in arms))
    tagging = time.perf_counter() - begun
    timed: dict[str, list[tuple[float, float]]] = {arm.name: [] for arm in arms}
    ready = {arm.name: prepare(arm, texts, model, annotate, options) for arm in arms}
    for turn in range(ROUNDS + 1):
        for arm in arms:
            seconds = pass_over(*ready[arm.name], options.precision)
            print(f"{arm.name}: answering {seconds[0]:.2f} s, training {seconds[1]:.2f} s", flush=True)  # noqa: T201
            if turn:  # the first one warms up
                timed[arm.name].append(seconds)
    return {
        "documents": len(texts), "batch_size": options.batch_size, "rounds": ROUNDS, "tagging_seconds": tagging,
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
    made = load_classifier(source, ("0", "1")).model
    if arm.length > CUT:
        grammask.extend_positions(made, arm.length)
    if arm.grammar is not None:
        grammask.attach(made, arm.grammar, "hard")
    names = ["input_ids", "attention_mask", *(() if arm.grammar is None else ("tag_ids", "word_ids", "sentence_ids"))]
    batches = []
    for start in range(0, len(texts), options.batch_size):
        batch = annotate(texts[start : start + options.batch_size], max_length=arm.length, return_tensors="pt")
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
