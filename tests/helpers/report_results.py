"""Results of a comparison that never ran."""


def row(strategy, grammar, accuracy, difference, interval):
    return {
        "grammar": grammar, "strategy": strategy, "control": None, "adaptation": None, "seeds": [0, 1],
        "accuracy": accuracy,
        "accuracy_interval": [accuracy - 0.02, accuracy + 0.02], "accuracy_by_seed": [accuracy - 0.01, accuracy + 0.01],
        "f1": accuracy, "matthews": 0.5, "difference": difference, "difference_interval": interval,
        "p_holm": None if difference is None else 0.0123, "p_inferior": None if difference is None else 0.9,
        "density": 0.3, "word_density": 0.25, "attention_flops_relative": 0.3, "model_flops_relative": 0.99,
        "training_seconds": 10.0, "evaluation_seconds": 1.0, "peak_memory_bytes": 2**30,
    }  # fmt: skip


def results(**changes):
    run = {
        "id": "full-seed0", "accuracy": 0.8, "f1": 0.8, "matthews": 0.6, "training_loss": 0.4,
        "seconds": {"tagging": 1.0, "planning": 0.1, "training": 10.0, "evaluation": 1.0}, "finished_at": "now",
    }  # fmt: skip
    task = {
        "name": "films", "source": "built-in", "note": "a note", "labels": ["a", "b"], "train_rows": 6000,
        "train_available": 9536, "dev_rows": 10, "dev_available": 1030, "sha256": "0",
    }  # fmt: skip
    return {
        "format": 1, "config": {"epochs": 1.0, "seeds": [0, 1], "metric": "accuracy", "margin": 0.01}, "task": task,
        "model": {"name": "minilm", "model_type": "bert", "layers": 6}, "tagger": {"name": "t"},
        "environment": {"commit": None}, "planned_runs": 1, "finished_runs": 1, "runs": [run], "complete": True,
        "meanings": {},
        "summary": [row("full", None, 0.85, None, None), row("hard", "paper", 0.8, -0.05, [-0.08, -0.02])],
        **changes,
    }  # fmt: skip
