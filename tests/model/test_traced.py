"""A traced model, by torch.compile, torch.export or ONNX, gives the guided model's numbers, or it raises."""

import pytest
import torch
import transformers
from helpers.batches import random_batch
from helpers.tiny_models import TINY, tiny_model
from torch import nn

import grammask
from grammask.errors import InputError
from grammask.grammar.tags import PAD

PER_HEAD = grammask.Grammar(
    "per-head",
    rules=(
        grammask.Rule(("NOUN", "VERB"), ("DET", "ADJ"), grammask.Reach("words", -2, 3), heads=(0, 2)),
        grammask.Rule(("DET",), ("NOUN",), grammask.Reach("sentence"), layers=(1,)),
    ),
    sinks=("[CLS]",),
)
KINDS = {
    "full": ("paper", "full", None), "hard": ("paper-sinks", "hard", None), "soft": ("paper", "soft", None),
    "learned": ("paper", "soft", "head"), "per-head": (PER_HEAD, "hard", None),
}  # fmt: skip
# Other lengths and batch sizes than the first, which is what is traced.
BATCHES = [random_batch((13, 7, 2)), random_batch((31, 40, 23, 7), seed=1)]


def guided(model_type, kind, backend="auto", layers=2):
    """Return a guided model: of two layers where what it answers counts, since [CLS] reads all in the first."""
    grammar, strategy, learned = KINDS[kind]
    if model_type == "llama":
        torch.manual_seed(0)
        settings = {**TINY, "num_hidden_layers": layers, "num_key_value_heads": 2, "use_cache": False}
        model = transformers.LlamaForSequenceClassification(transformers.LlamaConfig(**settings, pad_token_id=1)).eval()
    else:
        model = tiny_model(model_type, num_hidden_layers=layers)
    grammask.attach(model, grammar, strategy, learn_strengths=learned, backend=backend)
    if learned:
        torch.manual_seed(3)
        nn.init.normal_(model.base_model.grammask_strengths.table, std=2.0)
    return model


def logits(model, inputs):
    with torch.no_grad():
        return model(**inputs)[0]


def by_compile(model):
    compiled = torch.compile(model, backend="eager", fullgraph=True, dynamic=True)
    return lambda inputs: logits(compiled, inputs)


def export(model, size):
    inputs = dict(BATCHES[0].everything)
    sizes = size and dict.fromkeys(inputs, size)
    with torch.no_grad():
        return torch.export.export(model, (), kwargs=inputs, dynamic_shapes=sizes)


def by_export(model):
    size = {0: torch.export.Dim("batch", max=64), 1: torch.export.Dim("length", max=80)}
    module = export(model, size).module(check_guards=False)
    return lambda inputs: logits(module, inputs)


def by_automatic_export(model):
    module = export(model, {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}).module(check_guards=False)
    return lambda inputs: logits(module, inputs)


def by_onnx(model):
    for name in ("onnx", "onnxscript"):
        pytest.importorskip(name)
    runtime = pytest.importorskip("onnxruntime")
    inputs, size = dict(BATCHES[0].everything), {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    with torch.no_grad():
        program = torch.onnx.export(
            model, (), kwargs=inputs, dynamo=True, verbose=False, dynamic_shapes=dict.fromkeys(inputs, size)
        )
    session = runtime.InferenceSession(program.model_proto.SerializeToString())
    taken = [one.name for one in session.get_inputs()]

    def run(inputs):
        return torch.tensor(session.run(None, {name: inputs[name].numpy() for name in taken})[0])

    return run


# Of each way, the first case always runs.
WAYS = {
    "compile": (by_compile, [("bert", "per-head"), ("modernbert", "soft"), ("llama", "hard")]),
    "export": (by_export, [("modernbert", "hard"), ("bert", "learned"), ("llama", "soft")]),
    "automatic export": (by_automatic_export, [("bert", "full"), ("modernbert", "per-head")]),
    "onnx": (by_onnx, [("llama", "hard"), ("bert", "per-head"), ("modernbert", "learned")]),
}
CASES = [
    pytest.param(way, *case, marks=[pytest.mark.slow] if number else [])
    for way, (_, cases) in WAYS.items()
    for number, case in enumerate(cases)
]


@pytest.mark.parametrize(("way", "model_type", "kind"), CASES)
def test_a_traced_model_has_the_numbers_of_the_guided_one(way, model_type, kind):
    torch._dynamo.reset()
    model = guided(model_type, kind)
    expected = [logits(model, batch.everything) for batch in BATCHES]
    traced = WAYS[way][0](model)
    for batch, numbers in zip(BATCHES, expected, strict=True):
        torch.testing.assert_close(traced(batch.everything), numbers, atol=2e-5, rtol=1e-5)


def test_a_compiled_model_trains_as_the_guided_one():
    torch._dynamo.reset()
    gradients = []
    for compile_it in (False, True):
        model = guided("bert", "learned")
        run = torch.compile(model, backend="aot_eager", fullgraph=True) if compile_it else model
        run(**BATCHES[0].everything)[0].square().sum().backward()
        gradients.append({name: one.grad for name, one in model.named_parameters() if one.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], expected, atol=1e-4, rtol=1e-4)


def test_a_compiled_model_follows_its_grammar():
    torch._dynamo.reset()
    model, batch = tiny_model("bert", num_hidden_layers=2), BATCHES[0]
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    stock = logits(compiled, batch.inputs)
    for grammar in ("paper", "paper-sinks"):
        with grammask.attached(model, grammar):
            found = logits(compiled, batch.everything)
            torch.testing.assert_close(found, logits(model, batch.everything), atol=2e-5, rtol=1e-5)
            assert not torch.allclose(found, stock, atol=1e-2)
    assert torch.equal(logits(compiled, batch.inputs), stock)


def test_a_graph_refuses_wrong_numbers():
    batch, traced = BATCHES[0], export(guided("bert", "hard", layers=1), None).module()
    tags, mask = batch.annotation["tag_ids"], batch.inputs["attention_mask"]
    for name, wrong, message in (
        ("tag_ids", tags.masked_fill(tags == 0, 99), "tag_ids must hold 0 to"),
        ("word_ids", batch.annotation["word_ids"] - 1, "word_ids must hold -1 to"),
        ("attention_mask", torch.ones_like(mask), "tag_ids and attention_mask disagree"),
        ("attention_mask", mask * 2, "tag_ids and attention_mask disagree"),
    ):
        with pytest.raises(RuntimeError, match=message):
            traced(**{**batch.everything, name: wrong})
    inputs = {name: tensor for name, tensor in random_batch((9, 9)).everything.items() if name != "attention_mask"}
    with torch.no_grad():
        traced = torch.export.export(guided("bert", "hard", layers=1), (), kwargs=inputs).module()
    with pytest.raises(RuntimeError, match="holds .PAD., but there is no attention_mask"):
        traced(**{**inputs, "tag_ids": torch.full_like(inputs["tag_ids"], PAD)})


def test_what_cannot_be_traced_raises():
    batch = BATCHES[0]
    named = guided("bert", "hard", backend="sorted", layers=1)
    with pytest.raises(InputError, match=r"backend 'sorted' cannot be traced .* backend=\"auto\" or \"dense\""):
        export(named, None)
    torch._dynamo.reset()
    with pytest.raises(InputError, match="backend 'sorted' cannot be traced"):
        torch.compile(named, backend="eager")(**batch.everything)
    with pytest.raises(InputError, match="tag_ids is missing"), torch.no_grad():
        torch.export.export(guided("bert", "hard", layers=1), (), kwargs=dict(batch.inputs))
