"""What the pipelines of guided models share: the model and its annotator from one folder, and padding with tags."""

from typing import Any, Final

from ..errors import GrammaskError, InputError, ModelError, TaggingError
from ..model.attachment import guide_of
from ..model.from_pretrained import from_pretrained
from ..printing import quoted
from ..tagging.annotate import Annotator
from ..tagging.padding import pad_annotation, padded_right

_OWN: Final[str] = "annotator=annotate, model_kwargs={'annotator': False}) takes another annotator"


def read_as_alone(model_inputs: Any) -> dict[str, Any]:
    """Return a pipeline's batch so that a model reads each text as it reads it alone."""
    pad_annotation(model_inputs)
    return padded_right(model_inputs)


class GuidedModel:
    """What `transformers.pipeline` loads a guided model with."""

    @classmethod
    def from_pretrained(cls, name: str, **kwargs: Any) -> Any:
        """Load a model with its annotator; raises `GrammaskError`."""
        kwargs.pop("_from_pipeline", None)
        try:
            return from_pretrained(name, **kwargs)
        except TaggingError as error:
            raise GrammaskError(f"{error}: pipeline(..., {_OWN})") from error
        except GrammaskError as error:  # transformers would try other classes after a ValueError, and lose the reason
            raise GrammaskError(str(error)) from error


class GuidedPipeline:
    """Goes before a pipeline's class: texts are annotated, and the tags reach the model."""

    _load_tokenizer = False  # it is the annotator's

    def __init__(self, *, model: Any, annotator: Annotator | None = None, **kwargs: Any) -> None:
        self.annotator: Any = annotator or guide_of(model).annotator
        if self.annotator is None:
            raise ModelError(
                "this model was saved without an annotator; give one: pipeline(..., annotator=annotate), or name it "
                "before the model is saved: grammask.attach(..., annotator=annotate)"
            )
        super().__init__(**{**kwargs, "model": model, "tokenizer": self.annotator.tokenizer})

    def preprocess(self, inputs: Any, **asked: Any) -> Any:
        """Annotate a text."""
        return self._annotate(inputs, **asked)

    def _forward(self, model_inputs: Any) -> Any:
        return super()._forward(read_as_alone(model_inputs))  # type: ignore[misc]

    def _annotate(self, text: Any, pair: Any = None, **asked: Any) -> dict[str, Any]:
        """Return a text's inputs; of what pipelines ask of tokenizers, a length is obeyed, and cutting goes without."""
        for given in (text, "" if pair is None else pair):
            if not isinstance(given, str):
                raise InputError(f"guided pipelines take a text, or a list of texts, but got {quoted(given)}")
        limit = asked.pop("max_length", None)
        if not asked.pop("truncation", True) or asked:
            wrong = ", ".join(sorted(asked)) or "truncation=False"
            raise InputError(f"guided pipelines take max_length only, but not {wrong}; texts are always cut")
        return dict(self.annotator(text, pair, max_length=limit, return_tensors="pt", return_attention_mask=True))
