"""Masked language modelling on raw text: what is masked, that a model learns, goes on after a kill, and is taken up."""

import json
from copy import deepcopy

import pytest
import torch
from helpers.comparisons import run
from helpers.tiny_models import tiny_model
from helpers.tokenizers_for_tests import tokenizer
from transformers import AutoModelForMaskedLM, AutoTokenizer

from grammask.cli.pretrain import _result as result
from grammask.errors import ExperimentError, GrammaskError, InputError, ModelError
from grammask.experiment.pretraining import run_pretraining
from grammask.experiment.pretraining.config import make_pretrain_config
from grammask.experiment.pretraining.masked_collator import MaskedCollator
from grammask.experiment.pretraining.read_texts import read_raw_texts
from grammask.experiment.pretraining.train_masked import last_checkpoint
from grammask.experiment.watched_trainer import WatchedTrainer
from grammask.model.named_models import find_model

pytestmark = pytest.mark.usefixtures("own_cache")
NOUNS = ("dog", "cat", "king", "film", "road", "song")
LINES = [f"The {a} sees the {b} and a {c} ." for a in NOUNS for b in NOUNS for c in NOUNS]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    (folder / "a.txt").write_text("\n".join(LINES[:100]) + "\n\n", encoding="utf-8")
    (folder / "b.txt").write_text("\n".join(LINES[90:]), encoding="utf-8")
    return str(folder)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """Save a tiny encoder without a head for masked tokens, and its tokenizer, which has a token for them."""
    folder, made = tmp_path_factory.mktemp("encoder"), masking()
    tiny_model("bert", vocab_size=len(made), pad_token_id=made.pad_token_id).base_model.save_pretrained(folder)
    made.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def ragged(tmp_path_factory):
    """Texts of one sentence to five."""
    path = tmp_path_factory.mktemp("ragged") / "a.txt"
    lines = [" ".join(LINES[number : number + 1 + number % 5]) for number in range(len(LINES))]
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def masking():
    made = deepcopy(tokenizer("wordpiece"))
    made.add_special_tokens({"mask_token": "[MASK]"})
    return made


def pretrained(out, text, *, resume=False, **changes):
    said = []
    settings = {
        "model": "scratch:2x16x2", "text": text, "vocabulary": 200, "batch_size": 16, "epochs": 1.0,
        "learning_rate": 5e-3, "precision": "float32", **changes,
    }  # fmt: skip
    config = make_pretrain_config(**settings)
    record = run_pretraining.pretrain(config, out, resume=resume, progress=lambda it, *_: it, say=said.append)
    return record, said


def test_lines_are_read_once_and_a_part_is_held_out(text, settings):
    texts = read_raw_texts(make_pretrain_config(text=text))
    assert texts.found == len(LINES) + 10
    assert sorted((*texts.train, *texts.held_out)) == sorted(set(LINES))
    assert 0 < len(texts.held_out) < len(LINES) / 8
    fewer = read_raw_texts(make_pretrain_config(text=text, limit=60))
    assert len(fewer.train) + len(fewer.held_out) == 60
    assert set(fewer.held_out) <= set(texts.held_out)
    both = read_raw_texts(make_pretrain_config(text=text, task=settings["task"]))
    assert both.found == texts.found + 24


def test_a_share_of_the_words_is_masked_and_tags_stay():
    made = masking()
    ids = made("the quick dog barks", add_special_tokens=True)["input_ids"]
    words = [-1, *range(len(ids) - 2), -1]
    feature = {"input_ids": ids, "tag_ids": [2] * len(ids), "word_ids": words, "sentence_ids": words}
    batch = MaskedCollator(made, 0.5, 0)([feature] * 400)
    drawn = batch["labels"] != -100
    given = torch.tensor([ids] * 400)
    assert not drawn[:, [0, -1]].any()
    assert drawn[:, 1:-1].float().mean() == pytest.approx(0.5, abs=0.05)
    assert torch.equal(batch["labels"][drawn], given[drawn])
    assert torch.equal(batch["input_ids"][~drawn], given[~drawn])
    assert (batch["input_ids"][drawn] == made.mask_token_id).float().mean() == pytest.approx(0.8, abs=0.05)
    assert (batch["tag_ids"] == 2).all()
    again, other = (MaskedCollator(made, 0.5, seed)([feature] * 400)["labels"] for seed in (0, 1))
    assert torch.equal(again, batch["labels"])
    assert not torch.equal(other, again)
    few = MaskedCollator(made, 1e-3, 0)
    assert all((few([feature])["labels"] != -100).any() for _ in range(5))


def test_a_pretrained_model_is_taken_up_by_compare(text, settings, tmp_path):
    record, said = pretrained(tmp_path / "out", text, grammar="paper-sinks", epochs=6.0)
    losses = [loss for _, loss in record["loss_curve"]]
    assert losses[-1] < losses[0] - 1
    assert record["held_out_loss"] < losses[0] - 1
    assert record["model"]["vocabulary"] == len(AutoTokenizer.from_pretrained(tmp_path / "out" / "model"))
    assert any("10 are left out" in line for line in said)
    assert not (tmp_path / "out" / "checkpoints").exists()
    assert (tmp_path / "out" / "grammars" / "paper-sinks.toml").is_file()
    model = str(tmp_path / "out" / "model")
    given = {**settings, "model": model, "grammars": ("paper:hard",), "precision": "float32"}
    results, _ = run(given, tmp_path / "compared")
    assert {name.split(".")[0] for name in results["model"]["new_parameters"]} == {"bert", "classifier"}
    assert all("pooler" in name or "classifier" in name for name in results["model"]["new_parameters"])
    assert pretrained(tmp_path / "out", text, grammar="paper-sinks", epochs=6.0, resume=True)[0] == record
    with pytest.raises(ModelError, match=f"holds no weights: .*; did you mean '{tmp_path / 'out' / 'model'}'"):
        find_model(str(tmp_path / "out"))


def test_the_model_attends_under_the_grammar_or_its_control(text, tmp_path, monkeypatch):
    seen, step = [], WatchedTrainer.training_step

    def watched(trainer, model, inputs, *more):
        seen.append(getattr(model.config, "_attn_implementation", None))
        return step(trainer, model, inputs, *more)

    monkeypatch.setattr(WatchedTrainer, "training_step", watched)
    found = {}
    for name, more in {
        "full": {}, "hard": {"grammar": "paper"}, "soft": {"grammar": "paper", "strategy": "soft"},
        "window": {"grammar": "paper", "control": "window"}, "random": {"grammar": "paper", "control": "random"},
    }.items():  # fmt: skip
        seen.clear()
        found[name] = pretrained(tmp_path / name, text, limit=80, **more)[0]["held_out_loss"]
        assert set(seen) == {"sdpa" if name == "full" else "grammask"}
    assert len(set(found.values())) == len(found)
    assert [path.name for path in (tmp_path / "window" / "grammars").iterdir()] == ["paper-window.toml"]


@pytest.mark.parametrize("group_by_length", [False, True])
@pytest.mark.parametrize("kill", [6, 18])  # of 13 steps an epoch
def test_a_killed_pretraining_goes_on_to_the_same_model(ragged, encoder, tmp_path, monkeypatch, group_by_length, kill):
    given = {
        "grammar": "paper-sinks", "save_every": 4, "model": encoder, "vocabulary": None, "max_length": 64,
        "group_by_length": group_by_length, "epochs": 1.0 if kill < 13 else 2.5,
    }  # fmt: skip
    whole, _ = pretrained(tmp_path / "whole", ragged, **given)
    step = WatchedTrainer.training_step

    def killed(trainer, *more):
        if trainer.state.global_step == kill:
            raise KeyboardInterrupt
        return step(trainer, *more)

    monkeypatch.setattr(WatchedTrainer, "training_step", killed)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        pretrained(out, ragged, **given)
    monkeypatch.setattr(WatchedTrainer, "training_step", step)
    saved = kill - kill % 4
    (out / "checkpoints" / f"checkpoint-{saved + 4}").mkdir()  # as a kill in the midst of writing leaves it
    assert last_checkpoint(out).endswith(f"checkpoint-{saved}")
    with pytest.raises(ExperimentError, match="another experiment"):
        pretrained(out, ragged, resume=True, **given, seed=1)
    record, _ = pretrained(out, ragged, resume=True, **given)
    for key in ("loss_curve", "held_out_loss", "steps"):
        assert record[key] == whole[key]
    one, other = (AutoModelForMaskedLM.from_pretrained(folder / "model") for folder in (out, tmp_path / "whole"))
    for name, weight in one.state_dict().items():
        torch.testing.assert_close(weight, other.state_dict()[name], msg=name)


def test_texts_of_one_length_share_batches_if_asked_for(ragged, tmp_path, monkeypatch):
    shapes = list[int]()
    step = WatchedTrainer.training_step

    def watched(trainer, model, inputs, *more):
        shapes.append(inputs["input_ids"].numel())
        return step(trainer, model, inputs, *more)

    monkeypatch.setattr(WatchedTrainer, "training_step", watched)
    tokens = {}
    for grouped in (False, True):
        shapes.clear()
        pretrained(tmp_path / str(grouped), ragged, group_by_length=grouped)
        tokens[grouped] = sum(shapes)
    assert tokens[True] < 0.8 * tokens[False]


def test_a_tokenizer_of_its_own_is_kept_over_a_kill(text, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(WatchedTrainer, "training_step", killed)
        with pytest.raises(KeyboardInterrupt):
            pretrained(tmp_path / "out", text, limit=80)
    kept = AutoTokenizer.from_pretrained(tmp_path / "out" / "checkpoints" / "tokenizer").get_vocab()
    pretrained(tmp_path / "out", text, resume=True, limit=80)
    assert AutoTokenizer.from_pretrained(tmp_path / "out" / "model").get_vocab() == kept


def test_training_goes_on_from_a_model(text, encoder, tmp_path):
    changes = {"model": encoder, "vocabulary": None, "limit": 80, "max_length": 64}
    record, _ = pretrained(tmp_path / "first", text, **changes)
    assert record["model"]["layers"] == 3
    again, _ = pretrained(tmp_path / "again", text, **{**changes, "model": str(tmp_path / "first" / "model")})
    assert again["loss_curve"][0][1] < record["loss_curve"][0][1]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"text": None}, "nothing to read; give --text, or --task"),
        ({"text": "nowhere.txt"}, "nowhere.txt"),
        ({"text_column": "x"}, "--text-column is for --task"),
        ({"control": "window"}, "--control and --strategy are for --grammar"),
        ({"strategy": "soft"}, "--control and --strategy are for --grammar"),
        ({"grammar": "paper", "strategy": "soft", "control": "window"}, "leave --strategy out"),
        ({"grammar": "paper", "control": "windw"}, "did you mean 'window'"),
        ({"grammar": "papr"}, "did you mean 'paper'"),
        ({"grammar": "streaming", "strategy": "soft"}, "'streaming' gives no rule a strength.* take --strategy hard"),
        ({"model": "scratch:2x16x3"}, "heads share the width"),
        ({"model": "nowhere"}, "nowhere"),
        ({"model": "minilm"}, "reads its own tokens; --vocabulary is for scratch"),
        ({"masked": 1.0}, "setting 'masked' is 1.0"),
        ({"limit": 2}, "2 different texts are too few"),
        ({"max_length": 513}, "--max-length 513 is more than the 512 tokens"),
    ],
)
def test_what_cannot_be_is_one_line(changes, why, text, tmp_path):
    with pytest.raises(GrammaskError, match=why) as told:
        pretrained(tmp_path / "out", **{"text": text, **changes})
    assert "\n" not in str(told.value)
    assert not (tmp_path / "out").exists()


def test_models_that_predict_no_masked_tokens_are_refused(text, settings, tmp_path):
    made = masking()
    tiny_model("gpt2", vocab_size=len(made), pad_token_id=made.pad_token_id).save_pretrained(tmp_path / "gpt2")
    made.save_pretrained(tmp_path / "gpt2")
    with pytest.raises(ModelError, match="gpt2.* has no form that predicts masked words; take an encoder"):
        pretrained(tmp_path / "out", text, model=str(tmp_path / "gpt2"), vocabulary=None)
    with pytest.raises(ModelError, match="has no token for what is masked; take an encoder"):
        pretrained(tmp_path / "out", text, model=settings["model"], vocabulary=None)
    (tmp_path / "blank.txt").write_text(" \n", encoding="utf-8")
    with pytest.raises(InputError, match="holds no text"):
        pretrained(tmp_path / "out", str(tmp_path / "blank.txt"))


def test_a_loss_that_is_no_number_stops_it(text, tmp_path, monkeypatch):
    monkeypatch.setattr("transformers.Trainer.training_step", lambda *_, **__: torch.tensor(float("nan")))
    with pytest.raises(ExperimentError, match="pretraining diverged: the loss of step 1 of .* lower --learning-rate"):
        pretrained(tmp_path / "out", text)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["kind"] == "pretraining"


def test_a_loss_beyond_all_perplexities_is_told():
    record = {"steps": 3, "texts": {"held_out": 10}, "held_out_loss": 2.0}
    assert result(record) == "3 steps; on 10 held-out texts a masked token costs 2.000 nats (a perplexity of 7.4)"
    assert (
        result({**record, "held_out_loss": 1e4}) == "3 steps; on 10 held-out texts a masked token costs 10000.000 nats"
    )
