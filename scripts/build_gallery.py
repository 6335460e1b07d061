"""Make the gallery: train a model on the built-in sentences, explain it, and keep its pages and pictures of them.

python scripts/build_gallery.py          # trains, which takes minutes; needs chromium for the pictures
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import sync_playwright

from grammask.experiment.records import read_json
from grammask.files.write import write_whole
from grammask.report.bench_page import render_bench_report

ROOT = Path(__file__).parents[1]
GALLERY = ROOT / "docs" / "gallery"
GRAMMAR = "english"
SENTENCES = (
    "Not as good as it wants to be, but far from bad.",
    "A stirring, funny and finally moving film that nobody should miss.",
    "The plot is thin, the jokes are old, and the actors deserve better.",
    "It never quite becomes the thriller that its first scene promises.",
    "Surprisingly tender.",
)
PICTURES: Final[tuple[tuple[str, int, int, Literal["light", "dark"]], ...]] = (
    ("explain", 1100, 900, "light"),
    ("explain", 390, 844, "dark"),
    ("adherence", 1100, 900, "light"),
)


def grammask(*arguments: str) -> None:
    """Run a command as a reader would."""
    code = "from grammask.cli import main; main()"
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)  # noqa: S603 - our own arguments


def main() -> None:
    """Make all pages, then the pictures."""
    with tempfile.TemporaryDirectory() as scratch:
        runs = Path(scratch) / "runs"
        grammask(
            "compare", "--all", "--grammar", f"{GRAMMAR}:hard", "--strategies", "full,hard", "--keep-models",
            "--out", str(runs),
        )  # fmt: skip
        GALLERY.mkdir(exist_ok=True)
        shutil.copy(runs / "report.html", GALLERY / "compare.html")
        model = str(runs / "models" / f"{GRAMMAR}-hard-seed0")
        out = ("--force", "--out")
        grammask("explain", "--model", model, *SENTENCES, *out, str(GALLERY / "explain.html"))
        grammask("faithfulness", "--model", model, *out, str(GALLERY / "faithfulness.html"))
    grammask("adherence", "--grammar", GRAMMAR, *out, str(GALLERY / "adherence.html"))
    bench = render_bench_report(read_json(ROOT / "results" / "bench-forward.json"))
    write_whole(GALLERY / "bench.html", bench)
    take_pictures()


def take_pictures() -> None:
    """Take the pictures of the pages, as a reader sees them first."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, width, height, scheme in PICTURES:
            context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
            page = context.new_page()
            page.goto((GALLERY / f"{name}.html").as_uri())
            page.screenshot(path=GALLERY / f"{name}-{scheme}.png")
        browser.close()


if __name__ == "__main__":
    main()
