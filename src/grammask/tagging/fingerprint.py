"""What is in a pipeline, as one short text: names and versions don't tell, `spacy train` gives all of them the same."""

import json
from hashlib import blake2b
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from spacy.language import Language

# Of the file they came from: what a pipeline is called, and which words it has met so far.
_LEFT_OUT: Final[tuple[str, ...]] = ("vocab", "meta", "config")


def fingerprint(nlp: "Language") -> str:
    """Return spaCy's version and a hash of what tags depend on: weights, labels, rules, tables, tokenizer, settings.

    It is the same in every process and on every machine. The names of the pipeline and of its file have no part in it.
    """
    digest = blake2b(digest_size=16)
    unordered = [name for name, pipe in nlp.components if _punctuation(pipe) is not None]
    content = nlp.to_bytes(exclude=[*_LEFT_OUT, *unordered])
    # Each part is told from the next by its length.
    for part in (_settings(nlp), content, *_tables(nlp)):
        digest.update(len(part).to_bytes(8, "little") + part)
    return f"spacy {'.'.join(version('spacy').split('.')[:2])} {digest.hexdigest()}"


def _settings(nlp: "Language") -> bytes:
    """Return the language, and what each component was made from; code of others goes by its name."""
    components = [
        (name, f"{type(pipe).__module__}.{type(pipe).__qualname__}", nlp.get_pipe_config(name), _punctuation(pipe))
        for name, pipe in nlp.pipeline
    ]
    return json.dumps([nlp.lang, nlp.config["nlp"]["tokenizer"], components], sort_keys=True, default=str).encode()


def _punctuation(pipe: object) -> list[str] | None:
    """Return what ends sentences: a set, which the sentencizer would write in another order in each process."""
    from spacy.pipeline import Sentencizer

    return sorted(pipe.punct_chars) if isinstance(pipe, Sentencizer) else None


def _tables(nlp: "Language") -> tuple[bytes, bytes]:
    """Return the lookup tables, such as norms of words, and the word vectors."""
    lookups = {name: nlp.vocab.lookups.get_table(name) for name in sorted(nlp.vocab.lookups.tables)}
    return (
        json.dumps({name: sorted(table.items()) for name, table in lookups.items()}, default=str).encode(),
        nlp.vocab.vectors.to_bytes(exclude=["strings"]),
    )
