"""Results of a perplexity run that never was."""

GROUPS = ("names", "nouns", "verbs", "others")


def found(mean, *, alone=False):
    return {"mean": mean, "low": None if alone else mean - 0.01, "high": None if alone else mean + 0.01}


def loss_row(name, *, control=None, of=None, mean=0.1, **changes):
    differences = {
        "difference": found(mean), "difference_by_tag": {group: found(mean) for group in GROUPS},
        "difference_by_distance": {distance: found(mean) for distance in ("new", "within", "beyond")},
    }  # fmt: skip
    return {
        "name": name, "control": control, "of": of, "note": "", "sinks": "none", "pairs": 0.25, "cache": 0.3,
        "loss": 3.0 + mean, "tokens": 900,
        "loss_by_tag": {group: {"loss": 3.0, "tokens": 9} for group in GROUPS},
        "loss_by_distance": {distance: {"loss": 3.0, "tokens": 9} for distance in ("new", "within", "beyond")},
        **(dict.fromkeys(differences) if name == "full" else differences),
        "against": None if of is None else {"grammar": of, **differences}, "seconds": 2.0, **changes,
    }  # fmt: skip


def loss_results(**changes):
    rows = [loss_row("full"), loss_row("far"), loss_row("far-rarest", control="rarest", of="far", mean=-0.2)]
    return {
        "format": 1, "config": {"length": 4096, "skip": 512, "near": 256}, "future": {},
        "model": {"name": "tiny", "model_type": "llama", "layers": 2, "heads": 4, "key_heads": 2},
        "tagger": {"name": "t"}, "environment": {"commit": None}, "planned": [row["name"] for row in rows],
        "texts": [{"name": "a.txt", "tokens": 1000, "skipped": 100, "counted": 900, "whole": True, "sha256": "0"}],
        "rows": rows, "meanings": {"rarest": "as many of the rarest"}, "complete": True, **changes,
    }  # fmt: skip
