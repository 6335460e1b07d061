"""Commands in this process: libraries are loaded once for all tests, not once a command."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import transformers

from grammask.cli.app import app, run_plainly


@pytest.fixture
def grammask(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., object]:
    """Run a command as a process of its own would, and return its exit code and what it printed."""
    transformers.utils.logging.disable_progress_bar()  # a process of its own is told so before it loads anything
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: object, cwd: object = None) -> subprocess.CompletedProcess[str]:
        if cwd is not None:
            monkeypatch.chdir(cwd)  # type: ignore[arg-type]
        monkeypatch.setattr(sys, "argv", ["grammask", *map(str, arguments)])
        code = run_plainly(app)
        printed = capfd.readouterr()
        return subprocess.CompletedProcess(sys.argv, code, printed.out, printed.err)

    return run
