"""Documents of two labels and a tiny model that reads 512 tokens, for the scripts that measure long documents."""

from helpers.tiny_models import tiny_model
from helpers.tokenizers_for_tests import tokenizer


def save_documents(folder, rows):
    """Write documents.tsv of (label, text) and the model, tiny, into a folder; return both paths."""
    made = tokenizer("wordpiece")
    model = tiny_model("bert", vocab_size=len(made), pad_token_id=made.pad_token_id, max_position_embeddings=512)
    model.base_model.save_pretrained(folder / "tiny")
    made.save_pretrained(folder / "tiny")
    documents = folder / "documents.tsv"
    documents.write_text("\n".join([*(f"{label}\t{text}" for label, text in rows), ""]), encoding="utf-8")
    return documents, folder / "tiny"
