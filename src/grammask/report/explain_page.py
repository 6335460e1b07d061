"""The page of explained texts."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from .arcs_svg import arcs_svg, colour_of
from .page import percent, points, read_script, render_page

_MOST: Final[int] = 12  # rows of a table of rules; the rest is one row


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
        sources=[{**source, "place": place} for place, source in enumerate(sources) if place in used],
        layers=texts[0]["layers"],
        heads=sorted(heads),
        percent=percent,
        points=points,
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
    """Return what a source is called, with its number in the grammar where it is a rule."""
    return str(source["key"] if source["key"] == source["name"] else f"{source['key']}: {source['name']}")


def _shown(text: Mapping[str, Any], name: str) -> dict[str, Any]:
    changing = sorted((row for row in text["ablations"] if row["change"]), key=lambda row: -abs(row["change"]))
    sources = text["sources"]
    in_arcs = dict.fromkeys(arc["source"] for arc in text["arcs"])
    return {
        **text,
        "arcs_svg": Markup(arcs_svg(text, name)),  # noqa: S704 - displaCy escapes the words, we the rest
        "shaded": _shaded(text["words"]),
        "masses": masses_of(text),
        "ablated": [
            {
                "name": source_label(sources[row["source"]]),
                "change": points(row["change"]),
                "share": row["share"],
            }
            for row in changing[:_MOST]
        ],
        "unchanged": len(text["ablations"]) - len(changing),
        "switched_off": len(text["ablations"]),
        "legend": [{**sources[place], "colour": colour_of(place, sources[place]["key"])} for place in sorted(in_arcs)],
    }


def _shaded(words: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    largest = max((abs(word["importance"]) for word in words if word["is_word"]), default=0.0) or 1.0
    return [
        {
            **word,
            "side": "for" if word["importance"] > 0 else "against",
            "share": round(abs(word["importance"]) / largest, 3),
            "tooltip": f"{points(word['importance'])} points",
        }
        for word in words
        if word["is_word"]
    ]
