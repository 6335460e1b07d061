"""`grammask bench --calibrate`: measured, shown, kept; no benchmark is run."""

import pytest
import torch
from typer.testing import CliRunner

from grammask.attention.calibration import calibrate, current
from grammask.attention.calibration.defaults import default_rates
from grammask.attention.calibration.stored import Machine, read_rates
from grammask.cli.app import app
from grammask.errors import ExperimentError


def test_calibrate_measures_shows_and_keeps(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAMMASK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(calibrate, "measure_rates", lambda dtype: default_rates(dtype, 1))
    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads()
    result = CliRunner().invoke(
        app, ["bench", "--calibrate", "--dtypes", "float32,bfloat16-weights,bfloat16", "--threads", "1,2"]
    )
    current.forget_rates()
    assert result.exit_code == 0, result.output
    assert torch.get_num_threads() == before
    for dtype in (torch.float32, torch.bfloat16):
        for threads in (1, 2):
            machine = Machine.here(dtype, threads)
            assert read_rates(machine) is not None
            assert str(machine.file) in result.output
    assert "copied keys" in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache"]


def test_calibrate_refuses_what_bench_refuses():
    result = CliRunner().invoke(app, ["bench", "--calibrate", "--dtypes", "int8"])
    assert result.exit_code != 0


@pytest.mark.parametrize(
    "given", [["--lengths", "64"], ["--out", "x"], ["--masks", "causal"], ["--no-memory"]], ids=str
)
def test_calibrate_leaves_no_option_out(given):
    result = CliRunner().invoke(app, ["bench", "--calibrate", *given])
    assert isinstance(result.exception, ExperimentError)
    assert str(result.exception).endswith(
        "--calibrate exclude each other; measuring takes --dtypes and --threads alone"
    )
