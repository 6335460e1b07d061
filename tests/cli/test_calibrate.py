"""`grammask bench --calibrate`: measured, shown, kept; no benchmark is run."""

import pytest
import torch
from helpers.gpu_rates import gpu_rates
from typer.testing import CliRunner

from grammask.attention.calibration import calibrate, current
from grammask.attention.calibration.defaults import default_rates
from grammask.attention.calibration.gpu.rates import GpuRates
from grammask.attention.calibration.rates import Rates
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
            assert read_rates(machine, Rates) is not None
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
        "--calibrate exclude each other; measuring takes --dtypes, --threads and --device alone"
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_calibrate_says_that_there_is_no_gpu():
    result = CliRunner().invoke(app, ["bench", "--calibrate", "--device", "cuda"])
    assert "PyTorch finds no GPU here" in str(result.exception)


def test_a_gpu_is_measured_shown_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAMMASK_CACHE", str(tmp_path))
    rates = gpu_rates()
    monkeypatch.setattr("grammask.cli.bench.check_device", lambda device: None)
    monkeypatch.setattr(calibrate, "measure_gpu_rates", lambda dtype, device: rates)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Card 1")
    result = CliRunner().invoke(app, ["bench", "--calibrate", "--device", "cuda", "--dtypes", "bfloat16"])
    current.forget_rates()
    assert result.exit_code == 0, result.output
    machine = Machine.of_gpu(torch.bfloat16, "Card 1")
    assert vars(read_rates(machine, GpuRates)) == vars(rates)
    for shown in ("Card 1, CUDA", "FlexAttention, ns", "looked up", str(machine.file)):
        assert shown in result.output
    result = CliRunner().invoke(app, ["bench", "--calibrate", "--device", "cuda", "--threads", "2"])
    assert str(result.exception).startswith("--threads and --device cuda exclude each other")
