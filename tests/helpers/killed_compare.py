"""A comparison of no work at all, killed at chosen moments: a script (`-m helpers.killed_compare FOLDER`) that
prints what it saw, as JSON.

Everything is loaded once, also the commands. Each comparison runs in a fork, in the ways of the command line, and ends
itself by a signal at one of the moments at which it touches a file; then another fork goes on with it.
"""

import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

from helpers.records import SHA256, a_record

from grammask.cli import app, run_command  # noqa: F401 - else each fork would load the commands
from grammask.cli import compare_run as comparing
from grammask.data.task import Split, Task
from grammask.experiment import compare, facts, results, setup
from grammask.experiment.folder import Folder
from grammask.experiment.prepare import Prepared
from grammask.experiment.try_model import TriedModel
from grammask.files.write import write_whole
from grammask.tagging.coverage import Coverage

MOMENTS = 12
# The two signals that commands catch take turns.
MOMENTS_OF = {"SIGKILL": range(MOMENTS), "SIGTERM": range(0, MOMENTS, 2), "SIGINT": range(1, MOMENTS, 2)}
SETTINGS = {"task": "none", "grammars": ("paper:hard",), "strategies": ("full", "hard"), "seeds": (0, 1)}
TOUCHES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir", "tempfile.mkdtemp"}


def no_run(setup, data, spec, processes, *, keep):
    """Finish at once, always alike, through a folder of scratch files as Trainer has one."""
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "state").write_text("x", encoding="utf-8")
        return a_record(spec.id), f"predictions of {spec.id}\n"


def stub(log):
    """Put stand-ins where a comparison loads and trains."""
    split = Split(tuple("abcd"), tuple("abcd"), None, (0, 1, 1, 1))
    tagger = SimpleNamespace(name="t", version="1")
    shape = SimpleNamespace(layers=1, heads=1)
    model = TriedModel(model_type="bert", hidden_size=1, parameters=1, new_parameters=(), shape=shape)
    stands = {
        (setup, "load_task"): lambda *_, **__: Task("t", "t", ("bad", "good"), split, split, "none"),
        (setup, "find_model"): lambda _: SimpleNamespace(name="m", location="m", sha256=SHA256),
        (setup, "load_tokenizer"): lambda _: SimpleNamespace(vocab_files_names={}),
        (setup, "Annotator"): lambda *_, **__: SimpleNamespace(tagger=tagger, coverage=Coverage()),
        (setup, "try_model"): lambda config, *_: (config, model),
        (facts, "hash_files"): lambda *_: SHA256,
        (facts, "environment"): lambda _: {"precision": "float32"},
        (compare, "prepare"): lambda *_, **__: Prepared(None, None, 0.0, texts_tagged=0, texts_from_cache=4),
        (compare, "run"): no_run,
    }
    for (module, name), stand in stands.items():
        assert hasattr(module, name)
        setattr(module, name, stand)
    results.write_report = lambda results, path, **_: write_whole(path, json.dumps(results["summary"]))
    # Intervals are a matter of seconds, and of other tests.
    comparing.conclude = lambda *_: None
    results._meanings = lambda _: {}
    results.ComparisonResults.summary = property(lambda self: [record["id"] for record in self.records])
    real = Folder.finish

    def finish(self, run_id, *given):
        real(self, run_id, *given)
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{run_id}\n")

    Folder.finish = finish


def forked(out, error, *, resume, at=None, number=None):
    """Run the comparison in a fork that sends itself a signal at a moment; return its exit code and its moments."""
    reading, writing = os.pipe()
    if child := os.fork():
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            moments = len(pipe.read())
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), moments
    os.dup2(os.open(error, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    seen = 0

    def touched(event, arguments):
        nonlocal seen
        if event in TOUCHES and str(root) in str(arguments[0]):
            os.write(writing, b".")
            seen += 1
            if seen == at:
                os.kill(os.getpid(), number)

    root = out.parent
    sys.addaudithook(touched)
    try:
        run_command(lambda: lambda: comparing.run_comparison(SETTINGS, out, resume=resume))
    except SystemExit as exit_:
        os._exit(exit_.code)
    os._exit(99)


def runs_of(out):
    return {path.name: path.read_text(encoding="utf-8") for path in sorted((out / "runs").glob("*.json"))}


def left(folder):
    return [path.name for path in folder.rglob("*") if path.name.startswith((".grammask", "tmp"))]


def results_of(out):
    found = json.loads((out / "results.json").read_text(encoding="utf-8"))
    return [found[key] for key in ("runs", "summary", "complete", "planned_runs", "finished_runs")]


def main(root):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # processes in the background are started to ignore it
    log = root / "log"
    stub(log)
    whole = root / "whole"
    scratch = root / "scratch"
    scratch.mkdir()
    tempfile.tempdir = str(scratch)
    code, moments = forked(whole / "out", root / "stderr", resume=False)
    assert code == 0, (root / "stderr").read_text(encoding="utf-8")
    for name, parts in MOMENTS_OF.items():
        for part in parts:
            case = root / f"{name}-{part}"
            case.mkdir()
            out, at = case / "out", 1 + part * (moments - 1) // (MOMENTS - 1)
            log.unlink(missing_ok=True)
            code, _ = forked(out, case / "stderr", resume=False, at=at, number=getattr(signal, name))
            before = runs_of(out)
            finishes = log.read_text("utf-8").split() if log.exists() else []
            seen = {
                "signal": name, "at": at, "code": code, "told": (case / "stderr").read_text(encoding="utf-8"),
                "lost": [run for run in finishes if f"{run}.json" not in before],
                "left": left(case) + left(scratch), "records": len(before),
            }  # fmt: skip
            begun = (out / "config.json").is_file()
            seen["resumed"], _ = forked(out, case / "stderr", resume=begun)
            seen["told_then"] = (case / "stderr").read_text(encoding="utf-8")
            seen["kept"] = seen["resumed"] == 0 and before.items() <= runs_of(out).items()
            seen["equal"] = seen["resumed"] == 0 and results_of(out) == results_of(whole / "out")
            seen["left_then"] = left(case)
            print(json.dumps(seen), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
