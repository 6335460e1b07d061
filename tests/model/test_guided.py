"""Guided means guided: whatever wraps, saves, copies, trains or changes a model, it reads by its grammar or raises."""

import copy
import json
import pickle
from dataclasses import replace
from pathlib import Path

import peft
import pytest
import torch
import transformers
from helpers.batches import random_batch
from helpers.fresh_process import run_fresh
from helpers.tiny_models import TINY, tiny_model
from torch import nn
from transformers import AutoModelForSequenceClassification

import grammask
from grammask.errors import GrammaskError, ModelError
from grammask.grammar.tags import UPOS
from grammask.model.attach import grammar_of
from grammask.model.strengths import STRENGTHS

KINDS = {
    "hard": ("paper-sinks", "hard", None), "soft": ("paper", "soft", None),
    "learned": ("paper", "soft", "head"),
}  # fmt: skip
LORA = {"r": 2, "target_modules": ["query"], "task_type": "SEQ_CLS", "modules_to_save": ["classifier"]}


def guided_model(kind, model_type="bert", **changes):
    grammar, strategy, learned = KINDS[kind]
    model = grammask.attach(tiny_model(model_type, **changes), grammar, strategy, learn_strengths=learned)
    if learned:
        torch.manual_seed(3)
        nn.init.normal_(model.base_model.grammask_strengths.table, std=2.0)
    return model


def logits(model, batch):
    with torch.no_grad():
        return model(**batch.everything)[0]


def lora(model, kind, **changes):
    """Wrap a guided model; an adapter with learned strengths has to name them."""
    settings = {**LORA, **changes}
    if kind == "learned":
        settings["modules_to_save"] = [*settings["modules_to_save"], STRENGTHS]
    wrapped = peft.get_peft_model(model, peft.LoraConfig(**settings))
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.2)
    return wrapped


@pytest.fixture
def batch():
    """Long enough to hold pairs that every kind treats otherwise than full attention does."""
    return random_batch((40, 23, 7, 1))


@pytest.fixture
def one_process():
    """A process group of one, for DistributedDataParallel."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def by_save(model, folder):
    model.save_pretrained(folder)
    return grammask.from_pretrained(folder).eval()


def by_pickle(model, folder):
    return pickle.loads(pickle.dumps(model))  # noqa: S301 - our own


def by_torch(model, folder):
    torch.save(model, folder / "model.pt")
    return torch.load(folder / "model.pt", weights_only=False)


def by_shards(model, folder):
    model.save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    return grammask.from_pretrained(folder).eval()


COPIES = {
    "deepcopy": lambda model, folder: copy.deepcopy(model), "pickle": by_pickle, "torch.save": by_torch,
    "save_pretrained": by_save, "shards": by_shards,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", COPIES)
def test_a_copy_is_guided_exactly_and_on_its_own(way, kind, tmp_path, batch):
    model = guided_model(kind)
    expected, stock = logits(model, batch), logits(grammask.attach(tiny_model("bert"), "paper", "full"), batch)
    twin = COPIES[way](model, tmp_path)
    assert type(twin) is type(model)
    grammask.detach(model)
    torch.testing.assert_close(logits(twin, batch), expected, atol=1e-6, rtol=0)
    assert not torch.allclose(stock, expected, atol=1e-3)
    assert grammar_of(twin)[1] == KINDS[kind][1]
    grammask.detach(twin)
    torch.testing.assert_close(twin(**batch.inputs)[0], stock, atol=1e-5, rtol=0)


def test_pickles_are_guided_in_a_new_process(tmp_path, batch):
    for kind in KINDS:
        model = guided_model(kind)
        torch.save((model, batch.everything, logits(model, batch)), tmp_path / f"{kind}.pt")
    code = (
        "import sys, torch\n"
        "for file in sys.argv[1:]:\n"
        "    model, inputs, expected = torch.load(file, weights_only=False)\n"
        "    torch.testing.assert_close(model(**inputs)[0], expected, atol=1e-6, rtol=0)"
    )
    # The learned one first: nothing that another left behind helps it.
    files = [tmp_path / f"{kind}.pt" for kind in reversed(KINDS)]
    run_fresh(code, *files)


@pytest.mark.parametrize("kind", KINDS)
def test_wrappers_are_looked_into(kind, batch, one_process):
    few = {"num_hidden_layers": 2}
    expected = logits(guided_model(kind, **few), batch)
    grammar, strategy, learned = KINDS[kind]
    wraps = {
        "ddp": nn.parallel.DistributedDataParallel,
        "compile": lambda model: torch.compile(model, backend="eager"),
        "sequential": nn.Sequential,
    }
    for name, wrap in wraps.items():
        inside = wrap(guided_model(kind, **few))
        assert grammar_of(inside)[1] == strategy
        if name != "sequential":
            torch.testing.assert_close(logits(inside, batch), expected, atol=1e-5, rtol=0)
        outside = wrap(tiny_model("bert", **few))
        if learned:
            with pytest.raises(ModelError, match="would not know of strengths that are learned"):
                grammask.attach(outside, grammar, strategy, learn_strengths=learned)
            continue
        assert grammask.attach(outside, grammar, strategy) is outside
        if name != "sequential":
            torch.testing.assert_close(logits(outside, batch), expected, atol=1e-5, rtol=0)
            grammask.detach(outside)
            torch.testing.assert_close(outside(**batch.inputs)[0], tiny_model("bert", **few)(**batch.inputs)[0])


def test_a_compiled_model_that_ran_before_is_guided_from_then_on(batch):
    compiled = torch.compile(tiny_model("bert", num_hidden_layers=2), backend="eager")
    compiled(**batch.inputs)
    grammask.attach(compiled, "paper-sinks", "hard")
    expected = logits(guided_model("hard", num_hidden_layers=2), batch)
    torch.testing.assert_close(logits(compiled, batch), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_training_through_wrappers_has_the_plain_gradients(kind, batch, one_process):
    def gradients(model):
        model(**batch.everything)[0].square().sum().backward()
        return {name.removeprefix("module."): p.grad for name, p in model.named_parameters() if p.grad is not None}

    plain = gradients(guided_model(kind))
    wrapped = gradients(nn.parallel.DistributedDataParallel(guided_model(kind)))
    assert plain.keys() == wrapped.keys()
    assert kind != "learned" or any(STRENGTHS in name for name in plain)
    for reentrant in (False, True):
        model = guided_model(kind).train()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        model.gradient_checkpointing_enable({"use_reentrant": reentrant})
        checkpointed = gradients(model)
        for name, expected in plain.items():
            torch.testing.assert_close(wrapped[name], expected, atol=1e-5, rtol=1e-4)
            if name in checkpointed or not reentrant:
                torch.testing.assert_close(checkpointed[name], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_is_guided(kind, batch):
    model, stock = guided_model(kind), tiny_model("bert")
    expected = logits(model, batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = logits(model, batch).float()
    assert (rounded - expected).abs().max() < 0.3 * (stock(**batch.inputs)[0] - expected).abs().max()


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_keeps_its_grammar_beside_it(kind, tmp_path, batch):
    tiny_model("bert").save_pretrained(tmp_path / "base")
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base")
    grammar, strategy, learned = KINDS[kind]
    model = lora(grammask.attach(stock, grammar, strategy, learn_strengths=learned), kind)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model.train()(**batch.everything)[0].square().sum().backward()
    optimizer.step()
    if learned:
        table = stock.base_model.grammask_strengths.table
        assert table.requires_grad
        assert table.grad.any()
    expected = logits(model.eval(), batch)
    model.save_pretrained(tmp_path / "adapter")
    back = grammask.from_pretrained(tmp_path / "adapter").eval()
    assert isinstance(back, peft.PeftModel)
    assert grammar_of(back) == grammar_of(model)
    torch.testing.assert_close(logits(back, batch), expected, atol=1e-5, rtol=0)
    for name, parameter in grammask.from_pretrained(tmp_path / "adapter", is_trainable=True).named_parameters():
        assert parameter.requires_grad == any(part in name for part in ("lora_", "modules_to_save"))


def test_sink_tokens_are_saved_and_a_config_without_them_has_none(tmp_path, batch):
    grammar = grammask.Grammar("begin", (grammask.Rule(UPOS, UPOS, [-2, 0]),), sink_tokens=3)
    model = grammask.attach(tiny_model("bert"), grammar, "hard").eval()
    expected = logits(model, batch)
    model.save_pretrained(tmp_path)
    back = grammask.from_pretrained(tmp_path).eval()
    assert grammar_of(back)[0] == grammar
    torch.testing.assert_close(logits(back, batch), expected, atol=1e-5, rtol=0)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    assert config["grammask"]["grammar"].pop("sink_tokens") == 3
    file.write_text(json.dumps(config), encoding="utf-8")
    without = grammask.from_pretrained(tmp_path).eval()
    assert grammar_of(without)[0] == replace(grammar, sink_tokens=0)
    assert not torch.allclose(logits(without, batch), expected)


def test_a_peft_model_can_be_attached_and_its_merge_stays_guided(tmp_path, batch):
    inside = lora(guided_model("hard"), "hard")
    torch.manual_seed(0)
    outside = lora(tiny_model("bert"), "hard")
    outside.load_state_dict(inside.state_dict())
    assert grammask.attach(outside, "paper-sinks", "hard") is outside
    torch.testing.assert_close(logits(outside, batch), logits(inside, batch))
    merged = outside.merge_and_unload()
    torch.testing.assert_close(logits(merged, batch), logits(inside, batch), atol=1e-5, rtol=0)
    merged.save_pretrained(tmp_path)
    torch.testing.assert_close(
        logits(grammask.from_pretrained(tmp_path).eval(), batch), logits(inside, batch), atol=1e-5, rtol=0
    )


def test_learned_strengths_are_never_frozen_or_lost_under_an_adapter(tmp_path, batch):
    model = peft.get_peft_model(guided_model("learned"), peft.LoraConfig(**LORA))
    with pytest.raises(ModelError, match="froze the learned strengths.*modules_to_save"):
        model.train()(**batch.everything)
    logits(model.eval(), batch)
    with pytest.raises(ModelError, match="would not be saved with the adapter.*modules_to_save"):
        model.save_pretrained(tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()
    plain = guided_model("hard")
    plain._hf_peft_config_loaded = True  # as add_adapter leaves it
    with pytest.raises(ModelError, match=r"use peft.get_peft_model"):
        plain(**batch.everything)


def test_an_adapter_of_an_unguided_model_is_saved_as_ever(tmp_path):
    lora(tiny_model("bert"), "hard").save_pretrained(tmp_path)
    assert not (tmp_path / "config.json").exists()
    with pytest.raises(ModelError, match=r"holds no config.json"):
        grammask.from_pretrained(tmp_path)


def test_an_incomplete_adapter_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    tiny_model("bert").save_pretrained(tmp_path / "base")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base")
    lora(grammask.attach(model, "paper"), "hard").save_pretrained(tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    tensors = load_file(file)
    for lost in ("lora_B", "classifier.weight"):
        save_file({key: tensor for key, tensor in tensors.items() if lost not in key}, file)
        with pytest.raises(ModelError, match=f"is incomplete: it lacks .*{lost}"):
            grammask.from_pretrained(tmp_path / "adapter")


@pytest.mark.parametrize(("kind", "model_type"), [("hard", "bert"), ("soft", "distilbert"), ("hard", "modernbert")])
@pytest.mark.parametrize("name", ["eager", "sdpa"])
def test_switching_the_implementation_raises_at_the_next_forward(kind, model_type, name, batch):
    model = guided_model(kind, model_type)
    expected = logits(model, batch)
    model.set_attn_implementation(name)
    with pytest.raises(ModelError, match=f"was switched to '{name}'"):
        model(**batch.everything)
    model.set_attn_implementation("grammask")
    assert torch.equal(logits(model, batch), expected)
    grammask.detach(model)
    model.set_attn_implementation(name)
    model(**batch.inputs)


def test_a_layer_that_goes_past_the_grammar_raises(batch):
    model = guided_model("hard")
    layers = model.bert.encoder.layer
    layers[1].attention.self.config._attn_implementation = "eager"  # one config is shared by all modules
    layers[1].attention.self.config = copy.deepcopy(layers[0].attention.self.config)
    model.config._attn_implementation = "grammask"
    with pytest.raises(ModelError, match="was read by another attention"):
        model(**batch.everything)
    model = guided_model("hard")
    model.bert.encoder.layer[1] = copy.deepcopy(tiny_model("bert").bert.encoder.layer[1])
    with pytest.raises(ModelError, match="was read by another attention than its own"):
        model(**batch.everything)
    model = guided_model("hard")
    stranger = guided_model("hard").bert.encoder.layer[1]
    delattr(stranger.attention.self, "_grammask_layers")
    model.bert.encoder.layer[1] = stranger
    with pytest.raises(ModelError, match="wasn't in the model when it got its grammar"):
        model(**batch.everything)
    model = guided_model("hard")
    del model.bert.encoder.layer[2]
    with pytest.raises(ModelError, match="asked 2 times by 3 layers"):
        model(**batch.everything)
    model = guided_model("hard")
    with pytest.raises(ModelError, match="without the grammar of its model"):
        model.bert.encoder(model.bert.embeddings(batch.inputs["input_ids"]))


def test_shared_layers_whose_rules_differ_are_not_recomputed_wrongly(batch):
    """One module in every layer: a recomputed call cannot tell which layer it stands in for."""
    from torch.utils.checkpoint import checkpoint

    by_layer = grammask.Grammar("by-layer", rules=(grammask.Rule(UPOS, UPOS, layers=(0,)),), sinks=("[CLS]",))

    def run(grammar, checkpointing):
        model = grammask.attach(tiny_model("albert"), grammar, "hard")
        group = model.albert.encoder.albert_layer_groups[0]
        if checkpointing:
            stock = group.forward
            group.forward = lambda *args, **kwargs: checkpoint(stock, *args, use_reentrant=False, **kwargs)
        model(**batch.everything)[0].square().sum().backward()
        return group.albert_layers[0].attention.query.weight.grad

    torch.testing.assert_close(run("paper", True), run("paper", False), atol=1e-4, rtol=1e-4)
    run(by_layer, False)
    with pytest.raises(ModelError, match="whose rules differ, so gradient checkpointing cannot"):
        run(by_layer, True)


STOCK = {
    "class": "from transformers import AutoModelForSequenceClassification as A; A.from_pretrained(F)",
    "base": "from transformers import AutoModel as A; A.from_pretrained(F)",
    "pipeline": "from transformers import pipeline; pipeline('text-classification', F)",
    "SentenceTransformer": "from sentence_transformers import SentenceTransformer as S; S(F, device='cpu')",
    "CrossEncoder": "from sentence_transformers import CrossEncoder as S; S(F, device='cpu')",
}


def test_stock_loads_of_a_saved_guided_model_raise(tmp_path):
    guided_model("hard").save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["attn_implementation"] == "grammask"
    code = f"F = {str(tmp_path)!r}\n" + "".join(
        f"try:\n    {load}\nexcept Exception as error:\n    assert 'grammask' in str(error), error\n"
        f"else:\n    raise SystemExit({name!r})\n"
        for name, load in STOCK.items()
    )
    run_fresh(code)


def test_a_stock_load_where_the_name_is_known_raises_at_the_first_forward(tmp_path, batch):
    guided_model("hard").save_pretrained(tmp_path)
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"load a model that was saved with a grammar by grammask.from_pretrained"):
        stock(**batch.everything)


def test_detached_models_are_saved_as_stock_ones(tmp_path):
    grammask.detach(guided_model("learned")).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert not {"grammask", "attn_implementation"} & config.keys()
    AutoModelForSequenceClassification.from_pretrained(tmp_path)


class OwnClassifier(transformers.BertPreTrainedModel):
    """A user's own head."""

    def __init__(self, config):
        super().__init__(config)
        self.bert = transformers.BertModel(config)
        self.score = nn.Linear(config.hidden_size, 2)
        self.post_init()

    def forward(self, input_ids=None, attention_mask=None, **kwargs):
        return (self.score(self.bert(input_ids, attention_mask=attention_mask, **kwargs)[0][:, 0]),)


def test_a_class_of_the_users_own_is_saved_and_loaded(tmp_path, batch):
    torch.manual_seed(0)
    model = OwnClassifier(tiny_model("bert").config).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    grammask.attach(model, "paper", "soft", learn_strengths="layer")
    model.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"saved by 'OwnClassifier'.*model_class="):
        grammask.from_pretrained(tmp_path)
    back = grammask.from_pretrained(tmp_path, model_class=OwnClassifier).eval()
    assert type(back) is OwnClassifier
    torch.testing.assert_close(logits(back, batch), logits(model, batch))
    encoder, info = grammask.from_pretrained(
        tmp_path, model_class=transformers.AutoModel, output_loading_info=True, dtype="float64"
    )
    assert type(encoder) is transformers.BertModel
    assert encoder.dtype == torch.float64
    assert not info["missing_keys"]


def test_arguments_that_say_where_files_are_reach_every_read(tmp_path, batch):
    model = guided_model("learned")
    model.save_pretrained(tmp_path / "inside" / "below")
    back = grammask.from_pretrained(tmp_path / "inside", subfolder="below").eval()
    torch.testing.assert_close(logits(back, batch), logits(model, batch))
    with pytest.raises(ModelError, match="leave attn_implementation out"):
        grammask.from_pretrained(tmp_path / "inside", subfolder="below", attn_implementation="sdpa")


def test_strengths_of_models_saved_before_are_read(tmp_path, batch):
    from safetensors.torch import load_file, save_file

    model = guided_model("learned")
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    old = {key.removesuffix(".table"): tensor for key, tensor in load_file(file).items()}
    save_file(old, file, metadata={"format": "pt"})
    torch.testing.assert_close(logits(grammask.from_pretrained(tmp_path).eval(), batch), logits(model, batch))


def stored(strategy="hard", grammar=None, learned=None):
    return {"grammar": grammar or {"name": "x"}, "strategy": strategy, "learn_strengths": learned}


DAMAGED = [
    "text", {}, {"grammar": 1}, {"grammar": {}}, stored("gentle"), stored(learned="layer"), stored(["soft"]),
    stored("soft", learned=1),
    stored(grammar={"name": "x", "rule": [{"query": ["NOUN"], "key": ["VERB"], "layers": [99]}]}),
]  # fmt: skip


@pytest.mark.parametrize("damaged", DAMAGED, ids=str)
def test_a_damaged_grammar_in_a_config_is_one_error(tmp_path, damaged):
    guided_model("hard").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "grammask": damaged}))
    with pytest.raises(GrammaskError):
        grammask.from_pretrained(tmp_path)


def test_a_part_is_not_saved_without_its_grammar(tmp_path, batch):
    model = tiny_model("bert")
    grammask.attach(model.bert, "paper-sinks", "hard")
    torch.testing.assert_close(logits(model, batch), logits(guided_model("hard"), batch))
    with pytest.raises(ModelError, match="attach the grammar to the whole model"):
        model.save_pretrained(tmp_path / "whole")
    with pytest.raises(ModelError, match="attach the grammar to the whole model"):
        lora(model, "hard").save_pretrained(tmp_path / "adapter")
    model.state_dict()
    guided_model("hard").bert.save_pretrained(tmp_path / "part")
    assert grammar_of(grammask.from_pretrained(tmp_path / "part"))[1] == "hard"
    exchanged = guided_model("hard")
    exchanged.config = transformers.BertConfig(**TINY)
    with pytest.raises(ModelError, match="was exchanged after it got its grammar"):
        exchanged(**batch.everything)


def test_what_was_changed_meanwhile_stays_when_a_model_is_detached(tmp_path):
    model = guided_model("hard")
    model.resize_token_embeddings(150)
    model.config.id2label = {0: "a", 1: "b", 2: "c"}
    grammask.detach(model).save_pretrained(tmp_path)
    back = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert back.config.vocab_size == 150
    assert back.config.id2label[2] == "c"
    assert model.config._attn_implementation == "sdpa"


def test_a_loaded_model_leaves_its_grammar_when_it_is_detached(tmp_path, batch):
    guided_model("hard").save_pretrained(tmp_path / "guided")
    model = grammask.detach(grammask.from_pretrained(tmp_path / "guided"))
    model.save_pretrained(tmp_path / "plain")
    with pytest.raises(ModelError, match="saved without a grammar"):
        grammask.from_pretrained(tmp_path / "plain")
    again = AutoModelForSequenceClassification.from_config(guided_model("hard").config)
    grammask.detach(grammask.attach(again, "paper"))
    again.eval()(**batch.inputs)


def test_each_adapter_has_the_learned_strengths_or_is_refused(tmp_path, batch):
    model = lora(guided_model("learned"), "learned")
    model.add_adapter("other", peft.LoraConfig(**LORA))
    with pytest.raises(ModelError, match="would not be saved with the adapter 'other'"):
        model.save_pretrained(tmp_path)
    both = lora(guided_model("learned"), "learned")
    both.add_adapter("other", both.peft_config["default"])
    with pytest.raises(ModelError, match="cannot be mixed in one batch"):
        both.eval()(**batch.everything, adapter_names=["default", "other", "default", "other"])


def test_peft_refuses_an_adapter_of_a_guided_model(tmp_path):
    tiny_model("bert").save_pretrained(tmp_path / "base")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base")
    lora(grammask.attach(model, "paper"), "hard").save_pretrained(tmp_path / "adapter")
    with pytest.raises(ModelError, match="load it with grammask.from_pretrained"):
        peft.AutoPeftModelForSequenceClassification.from_pretrained(tmp_path / "adapter", num_labels=3)
    code = (
        "import sys, warnings, peft; warnings.simplefilter('error')\n"
        "try: peft.PeftConfig.from_pretrained(sys.argv[1])\n"
        "except Warning as word: assert 'grammask' in str(word)\nelse: raise SystemExit('no word')"
    )
    run_fresh(code, tmp_path / "adapter")


def test_peft_may_be_loaded_after_the_grammar(tmp_path):
    tiny_model("bert").save_pretrained(tmp_path / "base")
    code = (
        "import sys, grammask; from transformers import AutoModelForSequenceClassification as A\n"
        "model = grammask.attach(A.from_pretrained(sys.argv[1] + '/base'), 'paper')\n"
        "from peft import LoraConfig, get_peft_model\n"
        "get_peft_model(model, LoraConfig(r=2, target_modules=['query'])).save_pretrained(sys.argv[1] + '/adapter')"
    )
    run_fresh(code, tmp_path)
    assert grammar_of(grammask.from_pretrained(tmp_path / "adapter"))[0].name == "paper"


def test_strengths_learn_after_an_attach_under_inference_mode(batch):
    model = tiny_model("bert")
    with torch.inference_mode():
        grammask.attach(model, "paper", "soft", learn_strengths="layer")
    model(**batch.everything)[0].sum().backward()
    assert model.base_model.grammask_strengths.table.grad.any()


def test_learned_strengths_of_a_damaged_config_are_not_dropped(tmp_path):
    guided_model("learned").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["grammask"]["learn_strengths"] = None
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="holds learned strengths, but its config.json doesn't say so"):
        grammask.from_pretrained(tmp_path)


def test_a_config_that_is_handed_over_says_the_grammar(tmp_path):
    guided_model("hard").save_pretrained(tmp_path)
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    config.grammask["strategy"] = "soft"
    assert grammar_of(grammask.from_pretrained(tmp_path, config=config))[1] == "soft"


@pytest.mark.parametrize("names", [{"a": 1}, "BertModel", [], [1], None])
def test_a_class_that_a_config_names_oddly_is_asked_for(tmp_path, names):
    guided_model("hard").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "architectures": names}))
    with pytest.raises(ModelError, match=r"model_class=|cannot be used"):
        grammask.from_pretrained(tmp_path)


def test_forward_called_by_itself_is_guided(batch):
    model, inputs = guided_model("hard"), dict(batch.everything)
    with torch.no_grad():
        direct = model.bert.forward(**inputs)[0]
        assert torch.equal(direct, model.bert(**inputs)[0])


def test_a_sentence_transformer_is_guided(tmp_path, batch):
    from helpers.tokenizers_for_tests import tokenizer
    from sentence_transformers import SentenceTransformer

    base = tiny_model("bert").bert
    base.save_pretrained(tmp_path)
    tokenizer("wordpiece").save_pretrained(tmp_path)
    sentences = SentenceTransformer(str(tmp_path), device="cpu")
    assert grammask.attach(sentences, "paper-sinks", "hard") is sentences
    with torch.no_grad():
        found = sentences(dict(batch.everything))["token_embeddings"]
        expected = grammask.attach(base, "paper-sinks", "hard")(**batch.everything)[0]
    real = (batch.inputs["attention_mask"] == 1)[..., None]
    torch.testing.assert_close(found * real, expected * real, atol=1e-5, rtol=0)
    with pytest.raises(GrammaskError, match="tag_ids is missing"):
        sentences.encode(["the cat"])


def test_full_generates_as_the_stock_model():
    torch.manual_seed(0)
    model = CAUSAL["gpt2"]().eval()
    ids = torch.arange(20, 26)[None]
    options = {"attention_mask": torch.ones_like(ids), "max_new_tokens": 5, "do_sample": False, "pad_token_id": 0}
    stock = model.generate(ids, **options)
    grammask.attach(model, "paper", "full")
    assert torch.equal(model.generate(ids, **options), stock)


REFUSED = {
    "opt": lambda: transformers.OPTForCausalLM(transformers.OPTConfig(
        vocab_size=120, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=48,
        word_embed_proj_dim=32)),
    "t5": lambda: transformers.T5EncoderModel(transformers.T5Config(
        vocab_size=120, d_model=32, d_kv=8, num_layers=2, num_heads=4, d_ff=48)),
    "gemma2": lambda: transformers.Gemma2ForCausalLM(transformers.Gemma2Config(
        vocab_size=120, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        intermediate_size=48)),
    "vit": lambda: transformers.ViTModel(transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48)),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("strategy", ["full", "hard", "soft"])
def test_what_would_raise_at_the_first_forward_is_refused_by_attach(name, strategy):
    model = REFUSED[name]().eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ModelError, match=f"^{model.config.model_type} .* cannot be guided: "):
        grammask.attach(model, "paper", strategy)
    assert model.state_dict().keys() == before.keys()
    assert model.config._attn_implementation != "grammask"


CAUSAL = {
    "bert": lambda: transformers.BertLMHeadModel(transformers.BertConfig(**TINY, is_decoder=True)),
    "clip": lambda: transformers.CLIPTextModel(transformers.CLIPTextConfig(
        vocab_size=120, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48)),
    "gpt2": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(
        vocab_size=120, n_embd=32, n_layer=2, n_head=4)),
    "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**TINY, num_key_value_heads=2)),
}  # fmt: skip


@pytest.mark.parametrize("name", CAUSAL)
def test_causal_models_stay_causal_under_a_grammar(name):
    batch = random_batch((12, 12))
    torch.manual_seed(0)
    model = CAUSAL[name]().eval()
    grammask.attach(model, "paper-sinks", "hard")
    with torch.no_grad():
        before = model(**batch.everything)[0]
        changed = batch.inputs["input_ids"].clone()
        changed[:, 8:] = 9 + changed[:, 8:].roll(1, 1) % 50
        after = model(**{**batch.everything, "input_ids": changed})[0]
    torch.testing.assert_close(after[:, :8], before[:, :8])
    assert not torch.allclose(after[:, 8:], before[:, 8:])


def test_multiple_choice_takes_annotations_of_choices(batch):
    torch.manual_seed(0)
    model = transformers.BertForMultipleChoice(transformers.BertConfig(**TINY)).eval()
    grammask.attach(model, "paper", "hard")
    choices = {name: tensor[None] for name, tensor in batch.everything.items()}
    with torch.no_grad():
        found = model(**choices)[0]
        alone = torch.cat(
            [model(**{name: tensor[:, [row]] for name, tensor in choices.items()})[0] for row in range(4)], 1
        )
    torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-5)


def test_what_holds_no_model_or_several_is_refused():
    for stranger in (None, "bert", nn.Linear(2, 2), nn.Sequential(), Path("x")):
        with pytest.raises(ModelError, match="needs a transformers model"):
            grammask.attach(stranger, "paper")
    two = nn.ModuleList([tiny_model("bert"), tiny_model("distilbert")])
    with pytest.raises(ModelError, match="holds 2 transformers models"):
        grammask.attach(two, "paper")
