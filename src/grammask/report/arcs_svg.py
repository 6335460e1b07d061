"""The arcs of a text as SVG, drawn by displaCy, with data attributes by which the page filters them."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from spacy.displacy.render import DependencyRenderer

from ..printing import writable
from .figure import COLOURS

_DISTANCE: Final[int] = 84  # pixels from word to word
_RISE: Final[float] = _DISTANCE / 6  # of each level of arcs, in displaCy's compact style
_WORDS: Final[int] = 62  # pixels for words and tags below the arcs
_IMPLIED: Final[tuple[str, ...]] = ("sink", "self", "same word", "[UNK]", "no rule")
_GREY: Final[str] = COLOURS[-2]
_LONGEST: Final[int] = 14  # letters of a word that fit next to its neighbours


def colour_of(place: int, key: str) -> str:
    """Return the colour of a source; sources that are no rule are grey."""
    return _GREY if key in _IMPLIED else COLOURS[place % (len(COLOURS) - 2)]


def arcs_svg(text: Mapping[str, Any], name: str) -> str:
    """Return the words and arcs of one explained text as SVG; no two of a page share a `name`.

    Every arc's group has the data attributes rule (the source's place), implied (where no rule is needed), direction
    (of what is read: before or after), and heads (layer:head:share, with spaces between).
    """
    sources, arcs = text["sources"], sorted(text["arcs"], key=lambda arc: abs(arc["key"] - arc["query"]))
    words = [{"text": _short(word["text"]), "tag": escape(word["tag"])} for word in text["words"]]
    drawn = [
        {
            "start": min(arc["query"], arc["key"]), "end": max(arc["query"], arc["key"]),
            "label": escape(_label(sources[arc["source"]]["key"])),
            "dir": "left" if arc["key"] < arc["query"] else "right",
        }
        for arc in arcs
    ]  # fmt: skip
    renderer = DependencyRenderer({
        "compact": True, "distance": _DISTANCE, "arrow_stroke": 1.5, "arrow_width": 6, "word_spacing": 22,
        "color": "currentColor", "bg": "none", "font": "inherit",
    })  # fmt: skip
    # displaCy shortens an arc by a quarter of this for every level above it: never so far that it leaves its word.
    levels = max(renderer.get_levels(drawn).values(), default=1)
    renderer.arrow_spacing = min(8.0, _DISTANCE / levels)
    renderer.direction = "rtl" if is_right_to_left(text["text"]) else "ltr"
    svg = renderer.render_svg(name, words, drawn)
    attributes = iter([_attributes(arc, sources) for arc in arcs])
    svg = re.sub('<g class="displacy-arrow">', lambda _: f'<g class="displacy-arrow" {next(attributes)}>', svg)
    return writable(_cropped(svg.strip(), renderer))


def is_right_to_left(text: str) -> bool:
    """Tell whether the first letter with a direction runs from right to left."""
    kinds = (unicodedata.bidirectional(letter) for letter in text)
    return next((kind in ("R", "AL") for kind in kinds if kind in ("L", "R", "AL")), False)


def _attributes(arc: Mapping[str, Any], sources: Sequence[Mapping[str, Any]]) -> str:
    heads = " ".join(f"{layer}:{head}:{share:.3f}" for layer, head, share in arc["heads"])
    direction = "before" if arc["key"] < arc["query"] else "after"
    colour = colour_of(arc["source"], sources[arc["source"]]["key"])
    data = {"rule": arc["source"], "direction": direction, "heads": heads}
    data |= {"implied": "yes"} if sources[arc["source"]]["key"] in _IMPLIED else {}
    attributes = " ".join(f'data-{name}="{value}"' for name, value in data.items())
    return f'{attributes} style="color: {colour}"'


def _cropped(svg: str, renderer: DependencyRenderer) -> str:
    """Cut off the empty space that displaCy leaves above compact arcs."""
    top = renderer.offset_y - _RISE * renderer.highest_level - 12
    height = renderer.offset_y + _WORDS - top
    head, rest = svg.split(">", 1)
    head = re.sub(r'height="[^"]*"', f'height="{height:g}" viewBox="0 {top:g} {renderer.width:g} {height:g}"', head)
    return re.sub(r"height: [^;]*;", f"height: {height:g}px;", head) + ">" + rest


def _label(key: str) -> str:
    return key.removeprefix("rule ")


def _short(word: str) -> str:
    return word if len(word) <= _LONGEST else f"{word[: _LONGEST - 1]}…"
