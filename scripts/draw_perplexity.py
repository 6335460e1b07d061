"""Draw docs/perplexity.svg, loss by part of speech against pairs: python scripts/draw_perplexity.py."""

import json
from pathlib import Path

from grammask.files.write import write_whole
from grammask.report.perplexity_plots import tag_plot

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Draw the rows of the recorded run."""
    results = json.loads((ROOT / "results" / "perplexity-longtexts.json").read_text(encoding="utf-8"))
    write_whole(ROOT / "docs" / "perplexity.svg", tag_plot(results["rows"]).svg().replace("currentColor", "#1c2024"))


if __name__ == "__main__":
    main()
