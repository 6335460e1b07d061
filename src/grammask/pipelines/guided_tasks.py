"""The pipelines of guided models, each transformers' own with tags among its inputs."""

from typing import Any, Final

from transformers import (
    FeatureExtractionPipeline,
    FillMaskPipeline,
    Pipeline,
    TextClassificationPipeline,
    TextGenerationPipeline,
    TokenClassificationPipeline,
)
from transformers.pipelines import PIPELINE_REGISTRY

from ..errors import InputError
from ..printing import quoted
from ..tagging.padding import TAG_PADDING, pad_annotation
from .guided_pipeline import GuidedModel, GuidedPipeline, read_as_alone
from .question_answering import GuidedQuestionAnswering

_PREFIX: Final[str] = "guided-"


class GuidedTextClassification(GuidedPipeline, TextClassificationPipeline):
    """`guided-text-classification`: a text, or {"text": ..., "text_pair": ...}, to its labels."""

    def preprocess(self, inputs: Any, **asked: Any) -> dict[str, Any]:
        """Annotate a text, or a pair of texts."""
        if not isinstance(inputs, dict):
            return self._annotate(inputs, **asked)
        if "text" not in inputs or inputs.keys() - {"text", "text_pair"}:
            raise InputError(f'a text and its pair are {{"text": ..., "text_pair": ...}}, not {quoted(inputs)}')
        return self._annotate(inputs["text"], inputs.get("text_pair"), **asked)


class GuidedFeatureExtraction(GuidedPipeline, FeatureExtractionPipeline):
    """`guided-feature-extraction`: a text to the features of its tokens, also in a batch without those of padding."""

    def _forward(self, model_inputs: Any) -> dict[str, Any]:
        return {"features": super()._forward(model_inputs)[0], "attention_mask": model_inputs["attention_mask"]}

    def postprocess(self, model_outputs: Any, return_tensors: bool = False) -> Any:
        """Return the features of a text's own tokens (1, tokens, width), which come first."""
        tokens = int(model_outputs["attention_mask"].sum())
        return super().postprocess((model_outputs["features"][:, :tokens],), return_tensors=return_tensors)


class GuidedFillMask(GuidedPipeline, FillMaskPipeline):
    """`guided-fill-mask`: a text with a mask token to what may stand there."""

    def preprocess(self, inputs: Any, tokenizer_kwargs: Any = None, **_: Any) -> dict[str, Any]:
        """Annotate a text, which must hold a mask."""
        made = self._annotate(inputs, **(tokenizer_kwargs or {}))
        self.ensure_exactly_one_mask_token(made)
        return made


class GuidedTokenClassification(GuidedPipeline, TokenClassificationPipeline):
    """`guided-token-classification`: a text to a label for each token, or each group of them."""

    def preprocess(self, sentence: Any, offset_mapping: Any = None, **asked: Any) -> Any:
        """Annotate a text, or with `stride` its windows, and say where tokens stand."""
        if asked.pop("is_split_into_words", False) or offset_mapping is not None:
            raise InputError("guided-token-classification takes texts, without is_split_into_words or offsets")
        if not isinstance(sentence, str):
            raise InputError(f"guided-token-classification takes texts, but got {quoted(sentence)}")
        windows = asked.pop("tokenizer_params", {})
        made = self.annotator(
            sentence, return_tensors="pt", return_offsets_mapping=True, return_special_tokens_mask=True, **windows
        )
        made.pop("overflow_to_sample_mapping", None)
        count = len(made["input_ids"])
        for number in range(count):
            window = {name: rows[number : number + 1] for name, rows in made.items()}
            yield {**window, "sentence": None if number else sentence, "is_last": number == count - 1}

    def _forward(self, model_inputs: Any) -> Any:
        model_inputs = read_as_alone(model_inputs)
        kept = {name: model_inputs.pop(name) for name in _NOT_READ}
        logits = self.model(**model_inputs)["logits"]
        return {
            "logits": logits,
            **kept,
            "word_ids": None,
            "word_to_chars_map": None,
            "input_ids": model_inputs["input_ids"],
        }


class GuidedTextGeneration(GuidedPipeline, TextGenerationPipeline):
    """`guided-text-generation`: a prompt, or a conversation, to how it goes on."""

    def preprocess(self, prompt_text: Any, prefix: str = "", **asked: Any) -> dict[str, Any]:
        """Annotate a prompt, or a conversation, which a template spells."""
        if wrong := [name for name in _NOT_TAKEN if asked.get(name) is not None]:
            raise InputError(
                f"guided-text-generation doesn't take {', '.join(wrong)}; spell the prompt with annotate.chat"
            )
        messages = getattr(prompt_text, "messages", None)
        if messages is not None:
            goes_on = asked.get("continue_final_message")
            goes_on = messages[-1]["role"] == "assistant" if goes_on is None else goes_on
            spelled = {"add_generation_prompt": not goes_on, "continue_final_message": goes_on}
            made = dict(self.annotator.chat(messages, return_tensors="pt", **spelled))
        else:
            made = self._annotate(prefix + prompt_text)
        return {**made, "prompt_text": prompt_text}

    def _forward(self, model_inputs: Any, **generate_kwargs: Any) -> Any:
        pad_annotation(model_inputs)
        annotation = {name: model_inputs.pop(name) for name in TAG_PADDING}
        return TextGenerationPipeline._forward(self, model_inputs, **annotation, **generate_kwargs)


_NOT_READ: Final[tuple[str, ...]] = ("special_tokens_mask", "offset_mapping", "sentence", "is_last")
_NOT_TAKEN: Final[tuple[str, ...]] = (
    "add_special_tokens", "documents", "handle_long_generation", "padding", "tokenizer_encode_kwargs", "tools",
    "truncation",
)  # fmt: skip
TASKS: Final[dict[str, type[Pipeline]]] = {
    "text-classification": GuidedTextClassification,
    "token-classification": GuidedTokenClassification,
    "question-answering": GuidedQuestionAnswering,
    "fill-mask": GuidedFillMask,
    "feature-extraction": GuidedFeatureExtraction,
    "text-generation": GuidedTextGeneration,
}


def register() -> None:
    """Make `transformers.pipeline` know the tasks; doing it again changes nothing."""
    for task, pipeline_class in TASKS.items():
        if f"{_PREFIX}{task}" not in PIPELINE_REGISTRY.supported_tasks:
            PIPELINE_REGISTRY.register_pipeline(
                f"{_PREFIX}{task}", pipeline_class=pipeline_class, pt_model=GuidedModel, type="text"
            )
