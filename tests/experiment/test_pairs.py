"""Minimal pairs: what is made, that scores are a model's own probabilities, and what is recorded of them."""

import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.other_device import other_device
from helpers.tiny_models import tiny_model
from helpers.tokenizers_for_tests import tokenizer
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer
from typer.testing import CliRunner

from grammask.cli.app import app
from grammask.data.minimal_pairs import PHENOMENA, minimal_pairs
from grammask.errors import ExperimentError, GrammaskError, InputError
from grammask.experiment.minimal_pairs import run_pairs as module
from grammask.experiment.minimal_pairs.config import make_pairs_config
from grammask.experiment.minimal_pairs.pair_rows import pair_rows
from grammask.experiment.minimal_pairs.prepare_pairs import prepare_pairs
from grammask.experiment.minimal_pairs.run_pairs import run_pairs
from grammask.experiment.plan_runs import RunSpec
from grammask.model.attach import attached
from grammask.tagging.annotate import Annotator

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module", params=["masked", "causal"])
def model(request, tmp_path_factory):
    """Save a tiny language model of each kind with its tokenizer."""
    folder = tmp_path_factory.mktemp(request.param)
    made = tokenizer("wordpiece")
    if request.param == "masked":
        made = deepcopy(made)
        made.add_special_tokens({"mask_token": "[MASK]"})
    kind, head = {"masked": ("bert", AutoModelForMaskedLM), "causal": ("gpt2", AutoModelForCausalLM)}[request.param]
    config = tiny_model(kind, vocab_size=len(made), pad_token_id=made.pad_token_id).config
    config.initializer_range = 0.5
    torch.manual_seed(0)
    head.from_config(config).save_pretrained(folder)
    made.save_pretrained(folder)
    return str(folder)


def measured(model, **changes):
    settings = {"model": model, "count": 6, "phenomena": ("agreement-relative", "npi-any"), **changes}
    return run_pairs(make_pairs_config(**settings), progress=lambda specs, *_: specs)


@pytest.mark.parametrize("phenomenon", PHENOMENA)
def test_pairs_are_minimal_and_drawn_by_the_seed(phenomenon):
    pairs = minimal_pairs(phenomenon, 300, seed=0)
    assert len(set(pairs)) == 300
    assert pairs == minimal_pairs(phenomenon, 300, seed=0) != minimal_pairs(phenomenon, 300, seed=1)
    assert pairs[:50] == minimal_pairs(phenomenon, 50, seed=0)
    for pair in pairs:
        good, bad = pair.good.rstrip(".").split(), pair.bad.rstrip(".").split()
        differing = [place for place, (one, other) in enumerate(zip(good, bad, strict=True)) if one != other]
        if phenomenon == "npi-scope":
            assert sorted(map(str.lower, good)) == sorted(map(str.lower, bad))
        else:
            assert len(differing) == 1
        assert pair.good[0].isupper()
        assert pair.good.endswith(".")
        assert pair.scored is None or (good.count(pair.scored), good.index(pair.scored)) == (1, bad.index(pair.scored))


def test_verbs_agree_with_the_subject_and_not_with_the_noun_before_them():
    singular = {"boy": 0, "boys": 1, "teacher": 0, "teachers": 1}
    for phenomenon in ("agreement-prepositional", "agreement-relative"):
        for pair in minimal_pairs(phenomenon, 400, seed=0):
            words = pair.good.split()
            if words[1] in singular:
                verb = next(one for one, other in zip(words, pair.bad.split(), strict=True) if one != other)
                assert verb.endswith("s") == (singular[words[1]] == 0)


def test_the_page_describes_every_phenomenon():
    page = (Path(__file__).parents[2] / "docs" / "pairs.md").read_text(encoding="utf-8")
    table = page[page.index("| phenomenon |") :].split("\n\n")[0]
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    assert [(row[0].strip("| `"), row[1]) for row in rows] == [(name, told) for name, (told, _) in PHENOMENA.items()]


def test_what_cannot_be_drawn_is_one_line():
    with pytest.raises(InputError, match="no phenomenon is called 'x'; phenomena are agreement"):
        minimal_pairs("x", 2, seed=0)
    with pytest.raises(InputError, match="20,000 different pairs of 'npi-ever' cannot be drawn; ask for fewer than"):
        minimal_pairs("npi-ever", 20_000, seed=0)


def loaded(model):
    """Return the model and its tokenizer."""
    made = AutoTokenizer.from_pretrained(model)
    kind = AutoModelForCausalLM if made.mask_token_id is None else AutoModelForMaskedLM
    return kind.from_pretrained(model).eval(), made


def expected(network, made, features, places, *, guided):
    """Score a sentence token by token, each in a call of its own."""
    columns = {name: torch.tensor([column]) for name, column in features.items()}
    if not guided:
        columns = {"input_ids": columns["input_ids"]}
    tokens, words, total = features["input_ids"], features["word_ids"], 0.0
    for place in places:
        if made.mask_token_id is None:
            if place > 0:
                before = {name: column[:, :place] for name, column in columns.items()}
                total += float(network(**before).logits[0, -1].log_softmax(-1)[tokens[place]])
            continue
        ids = torch.tensor([tokens])
        for later in range(place, len(tokens)):
            if words[later] == words[place]:
                ids[0, later] = made.mask_token_id
        total += float(network(**{**columns, "input_ids": ids}).logits[0, place].log_softmax(-1)[tokens[place]])
    return total


def preferences_of(results, network, made, *, guided):
    """Return by how many nats the grammatical sentences should be ahead."""
    pairs = prepare_pairs(make_pairs_config(**results["config"]), Annotator(made))
    sides = [
        [expected(network, made, *of_text, guided=guided) for of_text in zip(side.features, side.places, strict=True)]
        for side in (pairs.good, pairs.bad)
    ]
    return np.subtract(*sides)


def found_in(row):
    return np.array(row["preferences"].split(), dtype=float)


def test_scores_are_the_model_s_own_probabilities(model):
    results, (network, made) = measured(model, strategies=("full", "hard"), grammars=("paper",)), loaded(model)
    full, hard = results["rows"]
    with torch.no_grad():
        np.testing.assert_allclose(found_in(full), preferences_of(results, network, made, guided=False), atol=2e-3)
        with attached(network, "paper"):
            wanted = preferences_of(results, network, made, guided=True)
        np.testing.assert_allclose(found_in(hard), wanted, atol=2e-3)
    assert abs(found_in(full) - found_in(hard)).max() > 0.05
    assert results["scores"] == ("likelihood" if made.mask_token_id is None else "pseudo-likelihood")


def test_only_the_word_that_is_named_is_scored(model):
    made = AutoTokenizer.from_pretrained(model)
    pairs = prepare_pairs(make_pairs_config(model=model, count=5, phenomena=("agreement", "npi-any")), Annotator(made))
    for features, places, pair in zip(pairs.good.features, pairs.good.places, pairs.pairs, strict=True):
        words = {features["word_ids"][place] for place in places}
        assert len(words) == (1 if pair.scored else max(features["word_ids"]) + 1)
        if pair.scored:
            tokens = made.convert_ids_to_tokens([features["input_ids"][place] for place in places])
            assert "".join(token.removeprefix("##") for token in tokens) == "any"


def test_grammars_and_controls_decide_what_is_read(model):
    results = measured(model, grammars=("paper",), strategies=("full", "hard", "soft"), controls=("window", "shuffled"))
    assert [row["id"] for row in results["rows"]] == [
        "full-seed0", "paper-hard-seed0", "paper-soft-seed0", "paper-hard-window-seed0", "paper-hard-shuffled-seed0",
    ]  # fmt: skip
    assert len({row["preferences"] for row in results["rows"]}) == 5
    full, hard = results["rows"][:2]
    assert full["figures"]["all"]["difference"] is None
    figures = hard["figures"]
    assert list(figures) == ["agreement-relative", "npi-any", "all"]
    mean = (figures["agreement-relative"]["accuracy"] + figures["npi-any"]["accuracy"]) / 2
    assert figures["all"]["accuracy"] == pytest.approx(mean)
    gain = figures["all"]["accuracy"] - full["figures"]["all"]["accuracy"]
    assert figures["all"]["difference"] == pytest.approx(gain)
    assert measured(model, grammars=("paper",), controls=("random",))["rows"][-1]["control"] == "random"


def test_another_device_that_is_asked_for_gives_the_same_preferences(model, monkeypatch):
    changes = {"phenomena": ("npi-any",), "grammars": ("paper:hard",)}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # nobody asked for it
    here = measured(model, **changes)
    assert here["environment"]["device"] == here["config"]["device"] == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ExperimentError, match="^setting 'device' is 'cuda', but PyTorch finds no GPU here; leave it"):
        measured(model, **changes, device="cuda")
    monkeypatch.setattr(module, "check_device", lambda _: None)
    devices, score = set(), module._score
    monkeypatch.setattr(
        module, "_score", lambda network, *rest, **how: devices.add(network.device) or score(network, *rest, **how)
    )
    config = make_pairs_config(model=model, count=6, **changes)
    with other_device() as device:
        there = run_pairs(config.model_copy(update={"device": str(device)}), progress=lambda specs, *_: specs)
    assert devices == {device}
    assert there["environment"]["device"] == there["config"]["device"] == "lazy:0"
    for own, other in zip(here["rows"], there["rows"], strict=True):
        np.testing.assert_allclose(found_in(other), found_in(own), atol=1e-3)


def test_equal_scores_count_half():
    specs = [RunSpec(grammar=None, strategy="full", seed=0), RunSpec(grammar="g", strategy="hard", seed=0)]
    found = dict(zip(specs, (np.array([1.0, -1.0, 2.0, 0.5]), np.array([1.0, 0.0, 5e-5, -3.0])), strict=True))
    full, hard = (row["figures"]["all"] for row in pair_rows(found, ["a", "a", "b", "b"]))
    assert (full["accuracy"], hard["accuracy"], hard["equal"]) == (0.75, 0.5, 0.5)
    assert hard["difference"] == pytest.approx(-0.25)
    assert hard["accuracy_interval"][0] < 0.5 < hard["accuracy_interval"][1]
    low, high = hard["difference_interval"]
    assert low < -0.25 < high


def test_the_command_writes_a_record_once(model, tmp_path, monkeypatch):
    out = tmp_path / "pairs.json"
    given = [
        "pairs",
        "--model",
        model,
        "--count",
        "3",
        "--phenomena",
        "npi-scope",
        "--strategies",
        "full",
        "--out",
        str(out),
    ]
    told = CliRunner().invoke(app, given)
    assert told.exit_code == 0, told.output
    assert "npi-scope" in told.output
    record = json.loads(out.read_text(encoding="utf-8"))
    assert record["phenomena"]["npi-scope"]["pairs"] == 3
    assert 0 <= record["phenomena"]["npi-scope"]["equal_tags"] <= 1
    assert isinstance(CliRunner().invoke(app, given).exception, ExperimentError)
    assert CliRunner().invoke(app, [*given, "--force"]).exit_code == 0
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "finds no GPU" in str(CliRunner().invoke(app, [*given, "--force", "--device", "cuda"]).exception)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": "minilm"}, "'minilm' was saved without a head that predicts masked words.*grammask pretrain"),
        ({"model": "scratch:2x16x2"}, "a model from nothing knows no language; train it first"),
        ({"model": "nowhere"}, "nowhere"),
        ({"phenomena": ("agrement",)}, "no phenomenon is called 'agrement'"),
        ({"count": 1}, "setting 'count' is 1"),
        ({"grammars": ("papr",)}, "did you mean 'paper'"),
        ({"grammars": ("paper", "paper")}, "setting 'grammars' is .*: each grammar may be named once"),
        ({"controls": ("windw",)}, "did you mean 'window'"),
        (
            {"model": "smollm2", "controls": ("window",)},
            "control 'window' is for hard grammars, .*grammars none; add one",
        ),
        ({"strategies": ()}, r"setting 'strategies' is \(\): Tuple should have at least 1 item"),
        ({"strategies": ("hrad",)}, "hrad"),
        ({"device": "tpu"}, "setting 'device' is 'tpu': Input should be 'cpu' or 'cuda'"),
    ],
)
def test_wrong_settings_are_one_line(changes, why):
    with pytest.raises(GrammaskError, match=why) as told:
        measured(changes.pop("model", "minilm"), **changes)
    assert "\n" not in str(told.value)
