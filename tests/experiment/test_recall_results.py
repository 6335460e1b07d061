"""Recall in perplexity.json and on the page: it is there as far as it is measured, and nothing takes it away."""

import json

import pytest
from helpers.causal_models import FAR, save_causal_model, write_texts

from grammask.errors import ExperimentError
from grammask.experiment.perplexity.config import make_perplexity_config
from grammask.experiment.perplexity.loss_results import rebuild_perplexity
from grammask.experiment.perplexity.run_perplexity import run_perplexity
from grammask.experiment.recall import measure_recall as module

pytestmark = pytest.mark.usefixtures("own_cache")
SENTENCE = "The old sailor reads letters that nobody had written to Ada. "


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recall")
    save_causal_model(folder / "model", max_position_embeddings=1024)
    write_texts(folder / "texts", {"a.txt": SENTENCE * 30, "b.txt": SENTENCE * 29})
    (folder / "far.toml").write_text(FAR.to_toml(), encoding="utf-8")
    return {
        "model": str(folder / "model"), "text": str(folder / "texts"), "length": 900, "skip": 20, "near": 12,
        "grammars": (str(folder / "far.toml"),), "controls": (), "recall": True, "distances": (100,),
    }  # fmt: skip


def run(settings, out, *, resume=False, **changes):
    config = make_perplexity_config(**{**settings, **changes})
    return run_perplexity(config, out, resume=resume, progress=lambda parts, *_: parts, say=lambda line: None)


def read(out):
    return json.loads((out / "perplexity.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def finished(settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAMMASK_CACHE", str(out.parent / "cache"))
        run(settings, out)
    return out


def rows_of(results):
    return [(row["name"], row["moment"], row["exact"]["questions"]) for row in results["recall"]["rows"]]


def test_what_was_recalled_stays_where_a_run_goes_on(settings, finished, monkeypatch):
    before = read(finished)
    assert rows_of(before) == [("full", "never", 6), ("far", "before", 6)]
    assert before["recall"]["complete"]
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "Recall: facts copied" in page
    # Killed while another row is read: the page has the row and all recall.
    changes = {"grammars": (*settings["grammars"], "streaming")}
    monkeypatch.setattr(module, "_measure", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(settings, finished, resume=True, **changes)
    after = read(finished)
    assert [row["name"] for row in after["rows"]] == ["full", "far", "streaming"]
    assert after["recall"]["rows"] == before["recall"]["rows"]
    assert not after["recall"]["complete"]
    monkeypatch.undo()
    # Gone on with fewer rows and without recall: both are still there.
    gone_on = run(settings, finished, resume=True, recall=False, distances=())
    assert [row["name"] for row in gone_on["rows"]] == ["full", "far", "streaming"]
    assert gone_on["recall"]["rows"] == before["recall"]["rows"]
    assert gone_on["complete"]


def test_an_interrupted_recall_is_on_the_page_as_far_as_it_came(settings, tmp_path, monkeypatch):
    real, done = module._measure, []

    def killed(*given):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(1)
        return real(*given)

    monkeypatch.setattr(module, "_measure", killed)
    with pytest.raises(KeyboardInterrupt):
        run(settings, tmp_path / "out")
    partial = read(tmp_path / "out")
    assert rows_of(partial) == [("full", "never", 3), ("far", "before", 3)]
    assert not partial["recall"]["complete"]
    assert "Recall isn't finished: 1 of 2 texts" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_report_comes_from_records_alone(finished):
    before = read(finished)
    for name in ("report.html",):
        (finished / name).unlink()
    changed = dict(before) | {"complete": False, "rows": [{**row, "loss": 99.0} for row in before["rows"]]}
    (finished / "perplexity.json").write_text(json.dumps(changed), encoding="utf-8")
    results = rebuild_perplexity(finished)
    assert results == before == read(finished)
    assert "Recall: facts copied" in (finished / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"distances": (200,)}, "holds recall at --distances 100"), ({"grammars": ("streaming",)}, "that 'far' keeps")],
)
def test_recall_of_another_kind_is_refused(settings, finished, changes, message):
    before = read(finished)
    with pytest.raises(ExperimentError, match=message):
        run(settings, finished, resume=True, **changes)
    assert read(finished) == before


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("perplexity.json", "{", "damaged"),
        ("perplexity.json", '{"format": 1}', "config: Field required"),
        ("recall/*", '{"text": "a"}', "name: Field required"),
        ("runs/full-00001.json", None, "lacks records of full attention"),
    ],
)
def test_a_damaged_folder_is_told(finished, name, text, message):
    (path, *_) = finished.glob(name)
    kept = path.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8") if text else path.unlink()
    with pytest.raises(ExperimentError, match=message):
        rebuild_perplexity(finished)
    path.write_text(kept, encoding="utf-8")


def test_a_folder_without_a_run_is_told(tmp_path):
    with pytest.raises(ExperimentError, match="holds no finished row"):
        rebuild_perplexity(tmp_path)
    assert not list(tmp_path.iterdir())
