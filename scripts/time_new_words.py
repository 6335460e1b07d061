"""Measure what tags and word numbers of generated tokens cost: python scripts/time_new_words.py --out FILE.

The built-in texts are fed token by token, as a model would write them. Times are of the processor, in milliseconds a
token; the tagger's are in `all_ms`.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

import grammask
from grammask.data.chronicles import chronicles
from grammask.environment import environment
from grammask.files.write import dump, write_whole
from grammask.model.named_models import find_model, load_tokenizer
from grammask.tagging.continuation import Continuation, Schedule, Writer
from grammask.tagging.new_text import NewText
from grammask.tagging.tagger import TaggedText, Tagger, TaggerWrapper

REACHES: Final = (8, 16, 64, 256)
NEW: Final[int] = 600


class TimedTagger(TaggerWrapper):
    """A tagger that adds up its processor time and its calls."""

    def __init__(self, tagger: Tagger) -> None:
        super().__init__(tagger)
        self.seconds, self.calls = 0.0, 0

    def tag(self, texts: Sequence[str]) -> Iterator[TaggedText]:
        """Tag texts; see `TaggedText`."""
        begun = time.process_time()
        tagged = list(self._tagger.tag(texts))
        self.seconds += time.process_time() - begun
        self.calls += 1
        return iter(tagged)


def main() -> None:
    """Measure after prompts of two lengths, for several bounded reaches, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    annotate = grammask.Annotator(load_tokenizer(find_model("smollm2")), cache=False)
    text = "\n\n".join(chronicles().values())
    rows = [measure(annotate, text, prompt, reach) for prompt in (512, 8192) for reach in REACHES]
    write_whole(options.out, dump({"environment": environment("float32"), "rows": rows}))


def measure(annotate: grammask.Annotator, text: str, prompt: int, reach: int) -> dict[str, Any]:
    """Return what the tokens after a prompt of so many cost, under a grammar of this bounded reach."""
    spans = annotate.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    begins = spans[prompt][0]
    inputs = annotate(text[:begins], return_tensors="np")
    new = np.array([annotate.tokenizer(text[begins : spans[prompt + NEW][0]])["input_ids"]])
    tagger = TimedTagger(annotate.tagger)
    writer = Writer(NewText(annotate.tokenizer), tagger, Schedule.within(reach))
    whole = Continuation(writer, *(inputs[name].astype(np.int64) for name in ("input_ids", "tag_ids", "word_ids")))
    begun = time.process_time()
    for end in range(1, new.shape[1] + 1):
        whole.after(new[:, :end])
    milliseconds = 1000 * (time.process_time() - begun) / new.shape[1]
    row = {
        "prompt": prompt, "reach": reach, "tokens": new.shape[1], "calls": tagger.calls,
        "tagger_ms": round(1000 * tagger.seconds / new.shape[1], 3), "all_ms": round(milliseconds, 3),
    }  # fmt: skip
    print(row, flush=True)  # noqa: T201
    return row


if __name__ == "__main__":
    main()
