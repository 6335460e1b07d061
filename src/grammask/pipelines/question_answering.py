"""`guided-question-answering`: where in a text the answer to a question stands; transformers has no such pipeline."""

from collections.abc import Iterator
from typing import Any, Final

from transformers.pipelines.base import ChunkPipeline

from ..errors import InputError, ModelError
from ..model.count_positions import count_positions
from .answer_spans import Window, best_spans
from .context_windows import NOT_READ, read_windows
from .guided_pipeline import GuidedPipeline, read_as_alone
from .question_inputs import check_inputs, check_pair, make_pairs, sort_options

_KEPT: Final[tuple[str, ...]] = (*NOT_READ, "context", "is_last")


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
            inputs: `{"question": ..., "context": ...}`, or a list, generator or data set of these.
            question: In place of `inputs`: a text, or a list of them.
            context: In place of `inputs`: the text that answers it, or a list of as many, or one for all.
            asked: `top_k` (1) answers, as a list if more than one; `max_answer_len` (15) tokens; `align_to_words`
                (True), by which an answer has all of its first and last word, or else it may be a part of a word;
                `handle_impossible_answer` (False), whether there may be none, which is the empty answer; `max_seq_len`
                tokens of a window, if not given as many as annotator and model both read; `doc_stride` tokens that
                windows share, by default half of the context's in a window, and 128 at most; `batch_size`.

        Returns:
            The answer, or a list of them.

        Raises:
            InputError: For what is no question with its context, or what cannot be asked.
            ModelError: For a model that doesn't say where answers stand, or not in numbers.
        """
        if (inputs is None) == (question is None and context is None):
            raise InputError("give question and context, or a dict or a list of dicts that hold both")
        given = make_pairs(question, context) if inputs is None else inputs
        return super().__call__(check_inputs(given), **asked)  # type: ignore[no-untyped-call]

    def _sanitize_parameters(self, **asked: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        reading, answering = sort_options(asked)
        return reading, {}, answering

    def preprocess(  # type: ignore[override]
        self, inputs: Any, max_seq_len: int | None = None, doc_stride: int | None = None, **_: Any
    ) -> Iterator[dict[str, Any]]:
        """Annotate a question with its context, and yield the windows."""
        question, context = (check_pair(inputs)[name] for name in ("question", "context"))
        most = count_positions(self.model)
        windows = read_windows(self.annotator, question, context, most=most, length=max_seq_len, stride=doc_stride)
        window = next(windows)
        for following in windows:
            yield {**window, "context": [context], "is_last": False}
            window = following
        yield {**window, "context": [context], "is_last": True}

    def _forward(self, model_inputs: Any) -> Any:  # type: ignore[override]
        model_inputs = read_as_alone(model_inputs)
        kept = {name: model_inputs.pop(name) for name in _KEPT}
        answers = self.model(**model_inputs, return_dict=True)
        if "start_logits" not in answers:
            raise ModelError(f"{type(self.model).__name__} doesn't say where answers begin and end")
        return {"starts": answers.start_logits, "ends": answers.end_logits, **kept}

    def postprocess(  # type: ignore[override]
        self, model_outputs: Any, top_k: int = 1, max_answer_len: int = 15, handle_impossible_answer: bool = False,
        align_to_words: bool = True,
    ) -> Any:  # fmt: skip
        """Return the best answers of all windows."""
        context = _only(model_outputs[0]["context"])
        places = "word_places" if align_to_words else "places"
        windows = [_window(output, places, may_be_none=handle_impossible_answer) for output in model_outputs]
        spans = best_spans(windows, count=top_k, longest=max_answer_len)
        answers = [{**span._asdict(), "answer": context[span.start : span.end]} for span in spans]
        if top_k > 1:
            return answers
        return answers[0] if answers else {"score": 0.0, "start": 0, "end": 0, "answer": ""}


def _window(output: Any, places: str, *, may_be_none: bool) -> Window:
    in_context, for_none = (output[name][0] == 1 for name in ("in_context", "for_none"))
    starts, ends = (output[name][0].double() for name in ("starts", "ends"))
    if may_be_none and not for_none.any():
        raise ModelError("handle_impossible_answer needs a tokenizer with a [CLS] token, which stands for none")
    nothing = (float(starts[for_none][0]), float(ends[for_none][0])) if may_be_none else None
    return Window(starts[in_context].numpy(), ends[in_context].numpy(), _only(output[places]), nothing)


def _only(values: Any) -> Any:
    (value,) = values
    return value
