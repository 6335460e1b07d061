"""The page of explained texts."""

from collections.abc import Mapping
from typing import Any, Final

from markupsafe import Markup

from ..printing import printable
from .arcs_svg import arcs_svg, colour_of
from .page import percent, points, read_script, render_page

_MOST: Final[int] = 12  # rows of a table of rules; the rest is one row
_CONTEXT: Final[int] = 30  # words before a token that head its explanation


def explain_page(explained: Mapping[str, Any]) -> str:
    """Return the page of `Explanations.to_dict()` as HTML."""
    texts = explained["texts"]
    sources = texts[0]["sources"]
    used = {arc["source"] for text in texts for arc in text["arcs"]}
    heads = {head for text in texts for arc in text["arcs"] for _, head, _ in arc["heads"]}
    return render_page(
        "explain.html.j2",
        script=read_script("explain.js"),
        **{key: explained[key] for key in ("grammar", "strategy", "model")},
        texts=[_shown(text, f"text{number}") for number, text in enumerate(texts)],
        sources=[
            {"label": source_label(source), "place": place} for place, source in enumerate(sources) if place in used
        ],
        layers=texts[0]["layers"],
        heads=sorted(heads),
        percent=percent,
    )


def masses_of(text: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the shares of a text's attention by source and layer, the largest first, small ones as one row."""
    rows = [
        {"name": source_label(source), "shares": [layer[place] for layer in text["mass"]]}
        for place, source in enumerate(text["sources"])
    ]
    rows = sorted((row for row in rows if sum(row["shares"]) > 0), key=lambda row: -sum(row["shares"]))
    rest = rows[_MOST:]
    if rest:
        shares = [sum(layer) for layer in zip(*(row["shares"] for row in rest), strict=True)]
        rows = [*rows[:_MOST], {"name": f"{len(rest)} others", "shares": shares}]
    return rows


def source_label(source: Mapping[str, Any]) -> str:
    """Return what a source is called, with its number in the grammar where it is a rule, and how many have its name."""
    rules = f" ({1 + len(source['others'])} rules)" if source.get("others") else ""
    return str(source["key"] if source["key"] == source["name"] else f"{source['key']}: {source['name']}{rules}")


def unit_of(text: Mapping[str, Any]) -> str:
    """Return what importance is counted in: points of a label's probability, nats of a token's log-probability."""
    return "points" if text["token"] is None else "nats"


def in_unit(text: Mapping[str, Any], value: float) -> str:
    """Return a difference in the text's unit, with its sign."""
    return points(value) if text["token"] is None else f"{value:+.2f}"


def answer_label(text: Mapping[str, Any], label: str) -> str:
    """Return a label as it is, and a token so that its spaces and line breaks are seen."""
    return label if text["token"] is None else f"“{printable(label)}”"


def _shown(text: Mapping[str, Any], name: str) -> dict[str, Any]:
    changing = sorted((row for row in text["ablations"] if row["log_change"]), key=lambda row: -abs(row["log_change"]))
    sources = text["sources"]
    in_arcs = dict.fromkeys(arc["source"] for arc in text["arcs"])
    return {
        **text,
        "answer": answer_label(text, text["label"]),
        "answers": [(answer_label(text, label), value) for label, value in text["probabilities"].items()],
        "unit": unit_of(text),
        "context": _context(text),
        "arcs_svg": Markup(arcs_svg(text, name)),  # noqa: S704 - displaCy escapes the words, we the rest
        "shaded": _shaded(text),
        "rows": [
            {**word, **{key: in_unit(text, word[key]) for key in ("importance", "through_rules")}}
            for word in text["words"]
        ],
        "answered_by": text["words"][text["answered_at"]]["text"],
        "masses": masses_of(text),
        "ablated": [
            {
                "name": source_label(sources[row["source"]]),
                "change": points(row["change"]),
                "log_change": f"{row['log_change']:+.2f}",
                "share": row["share"],
            }
            for row in changing[:_MOST]
        ],
        "unchanged": len(text["ablations"]) - len(changing),
        "switched_off": len(text["ablations"]),
        "legend": [
            {"label": source_label(sources[place]), "colour": colour_of(place, sources[place]["key"])}
            for place in sorted(in_arcs)
        ],
    }


def _context(text: Mapping[str, Any]) -> str:
    """Return the text, or the last words that were read before a token."""
    if text["token"] is None:
        return str(text["text"])
    words = [word["text"] for word in text["words"] if word["is_word"]]
    return ("… " if len(words) > _CONTEXT else "") + " ".join(words[-_CONTEXT:])


def _shaded(text: Mapping[str, Any]) -> list[dict[str, Any]]:
    words = [word for word in text["words"] if word["is_word"]]
    largest = max((abs(word["importance"]) for word in words), default=0.0) or 1.0
    return [
        {
            **word,
            "side": "for" if word["importance"] > 0 else "against",
            "share": round(abs(word["importance"]) / largest, 3),
            "tooltip": f"{in_unit(text, word['importance'])} {unit_of(text)}",
        }
        for word in words
    ]
