"""Measure taggers of subwords on a treebank and against spaCy's tags, and their speed on one thread.

    python scripts/measure_taggers.py --taggers english-subwords,FOLDER --conllu DEV.conllu --texts FOLDER \
        --out results/taggers.json

The sentences of the treebank are also tagged by spaCy, as are the documents of --texts, and the taggers are compared
with what it says. Each row holds how a tagger was made, with what it scored on its own held-out texts.
"""

import argparse
import os
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from grammask.environment import environment
from grammask.experiment.taggers.score_tagger import measure_speed, score_tagger
from grammask.experiment.taggers.tagged_texts import TaggedTexts, treebank_texts
from grammask.files.write import dump, write_whole
from grammask.tagging.load_tagger import load_tagger
from grammask.tagging.shipped_taggers import tagger_folder
from grammask.tagging.subwords.subword_tagger import SubwordTagger

ROUNDS: Final[int] = 7
TEACHER: Final[str] = "en_core_web_sm"


def speeds(tagger: SubwordTagger, texts: list[str]) -> dict[str, list[int]]:
    """Return subwords a second on one thread, of some rounds each."""
    found = [measure_speed(tagger, texts) for _ in range(ROUNDS)]
    return {name: [round(getattr(one, name)) for one in found] for name in ("network", "texts")}


def row(name: str, known: dict[str, TaggedTexts], texts: list[str]) -> dict[str, Any]:
    """Return what is measured of a tagger."""
    tagger = SubwordTagger.load(name)
    scores = {what: score_tagger(tagger, one) for what, one in known.items()}
    rates = speeds(tagger, texts)
    return {
        "tagger": tagger.name,
        "version": tagger.version,
        "bytes": sum(file.stat().st_size for file in tagger_folder(name).glob("grammask_tagger*")),
        "taught": tagger.taught,
        "scores": {what: {**asdict(score), "accuracy": round(score.accuracy, 5)} for what, score in scores.items()},
        "subwords_a_second": rates,
        "median": {what: statistics.median(of) for what, of in rates.items()},
    }


def main() -> None:
    """Measure all, and write the record."""
    parser = argparse.ArgumentParser()
    for option in ("--taggers", "--conllu", "--texts", "--out"):
        parser.add_argument(option, required=True)
    asked = parser.parse_args()
    treebank = treebank_texts(Path(asked.conllu), None)
    long = [file.read_text(encoding="utf-8") for file in sorted(Path(asked.texts).glob("*.txt"))]
    teacher, dev = load_tagger(TEACHER), list(treebank.texts)
    known = {
        "treebank": treebank,
        f"the treebank's sentences as {TEACHER} tags them": TaggedTexts(dev, list(teacher.tag(dev))),
        f"{len(long)} long texts as {TEACHER} tags them": TaggedTexts(long, list(teacher.tag(long))),
    }
    load = os.getloadavg()
    rows = [row(name, known, dev) for name in asked.taggers.split(",")]
    settings = {"conllu": Path(asked.conllu).name, "texts": len(long), "teacher": TEACHER, "rounds": ROUNDS}
    found = {"environment": environment("float32"), "settings": settings, "load_before": load, "rows": rows}
    write_whole(Path(asked.out), dump(found))


if __name__ == "__main__":
    main()
