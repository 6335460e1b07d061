"""What is asked of the pipeline of question answering: questions with their contexts, and its options."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from torch.utils.data import Dataset

from ..errors import InputError
from ..printing import quoted

_READING: Final[tuple[str, ...]] = ("max_seq_len", "doc_stride")
_ANSWERING: Final[tuple[str, ...]] = ("top_k", "max_answer_len", "handle_impossible_answer", "align_to_words")
_LEAST: Final[dict[str, int]] = {"max_seq_len": 1, "doc_stride": 0, "top_k": 1, "max_answer_len": 1}


def sort_options(asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of reading, and those of answering; None stands for the default. Raises `InputError`."""
    known = (*_ANSWERING, *_READING)
    if wrong := sorted(set(asked) - set(known)):
        raise InputError(
            f"guided-question-answering doesn't take {', '.join(wrong)}; it takes {', '.join(known)} and batch_size"
        )
    given = {name: value for name, value in asked.items() if value is not None}
    for name, value in given.items():
        least = _LEAST.get(name)
        if least is None and not isinstance(value, bool):
            raise InputError(f"{name} must be True or False, but is {quoted(value)}")
        if least is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise InputError(f"{name} must be a whole number from {least}, but is {quoted(value)}")
    reading, answering = ({name: given[name] for name in names if name in given} for names in (_READING, _ANSWERING))
    return reading, answering


def make_pairs(question: Any, context: Any) -> Any:
    """Return examples from texts or lists of texts; one question or context goes with each of the others."""
    many = [len(given) for given in (question, context) if isinstance(given, list | tuple)]
    if not many:
        return {"question": question, "context": context}
    if len(set(many)) > 1:
        raise InputError(f"there are {many[0]} questions but {many[1]} contexts; give as many, or one context for all")
    columns = (given if isinstance(given, list | tuple) else [given] * many[0] for given in (question, context))
    return [{"question": one, "context": other} for one, other in zip(*columns, strict=True)]


def check_inputs(inputs: Any) -> Any:
    """Return what a pipeline takes: an example, a list of them, or what gives them one by one; raises `InputError`."""
    if isinstance(inputs, Mapping):
        return check_pair(inputs)
    if isinstance(inputs, list | tuple):
        if not inputs:
            raise InputError("there is no question to answer: the list is empty")
        return [check_pair(example) for example in inputs]
    if isinstance(inputs, Dataset):  # PyTorch's, which may be read by its numbers only
        return inputs
    if isinstance(inputs, str | bytes) or not isinstance(inputs, Iterable):
        raise InputError(f"question answering takes questions with their contexts, but got {quoted(inputs)}")
    return (example for example in inputs)  # of all iterators, pipelines read generators alone one by one


def check_pair(example: Any) -> Mapping[str, str]:
    """Return an example; raises `InputError` for what is no question with its context."""
    if not isinstance(example, Mapping) or set(example) != {"question", "context"}:
        raise InputError(f'an example must be {{"question": ..., "context": ...}}, but is {quoted(example)}')
    for name, text in example.items():
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"a {name} must be a text that isn't empty, but is {quoted(text)}")
    return example
