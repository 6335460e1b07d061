"""What is kept between calls is the same whatever mode of torch the first call ran under: values and gradients."""

import ast
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import torch
from helpers.attention_calls import GRAMMARS, HEADS, compare, draw, fitting_backends
from helpers.batches import random_batch
from helpers.tiny_models import tiny_model
from torch._subclasses.fake_tensor import FakeTensorMode

import grammask
from grammask.attention import scratch
from grammask.attention.blocks.lookup import compile_lookup
from grammask.grammar.tables import compile_tables

SOURCE = Path(grammask.__file__).parent
LENGTHS = (40, 17)


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device(device):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


# Modes that attention itself may run under, and modes under which only constants can be made.
MODES = {
    "inference": torch.inference_mode,
    "no grad": torch.no_grad,
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "float64": lambda: default_dtype(torch.float64),
    "on meta": lambda: torch.device("meta"),
    "default device": lambda: default_device("meta"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "all at once": lambda: all_at_once(),
}


@contextmanager
def all_at_once():
    with torch.inference_mode(), default_dtype(torch.bfloat16), torch.device("meta"):
        yield


@pytest.fixture(autouse=True)
def fresh():
    """Let every test make all constants and scratch memory anew, and leave none behind."""

    def forget():
        compile_tables.cache_clear()
        compile_lookup.cache_clear()
        scratch._BUFFERS.by_name.clear()

    forget()
    yield
    forget()


def attend(grammar, strategy, backend, batch, tensors, **options):
    return grammask.grammar_attention(
        *tensors, **batch.annotation, grammar=grammar, strategy=strategy, backend=backend,
        attention_mask=batch.inputs["attention_mask"], **options,
    )  # fmt: skip


# Every mode meets every grammar, and both strategies.
CASES = [
    (mode, name, ("hard", "soft")[(row + column) % 2])
    for row, mode in enumerate(MODES)
    for column, name in enumerate(GRAMMARS)
]


@pytest.mark.parametrize(("mode", "name", "strategy"), CASES)
def test_a_first_call_under_a_mode_poisons_nothing(mode, name, strategy):
    grammar, batch = GRAMMARS[name], random_batch(LENGTHS)
    for backend in ("dense", fitting_backends(grammar, strategy)[2]):
        compile_tables.cache_clear()
        compile_lookup.cache_clear()
        inputs = [tensor.detach() for tensor in draw(batch)[:3]]
        plain = attend(grammar, strategy, backend, batch, inputs)
        compile_tables.cache_clear()
        compile_lookup.cache_clear()
        scratch._BUFFERS.by_name.clear()
        with MODES[mode]():
            found = attend(grammar, strategy, backend, batch, inputs)
            attend(grammar, strategy, backend, batch, inputs, dropout=0.2)
        # Of the mode itself, only autocast may change the values, as it does everybody's.
        torch.testing.assert_close(found.double(), plain, atol=5e-2 if mode == "autocast" else 1e-6, rtol=0)
        compare(grammar, strategy, batch, backend)


@pytest.mark.parametrize("mode", ["inference", "bfloat16", "on meta", "all at once"])
@pytest.mark.parametrize("name", GRAMMARS)
@pytest.mark.parametrize("strategy", ["hard", "soft"])
def test_a_plan_of_one_mode_serves_another(mode, name, strategy):
    """Made and first used under a mode, with annotation of that mode, then trained with."""
    grammar, batch = GRAMMARS[name], random_batch(LENGTHS)
    wanted = draw(batch)
    for backend in ("dense", fitting_backends(grammar, strategy)[2]):
        with MODES[mode]():
            at = {name: ids.clone() for name, ids in batch.annotation.items()}
            mask = batch.inputs["attention_mask"].clone()
            plan = grammask.make_plan(grammar, **at, attention_mask=mask, strategy=strategy, heads=HEADS)
            batch.annotation, batch.inputs["attention_mask"] = at, mask
            attend(grammar, strategy, backend, batch, [tensor.detach() for tensor in wanted[:3]], plan=plan)
        first, second = draw(batch), draw(batch)
        by_plan = attend(grammar, strategy, backend, batch, first[:3], plan=plan)
        anew = attend(grammar, strategy, backend, batch, second[:3])
        assert torch.equal(by_plan, anew)
        for one, other in zip(
            torch.autograd.grad((by_plan * first[3]).sum(), first[:3]),
            torch.autograd.grad((anew * second[3]).sum(), second[:3]),
            strict=True,
        ):
            assert torch.equal(one, other)


@pytest.mark.parametrize(
    "mode", [FakeTensorMode, lambda: torch.device("meta"), torch.inference_mode, lambda: default_dtype(torch.float16)]
)
@pytest.mark.parametrize("name", GRAMMARS)
def test_constants_are_plain_tensors_under_every_mode(mode, name):
    tables = compile_tables(GRAMMARS[name], heads=HEADS)
    lookup = compile_lookup(tables)
    compile_tables.cache_clear()
    compile_lookup.cache_clear()
    with mode():
        again = compile_tables(GRAMMARS[name], heads=HEADS)
        made = compile_lookup(again)
    for table, other in zip(tables, again, strict=True):
        assert torch.equal(table.allowed, other.allowed)
        assert torch.equal(table.strength, other.strength)
    for value, other in zip(vars(lookup).values(), vars(made).values(), strict=True):
        if isinstance(value, torch.Tensor):
            assert type(other) is torch.Tensor
            assert not other.is_inference()
            assert other.dtype == value.dtype
            assert torch.equal(value, other)


def test_constants_are_plain_tensors_under_a_transform():
    batch = random_batch(LENGTHS)
    query, key, value, _ = (tensor.detach() for tensor in draw(batch))
    by_transform = torch.func.grad(
        lambda query: attend(GRAMMARS["mixed"], "soft", "dense", batch, (query, key, value)).sum()
    )(query)
    query.requires_grad_()
    (wanted,) = torch.autograd.grad(attend(GRAMMARS["mixed"], "soft", "dense", batch, (query, key, value)).sum(), query)
    torch.testing.assert_close(by_transform, wanted)


@pytest.mark.parametrize("learn", ["layer", "head", None])
@pytest.mark.parametrize("backend", ["dense", "biased"])
def test_a_model_trains_after_inference(learn, backend):
    batch = random_batch(LENGTHS[1:])
    gradients = []
    for first in (nullcontext, torch.inference_mode):
        compile_tables.cache_clear()
        compile_lookup.cache_clear()
        scratch._BUFFERS.by_name.clear()
        model = tiny_model("bert")
        with first():
            grammask.attach(model, "paper-sinks", "soft", backend=backend, learn_strengths=None)
            model(**batch.everything)
        grammask.detach(model)
        grammask.attach(model, "paper-sinks", "soft", backend=backend, learn_strengths=learn)
        with first():
            model(**batch.everything)
        model(**batch.everything).logits.square().sum().backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    assert gradients[0].keys() == gradients[1].keys()
    for name, grad in gradients[0].items():
        assert (grad is None) == (gradients[1][name] is None), name
        assert grad is None or torch.equal(grad, gradients[1][name]), name


FACTORIES = {"zeros", "ones", "empty", "full", "arange", "eye", "tensor", "randint", "rand", "randn", "linspace"}
KEPT = sorted(
    [SOURCE / "grammar" / "tables.py", SOURCE / "grammar" / "masks.py", *(SOURCE / "attention").rglob("*.py")]
)


@pytest.mark.parametrize("path", KEPT, ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_tensor_made_from_nothing_names_its_dtype_and_device(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "torch"
            and node.func.attr in FACTORIES
        ):
            named = {keyword.arg for keyword in node.keywords}
            assert {"dtype", "device"} <= named, f"line {node.lineno}: {ast.unparse(node)}"
