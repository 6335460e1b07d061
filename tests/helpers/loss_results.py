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


def copied(value, **of):
    return {**of, "value": value, "interval": [value - 0.1, value + 0.1], "questions": 12}


def recall_row(name, *, moment="before", value=0.5, reads_on=True):
    differences = {
        key: {"value": -0.25, "interval": [-0.5, 0.125]}
        for key in ("exact", "loss", "continuation_loss", "continuation_name_loss")
    }
    return {
        "name": name, "moment": moment, "texts": 1, "share": 0.25, "exact": copied(value), "loss": 1.0, "seconds": 1.0,
        "by_kind": [copied(value, kind=kind) for kind in ("code", "date", "name")],
        "by_distance": [copied(value, target=target) for target in (500, 1000)],
        **({"continuation": {"share": 0.25, "loss": 3.0625, "name_loss": 2.0}} if reads_on else {}),
        **({} if name == "full" else {"difference": differences}),
    }  # fmt: skip


def recall_results(**changes):
    rows = [
        recall_row("full", moment="never", value=0.75), recall_row("far"),
        recall_row("snapkv", moment="known", value=0.3125, reads_on=False),
    ]  # fmt: skip
    return {
        "settings": {"distances": [500, 1000]}, "reference": "far", "rows": rows,
        "meanings": {"snapkv": "by 64 tokens"},
        "texts": [{"name": "a.txt", "tokens": 1000, "questions": 6}],
        "planned": ["full.never", "far.before", "snapkv.known"], "complete": True, **changes,
    }  # fmt: skip
