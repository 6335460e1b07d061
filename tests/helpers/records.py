"""Records of runs that never ran."""

SHA256 = "0" * 64


def a_record(run, **changes):
    strategy, seed = run.split("-seed")
    grammar, _, strategy = strategy.rpartition("-")
    return {
        "id": run, "grammar": grammar or None, "strategy": strategy, "control": None, "adaptation": None,
        "seed": int(seed), "accuracy": 0.75, "accuracy_interval": [0.3, 0.9], "f1": 0.7, "matthews": 0.5,
        "density": 1.0, "word_density": 1.0, "attention_flops_relative": 1.0, "model_flops_relative": 1.0,
        "seconds": {"tagging": 0.0, "planning": 0.0, "training": 1.0, "evaluation": 1.0}, "peak_memory_bytes": 9,
        "training_loss": 0.6, "finished_at": "2026-01-01T00:00:00+00:00", "environment": {"precision": "float32"},
        "grammar_sha256": SHA256 if grammar else None, "predictions": "0 1 1 0", **changes,
    }  # fmt: skip
