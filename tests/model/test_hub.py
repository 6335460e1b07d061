"""Models by name, from a Hub of our own: what it gives, what it refuses, and what happens when it breaks off."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from helpers.hub_client import use_hub
from helpers.hub_server import OTHER_TOKEN, TOKEN, HubServer
from helpers.lexicon import LexiconTagger
from helpers.lexicon import annotator as lexicon_annotator
from helpers.subword_taggers import random_tagger
from huggingface_hub import constants
from peft import LoraConfig, get_peft_model
from transformers import BertConfig, BertForSequenceClassification, pipeline

import grammask
import grammask.pipelines
from grammask.errors import ModelError, TaggingError
from grammask.model.attachment import guide_of
from grammask.model.named_models import find_model, load_saved, load_tokenizer

SIZES = {"vocab_size": 40, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
WEIGHTS, ANNOTATOR = "model.safetensors", "grammask_annotator.json"
MAIN = "from grammask.cli import main; main()"


def answer(model, annotate):
    return model(**annotate("the kind cat sees a dull film .", return_tensors="pt")).logits


def save(place, *, seed=0, tagger=None):
    """Save a guided model, and return where, and what it answers."""
    annotate = lexicon_annotator()
    if tagger is not None:
        annotate = grammask.Annotator(annotate.tokenizer, tagger, cache=False)
    torch.manual_seed(seed)
    model = BertForSequenceClassification(BertConfig(**SIZES)).eval()
    grammask.attach(model, "paper-sinks", annotator=annotate).save_pretrained(place)
    return place, answer(model, annotate)


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save(tmp_path_factory.mktemp("saved") / "guided")


@pytest.fixture(autouse=True)
def _client(hub, tmp_path, monkeypatch):
    use_hub(monkeypatch, hub, tmp_path / "home")
    hub.asked.clear()


@contextmanager
def offline(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        yield


@contextmanager
def unreachable(hub):
    hub.stop()
    try:
        yield
    finally:
        hub.start()


def load(name, **more):
    return answer(*grammask.load(name, tagger=LexiconTagger(), cache=False, **more))


def refused(name, way=load, **more):
    """Return the one line in which a model is refused."""
    with pytest.raises(ModelError) as caught:
        way(name, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_model_and_its_annotator_come_by_name_and_once(hub, saved):
    hub.add("someone/named", saved[0])
    assert torch.allclose(load("someone/named"), saved[1])
    assert len(hub.fetched(WEIGHTS)) == len(set(hub.fetched(WEIGHTS))) == 1
    hub.asked.clear()
    assert torch.allclose(load("someone/named"), saved[1])
    asked = [path for _, path, _ in hub.asked if "resolve" in path]
    assert asked == ["someone/named/resolve/main/config.json"]  # whether it has changed


def test_a_trained_tagger_comes_with_its_model(hub, tmp_path):
    place, expected = save(tmp_path / "trained", tagger=random_tagger())
    hub.add("someone/trained", place)
    assert torch.allclose(answer(*grammask.load("someone/trained", cache=False)), expected)
    model = grammask.from_pretrained("someone/trained")
    assert torch.allclose(answer(model, guide_of(model).annotator), expected)
    (place / "grammask_tagger.safetensors").unlink()
    hub.add("someone/partly", place)
    with pytest.raises(TaggingError, match=r"grammask_tagger.safetensors is missing; .* fetch its files again"):
        grammask.load("someone/partly")


def test_revisions_are_branches_or_commits(hub, saved, tmp_path):
    other, expected = save(tmp_path / "other", seed=1)
    first = hub.add("someone/revised", saved[0])
    hub.add("someone/revised", other)
    hub.add("someone/revised", saved[0], branch="pr/1")
    assert torch.allclose(load("someone/revised"), expected)
    assert torch.allclose(load("someone/revised", revision="pr/1"), saved[1])
    assert torch.allclose(load("someone/revised", revision=first), saved[1])
    assert refused("someone/revised", revision="v9") == (
        "no model 'someone/revised': it has no revision 'v9': name a branch, a tag or a commit that it has"
    )


def test_a_branch_that_moves_meanwhile_mixes_no_files(hub, saved, tmp_path):
    other, expected = save(tmp_path / "other", seed=2)
    hub.add("someone/moving", saved[0])
    hub.then["someone/moving/resolve/main/config.json"] = lambda: hub.add("someone/moving", other)
    assert torch.allclose(load("someone/moving"), saved[1])
    assert torch.allclose(load("someone/moving"), expected)


def test_gated_private_and_missing_models_say_what_to_do(hub, saved):
    hub.add("someone/gated", saved[0], gated=True)
    login = "log in (hf auth login), or give a token (HF_TOKEN)"
    assert refused("someone/gated") == (
        f"no model 'someone/gated': it is gated: ask for access on its page at {hub.url}, then {login}"
    )
    assert refused("someone/gated", token=OTHER_TOKEN) == refused("someone/gated")
    assert torch.allclose(load("someone/gated", token=TOKEN), saved[1])
    hub.add("someone/forbidden", saved[0])
    hub.forbidden.add("someone/forbidden")
    assert refused("someone/forbidden", token=TOKEN) == (
        f"no model 'someone/forbidden': {hub.url} refuses it (403): {login}, of one who may read it"
    )
    for token in (None, TOKEN):
        assert refused("someone/nothing", token=token) == (
            f"no model 'someone/nothing': {hub.url} has none of this name, or it is private: check the name, or {login}"
        )
    assert "no local folder, and no name of the Hub" in refused("no/such/folder")


def test_a_download_that_breaks_off_goes_on_where_it_stopped(hub, saved):
    hub.add("someone/broken", saved[0])
    hub.breaks[WEIGHTS] = [5000]
    assert torch.allclose(load("someone/broken"), saved[1])
    first, rest = hub.fetched(WEIGHTS)
    assert first is None
    assert 1024 <= int(rest.removeprefix("bytes=").strip("-")) <= 5000


def test_what_was_fetched_in_part_is_never_taken_as_whole(hub, saved, tmp_path):
    hub.add("someone/halved", saved[0])
    hub.breaks[WEIGHTS] = [5000] + [0] * 9
    said = refused("someone/halved")
    hub.breaks.clear()
    assert said.startswith(f"model 'someone/halved': no {WEIGHTS}: {hub.url} did not give it (")
    assert said.endswith("try again, or give a local folder")
    assert not list((tmp_path / "home" / "hub" / "models--someone--halved" / "snapshots").rglob(WEIGHTS))
    assert torch.allclose(load("someone/halved"), saved[1])


def test_what_is_cached_loads_without_the_hub(hub, saved, monkeypatch, caplog):
    hub.add("someone/kept", saved[0])
    load("someone/kept")
    hub.asked.clear()
    assert torch.allclose(load("someone/kept", local_files_only=True), saved[1])
    with offline(monkeypatch):
        assert torch.allclose(load("someone/kept"), saved[1])
    assert hub.asked == []
    with unreachable(hub), caplog.at_level(logging.WARNING, "grammask"):
        assert torch.allclose(load("someone/kept"), saved[1])
    assert f"{hub.url} gave no 'someone/kept' (" in caplog.text
    assert "); the cached one is read" in caplog.text


def test_what_is_not_cached_needs_the_hub_and_says_so(hub, monkeypatch):
    with unreachable(hub):
        said = refused("someone/elsewhere")
    assert said.startswith(f"no model 'someone/elsewhere': {hub.url} did not give it (")
    with offline(monkeypatch):
        assert refused("someone/elsewhere") == (
            "no model 'someone/elsewhere': it isn't in the cache, and HF_HUB_OFFLINE is set: unset it, or give a local "
            "folder"
        )
    assert "nothing was to be fetched" in refused("someone/elsewhere", local_files_only=True)


def test_an_annotator_that_was_never_fetched_is_no_missing_one(hub, saved, monkeypatch):
    hub.add("someone/half", saved[0])
    grammask.from_pretrained("someone/half", annotator=False)
    with offline(monkeypatch):
        said = refused("someone/half", grammask.from_pretrained)
    assert said.startswith(f"model 'someone/half': no {ANNOTATOR}: it isn't in the cache")
    assert said.endswith("annotator=False loads the model alone")


def test_a_hub_that_fails_at_a_file_has_not_said_that_there_is_none(hub, saved):
    for file in (ANNOTATOR, "adapter_config.json", "config.json", WEIGHTS):
        hub.add(f"someone/shaky-{file}", saved[0])
        hub.fails = {file}
        said = refused(f"someone/shaky-{file}", grammask.from_pretrained)
        hub.fails = set()
        assert f"no {file}: " in said or file == "config.json"
        assert "503" in said


def test_commands_find_models_by_name_and_revision(hub, saved, tmp_path):
    other, expected = save(tmp_path / "other", seed=3)
    hub.add("someone/tool", other)
    hub.add("someone/tool", saved[0], branch="v1")
    for name, wanted in (("someone/tool", expected), ("someone/tool@v1", saved[1])):
        source = find_model(name)
        annotate = grammask.Annotator(load_tokenizer(source), LexiconTagger(), cache=False)
        assert torch.allclose(answer(load_saved(source), annotate), wanted)
    assert "packaged models are minilm, smollm2" in refused("someone/nothing", find_model)
    assert "no revision 'v2'" in refused("someone/tool@v2", find_model)


def test_pipelines_find_models_by_name(hub, saved):
    hub.add("someone/piped", saved[0])
    annotate = lexicon_annotator()
    guided = pipeline("guided-text-classification", model="someone/piped", model_kwargs={"annotator": annotate})
    (found,) = guided("the kind cat sees a dull film .")
    assert found["score"] == pytest.approx(saved[1].softmax(-1).max().item(), abs=1e-6)


@pytest.mark.slow
def test_a_command_reads_a_model_by_name_in_a_process_of_its_own(hub, saved, tmp_path):
    hub.add("someone/process", saved[0])
    where = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "GRAMMASK_CACHE": str(tmp_path / "cache")}
    for name, code, said in (
        ("someone/process", 0, "kind"),
        ("someone/process@v2", 2, "no revision 'v2'"),
    ):
        command = [sys.executable, "-c", MAIN, "explain", "the kind cat sees a film .", "--force", "--model", name]
        done = subprocess.run(
            command, env={**os.environ, **where}, capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == code, done
        assert said in done.stdout + done.stderr
        assert code == 0 or len(done.stderr.splitlines()) == 1


def test_an_adapter_comes_by_name_with_its_base_model(hub, tmp_path, monkeypatch):
    annotate = lexicon_annotator()
    torch.manual_seed(5)
    base = BertForSequenceClassification(BertConfig(**SIZES)).eval()
    base.save_pretrained(tmp_path / "base")
    hub.add("someone/base", tmp_path / "base")
    grammask.attach(base, "paper-sinks", annotator=annotate)
    adapted = get_peft_model(base, LoraConfig(target_modules=["query"], r=2, init_lora_weights=False)).eval()
    adapted.peft_config["default"].base_model_name_or_path = "someone/base"
    adapted.save_pretrained(tmp_path / "adapter")
    hub.add("someone/adapter", tmp_path / "adapter")
    annotate.tokenizer.save_pretrained(tmp_path / "adapter")
    hub.add("someone/adapter", tmp_path / "adapter")
    assert torch.allclose(load("someone/adapter"), answer(adapted, annotate))
    hub.asked.clear()
    with offline(monkeypatch):
        assert torch.allclose(load("someone/adapter"), answer(adapted, annotate))
    assert hub.asked == []
