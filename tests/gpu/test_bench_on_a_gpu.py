"""The benchmark times one layer and whole models on a GPU, and says what memory each call takes."""

import pytest

from grammask.bench.run import run_bench
from grammask.bench.settings import make_bench_config


@pytest.mark.parametrize("model", ["bert", "llama"])
def test_a_benchmark_runs_there(model, tmp_path):
    config = make_bench_config(
        device="cuda", levels=["operator", "model"], grammars=["mixed"], strategies=["hard"], lengths=[300],
        batch_sizes=[2], heads=4, head_dim=16, backends=["dense", "flex"], peers=["dense-masked"], model=model,
        seconds=0, tagger="english-subwords",
    )  # fmt: skip
    results = run_bench(config, tmp_path, force=False, say=print)
    assert results["complete"]
    assert results["environment"]["gpu"]
    assert not results["memory"]
    for row in results["rows"]:
        assert "reason" not in row
        assert row["call_bytes"] >= 0
        assert row.get("difference", 0) < 1e-3
    of_models = [row["contender"] for row in results["rows"] if row["level"] == "model"]
    assert of_models == ["full", "no attention", "dense", "flex"] * 2
