"""Tasks by name, from a Hub of our own."""

from collections.abc import Iterator

import datasets
import pytest
from helpers.hub_client import use_hub
from helpers.hub_server import OTHER_TOKEN, TOKEN, HubServer
from huggingface_hub import constants

from grammask.data.load_task import load_task
from grammask.errors import TaskError


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _client(hub, tmp_path, monkeypatch):
    use_hub(monkeypatch, hub, tmp_path / "home")
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.url)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "home" / "datasets")
    datasets.disable_progress_bars()


def table(word, number=6):
    return "".join(["text,label\n", *(f"{word} {row},{'ab'[row % 2]}\n" for row in range(number))]).encode()


def add(hub, name, word="a line", **more):
    return hub.add(f"datasets/someone/{name}", {"train.csv": table(word), "validation.csv": table("dev")}, **more)


def refused(name):
    with pytest.raises(TaskError) as caught:
        load_task(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_tasks_come_by_name_and_revision(hub):
    first = add(hub, "lines")
    add(hub, "lines", "another")
    add(hub, "lines", "a branch", branch="v1.0")
    found = {name: load_task(f"someone/lines{name}") for name in ("", f"@{first}", "@v1.0")}
    assert [task.train.texts[0] for task in found.values()] == ["another 0", "a line 0", "a branch 0"]
    assert [task.dev.labels for task in found.values()] == [(0, 1) * 3] * 3
    assert "it has no revision 'v2': name a branch" in refused("someone/lines@v2")


def test_gated_and_missing_tasks_say_what_to_do(hub, monkeypatch):
    add(hub, "gated", gated=True)
    assert "is a gated dataset on the Hub. You must be authenticated to access it" in refused("someone/gated")
    assert f"on the Hub: {hub.url} has none of this name, or it is private" in refused("someone/nothing")
    monkeypatch.setenv("HF_TOKEN", OTHER_TOKEN)
    assert "is a gated dataset on the Hub" in refused("someone/gated")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert len(load_task("someone/gated").train) == 6
    assert f"on the Hub: {hub.url} has none of this name, or it is private" in refused("someone/nothing")


def test_tasks_that_were_loaded_are_there_without_the_hub(hub, monkeypatch):
    add(hub, "kept")
    load_task("someone/kept")
    hub.stop()
    try:
        said = refused("someone/kept")
    finally:
        hub.start()
    assert "the Hub could not be reached (" in said
    assert "what was loaded before is read with HF_HUB_OFFLINE=1" in said
    hub.asked.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    assert load_task("someone/kept").train.texts[0] == "a line 0"
    assert "it isn't in the cache, and HF_HUB_OFFLINE is set" in refused("someone/elsewhere")
    assert hub.asked == []


def test_a_table_that_breaks_off_is_read_whole_or_not_at_all(hub):
    add(hub, "broken")
    hub.breaks["train.csv"] = [20] + [0] * 40
    said = refused("someone/broken")
    hub.breaks.clear()
    assert "the Hub could not be reached (" in said or "the Hub did not give it (" in said
    assert load_task("someone/broken").train.texts[-1] == "a line 5"
