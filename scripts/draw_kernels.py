"""Draw docs/kernels.svg, the picture of kernels.md: python scripts/draw_kernels.py."""

from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from grammask.attention.blocks.block import Block, BlockGroup
from grammask.attention.make_plan import make_plan
from grammask.data.film_reviews import film_review_texts
from grammask.grammar.masks import allowed_pairs
from grammask.grammar.tags import CLS, SEP
from grammask.tagging.load_tagger import load_tagger

LENGTH = 160


def main() -> None:
    """Draw the allowed pairs of one text, and the blocks that the kernels compute."""
    (tagged,) = load_tagger().tag([" ".join(film_review_texts()[:20])])
    tags = torch.tensor([[CLS, *tagged.tag_ids.tolist()[: LENGTH - 2], SEP]])
    words = torch.tensor([[-1, *range(LENGTH - 2), -1]])
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "kernels", "font.family": "sans-serif"}):
        figure = Figure(figsize=(11, 4.2), layout="constrained", facecolor="white")
        axes = figure.subplots(1, 3)
        for place, (grammar, by_tag) in enumerate((("paper", False), ("paper", True), ("banded", False))):
            _draw(axes[place], grammar, tags, words, by_tag=by_tag)
        figure.savefig(Path(__file__).parents[1] / "docs" / "kernels.svg", metadata={"Date": None})


def _draw(axes: Axes, grammar: str, tags: torch.Tensor, words: torch.Tensor, *, by_tag: bool) -> None:
    plan = make_plan(grammar, tag_ids=tags, word_ids=words)
    allowed = allowed_pairs(plan.layer_tables[0], tag_ids=tags, word_ids=words)[0, 0]
    rows = keys = torch.arange(LENGTH)
    groups = plan.block_groups(0)
    if by_tag:
        rows = torch.cat([_positions(group.rows.positions) for group in groups])
        keys = _positions(groups[-1].keys.positions)
    axes.imshow(allowed[rows][:, keys].numpy(), cmap=ListedColormap(["#eef1f4", "#8db8de"]), interpolation="nearest")
    if grammar == "banded" or by_tag:
        done = 0
        for group in groups:
            for block in group.blocks:
                _outline(axes, group, block, done if by_tag else 0)
            done += group.rows.count
    title = "sorted by tag: a few blocks" if by_tag else "in reading order"
    axes.set_title(f"{grammar}, " + ("chunks over their windows" if grammar == "banded" else title), fontsize=10)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("keys")
    axes.set_ylabel("queries")


def _outline(axes: Axes, group: BlockGroup, block: Block, above: int) -> None:
    """Outline a block, each run of its keys; of a stack, each chunk over its window."""
    if isinstance(block.keys, torch.Tensor) and block.stack == 1:
        breaks = (block.keys.diff() != 1).nonzero()[:, 0] + 1
        for run in block.keys.tensor_split(breaks):
            _box(axes, int(run[0]), above + block.rows.start, int(run[-1]) + 1, above + block.rows.stop)
        return
    if isinstance(block.keys, slice):
        if isinstance(group.keys.positions, torch.Tensor) or above:
            _box(axes, block.keys.start, above + block.rows.start, block.keys.stop, above + block.rows.stop)
        return
    if block.stack > 1:
        for number, keys in enumerate(block.keys.view(block.stack, -1)):
            window = keys[:-2]  # the last two are the columns of [CLS] and [SEP]
            top = block.rows.start + number * block.chunk
            _box(axes, int(window[0]), top, int(window[-1]) + 1, min(top + block.chunk, LENGTH))


def _box(axes: Axes, left: int, top: int, right: int, bottom: int) -> None:
    axes.add_patch(
        Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, edgecolor="#d9822b", linewidth=1.1)
    )


def _positions(columns: slice | torch.Tensor) -> torch.Tensor:
    return torch.arange(columns.start, columns.stop) if isinstance(columns, slice) else columns


if __name__ == "__main__":
    main()
