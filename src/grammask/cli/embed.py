"""`grammask embed`: the embeddings, or a classifier's predictions, of a corpus."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ExperimentError
from .options import Address, Column, Corpus, Keep, PartRows, SavedModel, Workers, split
from .tag_corpus import run_corpus

if TYPE_CHECKING:
    from ..data.corpus.text_batches import TextBatches


def embed_command(
    model: SavedModel,
    out: Annotated[Path, typer.Option(help="The folder of what is made.")],
    corpus: Corpus = None,
    column: Column = "text",
    keep: Keep = "",
    part_rows: PartRows = 5000,
    workers: Workers = None,
    address: Address = None,
) -> None:
    """Write the embeddings, or a classifier's predictions, of a corpus, by a saved guided model (on Ray)."""
    if corpus is None:
        raise ExperimentError("embed needs a file or a folder: --corpus IN")

    def make() -> "TextBatches":
        from ..data.corpus.batch_embedder import BatchEmbedder

        return BatchEmbedder(model, column=column)

    run_corpus(make, corpus, out, keep=split(keep), part_rows=part_rows, address=address, workers=workers)
