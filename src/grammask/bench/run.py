"""The benchmark: run case by case, and written after each, so that an interruption loses nothing."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch

from ..attention.calibration.current import rates_in_use
from ..environment import check_device, choose_precision, environment
from ..errors import ExperimentError
from ..files.write import dump, write_whole
from ..grammar.grammar import Grammar
from ..report.bench_page import write_bench_report
from ..tagging.load_tagger import load_tagger
from .cases import Case, list_cases, memory_cases
from .documents import DocumentBatches, load_long_text
from .levels.end_to_end import run_end_to_end
from .levels.operator import run_operator
from .levels.whole_model import run_model
from .models import BenchModel
from .peak_memory import measure_memory
from .settings import BenchConfig, load_grammars

RESULTS: Final[str] = "bench.json"
REPORT: Final[str] = "bench.html"


def run_bench(config: BenchConfig, out: Path, *, force: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything that `config` asks for into the folder `out`, and return the results.

    Raises `ExperimentError` for a folder that holds a benchmark unless `force`, and the errors of what it uses.
    """
    check_folder(out, force=force)
    check_device(config.device)
    grammars = load_grammars(config)
    model = BenchModel(
        config.model, longest=max(config.lengths), attention_dropout=config.attention_dropout, seed=config.seed,
        device=config.device,
    )  # fmt: skip
    _check_prefill(config, model)
    long_text = load_long_text(config.text, model.tokenizer)
    documents = DocumentBatches(long_text, model.tokenizer, load_tagger(config.tagger), seed=config.seed)
    whole = set(config.levels) & {"model", "end-to-end"}
    if whole:
        for grammar in grammars.values():
            model.guided(grammar, "hard", torch.float32)  # one that doesn't fit the model is refused now
    cases = list_cases(config, grammars)
    machine = environment(", ".join(config.dtypes), config.device)
    machine |= {"instructions": _instructions(), "bfloat16": _bfloat16()}
    machine["rates"] = rates_in_use(config.attention_dtypes, config.threads or [torch.get_num_threads()], config.device)
    processor = {name: machine[name] for name in ("cpu", "instructions")}
    results: dict[str, Any] = {
        "format": 1,
        "config": config.model_dump(mode="json"),
        "grammars": {name: grammar.to_dict() for name, grammar in grammars.items()},
        "text": {"source": long_text.name, "tokens": long_text.tokens, "repeats": 1},
        "model": model.facts() if whole else None,
        "tagger": {"name": documents.tagger.name, "version": documents.tagger.version},
        "environment": machine,
        "planned_cases": len(cases),
        "cases": 0,
        "complete": False,
        "rows": [],
        "memory": [],
    }
    threads = torch.get_num_threads()
    try:
        for number, case in enumerate(cases, start=1):
            say(f"{number} of {len(cases)}: {case.title}")
            torch.set_num_threads(case.threads)
            rows = _run(case, config, model, grammars[case.grammar], documents)
            results["rows"] += [{**row, **processor} for row in rows]
            results["cases"] = number
            results["text"]["repeats"] = documents.repeats
            _write(results, out)
        for case in memory_cases(config, grammars):
            say(f"memory: {case.title}")
            annotation = documents.whole(case.batch_size, case.length)
            rows = measure_memory(case, config, grammar=grammars[case.grammar], annotation=annotation)
            results["memory"] += [{**row, **processor} for row in rows]
            _write(results, out)
        results["complete"] = True
    finally:
        torch.set_num_threads(threads)
        if results["rows"]:
            _write(results, out)
            write_bench_report(results, out / REPORT)
    return results


def _write(results: Mapping[str, Any], out: Path) -> None:
    write_whole(out / RESULTS, dump(results), kept="the file of the case before is kept")


def check_folder(out: Path, *, force: bool) -> None:
    """Raise `ExperimentError` unless a benchmark can go into this folder."""
    if out.exists() and not out.is_dir():
        raise ExperimentError(f"--out {out} is a file; name a folder")
    if (out / RESULTS).exists() and not force:
        raise ExperimentError(f"--out {out} holds a benchmark; name another folder, or overwrite it with --force")


def _check_prefill(config: BenchConfig, model: BenchModel) -> None:
    if "prefill" not in config.passes:
        return
    if not model.causal:
        raise ExperimentError(f"setting 'passes' is 'prefill', but {config.model} isn't causal; use --model llama")
    if set(config.levels) == {"operator"}:
        raise ExperimentError("setting 'passes' is 'prefill', which one layer alone doesn't have; use --levels model")


def _run(
    case: Case, config: BenchConfig, model: BenchModel, grammar: Grammar, documents: DocumentBatches
) -> list[dict[str, Any]]:
    if case.level == "operator":
        annotation = documents.whole(case.batch_size, case.length)
        return run_operator(case, config, grammar=grammar, annotation=annotation)
    if case.level == "model":
        batch = documents.batch(case.batch_size, case.length, padded=config.padded)
        return run_model(case, model=model, grammar=grammar, batch=batch, config=config)
    texts = documents.texts(case.batch_size, case.length, padded=config.padded)
    return run_end_to_end(
        case, model=model, annotator=documents.uncached, grammar=grammar, texts=texts, seconds=config.seconds
    )


def _instructions() -> str:
    """Return what of the processor PyTorch's kernels use."""
    wide = {"AVX512-BF16": torch.cpu._is_avx512_bf16_supported(), "AMX": torch.cpu._is_amx_tile_supported()}
    return ", ".join([torch.backends.cpu.get_cpu_capability(), *(name for name, there in wide.items() if there)])


def _bfloat16() -> str:
    try:
        return f"{choose_precision('bfloat16')} in hardware"
    except ExperimentError:
        return "emulated"
