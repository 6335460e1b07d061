"""Draw docs/picture.svg, the README's picture: python scripts/draw_readme.py."""

from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from grammask.grammar.file import load_grammar
from grammask.grammar.masks import allowed_pairs, count_pairs
from grammask.grammar.tables import compile_tables
from grammask.grammar.tags import CLS, SEP, TAGS
from grammask.tagging.load_tagger import load_tagger

TEXT = "The quiet film about old friends never loses its nerve."


def main() -> None:
    """Tag one sentence and draw who may read whom under the paper's grammar, with and without sinks."""
    (tagged,) = load_tagger().tag([TEXT])
    words = ["[CLS]", *(TEXT[s:e] for s, e in zip(tagged.starts, tagged.ends, strict=True)), "[SEP]"]
    tag_ids = torch.tensor([[CLS, *tagged.tag_ids.tolist(), SEP]])
    word_ids = torch.tensor([[-1, *range(len(tagged)), -1]])
    labels = [f"{word}  {TAGS[tag]}" if tag < CLS else word for word, tag in zip(words, tag_ids[0], strict=True)]
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "picture", "font.family": "sans-serif"}):
        figure = Figure(figsize=(10, 4.6), layout="constrained", facecolor="white")
        for number, (axes, name) in enumerate(zip(figure.subplots(1, 2), ("paper", "paper-sinks"), strict=True)):
            allowed = allowed_pairs(compile_tables(load_grammar(name)), tag_ids=tag_ids, word_ids=word_ids)
            density = count_pairs(allowed, tag_ids=tag_ids, word_ids=word_ids).density
            axes.pcolormesh(allowed[0, 0].numpy(), cmap=ListedColormap(["#eef1f4", "#3b82c4"]), edgecolors="white")
            axes.set_aspect("equal")
            axes.invert_yaxis()
            places = [place + 0.5 for place in range(len(words))]
            axes.set_xticks(places, words, rotation=90)
            axes.set_yticks(places, labels if number == 0 else [""] * len(words))
            axes.tick_params(length=0)
            axes.set_title(f"{name}: {density:.0%} of all pairs", fontsize=11)
            axes.set_xlabel("is read")
        figure.axes[0].set_ylabel("reads")
        figure.savefig(Path(__file__).parents[1] / "docs" / "picture.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
