"""`guided-question-answering`: where in a text the answer to a question stands; transformers has no such pipeline."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import torch
from transformers.pipelines.base import ChunkPipeline

from ..errors import InputError, ModelError
from ..model.count_positions import count_positions
from ..printing import quoted
from ..tagging.padding import pad_annotation
from .answer_spans import Span, Window, best_spans
from .guided_pipeline import GuidedPipeline
from .question_inputs import check_pair, make_pairs, sort_options

_NO_TOKEN: Final[int] = -1
_KEPT: Final[tuple[str, ...]] = ("context", "places", "words", "p_mask", "is_last")
_NOT_READ: Final[tuple[str, ...]] = ("offset_mapping", "overflow_to_sample_mapping")


class GuidedQuestionAnswering(GuidedPipeline, ChunkPipeline):  # type: ignore[misc]
    """A question and a context, or a list of such pairs, to answers: `{"score", "start", "end", "answer"}`.

    A context that is longer than the model's texts is read in windows that overlap. The score is the likelihood of the
    answer's first token times that of its last one in their window; `context[start:end]` is the answer.
    """

    def __call__(  # type: ignore[override]
        self, inputs: Any = None, *, question: Any = None, context: Any = None, **asked: Any
    ) -> Any:
        """Answer a question, or several.

        Args:
            inputs: `{"question": ..., "context": ...}`, or a list or generator of these.
            question: In place of `inputs`: a text, or a list of them.
            context: In place of `inputs`: the text that answers it, or a list of as many, or one for all.
            asked: `top_k` (1) answers, as a list if more than one; `max_answer_len` (15) tokens; `align_to_words`
                (True), or answers may be parts of words; `handle_impossible_answer` (False), whether there may be none,
                which is the empty answer; `max_seq_len` tokens of a window, those of the annotator if not given;
                `doc_stride` tokens that windows share, by default half of a window at most, and 128 at most;
                `batch_size`.

        Returns:
            The answer, or a list of them.

        Raises:
            InputError: For what is no question with its context, or what cannot be asked.
        """
        if (inputs is None) == (question is None and context is None):
            raise InputError("give question and context, or a dict or a list of dicts that hold both")
        if inputs is None:
            inputs = make_pairs(question, context)
        if isinstance(inputs, list | tuple):
            inputs = [check_pair(example) for example in inputs]
        elif isinstance(inputs, Mapping):
            inputs = check_pair(inputs)
        elif isinstance(inputs, str) or not isinstance(inputs, Iterable):
            raise InputError(f"question answering takes questions with their contexts, but got {quoted(inputs)}")
        return super().__call__(inputs, **asked)  # type: ignore[no-untyped-call]

    def _sanitize_parameters(self, **asked: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        reading, answering = sort_options(asked)
        return reading, {}, answering

    def preprocess(  # type: ignore[override]
        self, inputs: Any, max_seq_len: int | None = None, doc_stride: int | None = None, **_: Any
    ) -> Iterator[dict[str, Any]]:
        """Annotate a question with its context, and yield the windows."""
        question, context = (check_pair(inputs)[name] for name in ("question", "context"))
        made = self._windows(question, context, max_seq_len, doc_stride)
        count = len(made["input_ids"])
        for number in range(count):
            places = np.array(made["offset_mapping"][number]).reshape(-1, 2)
            # White space alone, which some tokenizers make tokens of, is no answer.
            is_context = np.array([
                side == 1 and bool(context[start:end].strip())
                for side, (start, end) in zip(made.sequence_ids(number), places, strict=True)
            ])  # fmt: skip
            columns = {name: torch.tensor([made[name][number]]) for name in made if name not in _NOT_READ}
            yield {
                **columns,
                "p_mask": torch.from_numpy(~is_context).int()[None],
                "places": [places[is_context]],
                "words": [np.array(made["word_ids"][number])[is_context]],
                "context": [context],
                "is_last": number == count - 1,
            }

    def _windows(self, question: str, context: str, length: int | None, stride: int | None) -> Any:
        most = count_positions(self.model)
        if length is not None and most is not None and length > most:
            raise InputError(f"max_seq_len is {length}, but the model reads {most} tokens at most; take no more")
        length = length or self.annotator.max_length or most
        cut: dict[str, Any] = {}
        if length is not None:
            whole = len(self.annotator([question], [""], truncation=False)["input_ids"][0])
            room = length - whole
            if room < 1:
                raise InputError(
                    f"the question has {whole} tokens with what is added to it, but a window {length}; take a shorter "
                    "one, or a larger max_seq_len"
                )
            stride = min(128, room // 2) if stride is None else stride
            if stride >= room:
                raise InputError(
                    f"windows of {length} tokens have room for {room} of the context, but doc_stride is {stride}; take "
                    "less"
                )
            cut = {
                "truncation": "only_second",
                "max_length": length,
                "stride": stride,
                "return_overflowing_tokens": True,
            }
        return self.annotator([question], [context], return_offsets_mapping=True, **cut)

    def _forward(self, model_inputs: Any) -> Any:  # type: ignore[override]
        kept = {name: model_inputs.pop(name) for name in _KEPT}
        pad_annotation(model_inputs)
        answers = self.model(**model_inputs)
        if "start_logits" not in answers:
            raise ModelError(f"{type(self.model).__name__} doesn't say where answers begin and end")
        return {"starts": answers.start_logits, "ends": answers.end_logits, "ids": model_inputs["input_ids"], **kept}

    def postprocess(  # type: ignore[override]
        self, model_outputs: Any, top_k: int = 1, max_answer_len: int = 15, handle_impossible_answer: bool = False,
        align_to_words: bool = True,
    ) -> Any:  # fmt: skip
        """Return the best answers of all windows."""
        context = _only(model_outputs[0]["context"])
        windows = [self._window(output, may_be_none=handle_impossible_answer) for output in model_outputs]
        spans = best_spans(windows, count=top_k, longest=max_answer_len, whole_words=align_to_words)
        answers = [_answer(context, span) for span in spans]
        if top_k > 1:
            return answers
        return answers[0] if answers else {"score": 0.0, "start": 0, "end": 0, "answer": ""}

    def _window(self, output: Any, *, may_be_none: bool) -> Window:
        is_context = output["p_mask"][0] == 0
        starts, ends = (output[name][0].double() for name in ("starts", "ends"))
        nothing = None
        if may_be_none:
            token = self.annotator.tokenizer.cls_token_id
            places = (output["ids"][0] == (_NO_TOKEN if token is None else token)).nonzero()
            if not len(places):
                raise ModelError("handle_impossible_answer needs a tokenizer with a [CLS] token, which stands for none")
            nothing = (float(starts[places[0, 0]]), float(ends[places[0, 0]]))
        return Window(
            starts[is_context].numpy(),
            ends[is_context].numpy(),
            _only(output["places"]),
            _only(output["words"]),
            nothing,
        )


def _answer(context: str, span: Span) -> dict[str, Any]:
    """Return an answer without white space around it, which some tokenizers count to their tokens."""
    text = context[span.start : span.end]
    start = span.start + len(text) - len(text.lstrip())
    text = text.strip()
    return {"score": span.score, "start": start, "end": start + len(text), "answer": text}


def _only(values: Any) -> Any:
    (value,) = values
    return value
