"""The backend "flex", uncompiled, equals the oracle: values, and gradients where PyTorch lets them through."""

import sys

import pytest
import torch
from helpers.attention_calls import GRAMMARS, HEAD_DIM, HEADS, draw, oracle_mask
from helpers.batches import left_padded, random_batch, with_new_words
from helpers.strategies import drawn_calls
from helpers.tiny_models import tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import flex_attention as torch_flex

import grammask
from grammask.attention import functional
from grammask.attention.flex import attend_calls
from grammask.attention.flex.attend_calls import flex_attention
from grammask.attention.flex.rule_tables import rules_on
from grammask.attention.mask_maker import with_new
from grammask.attention.plan import Plan
from grammask.attention.position_mask import FREE, PositionMask
from grammask.attention.reference import reference_attention
from grammask.errors import GrammarError, InputError
from grammask.grammar.tables import compile_tables
from grammask.grammar.tags import NAMED, PAD, TAGS, UPOS

pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
# Without it FlexAttention is traced for every kind of pair before it runs in plain PyTorch, a second for each.
DIRECTLY = "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG"
POSITIONS = (FREE, PositionMask(causal=True), PositionMask(window=(3, 20)), PositionMask(True, (150, 0)))


@pytest.fixture(autouse=True, scope="module")
def directly():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_flex, DIRECTLY, True)
        yield


def attend(inputs, grammar, strategy, batch, *, position=FREE, layer=0, backend="flex"):
    return grammask.grammar_attention(
        *inputs, **batch.annotation, grammar=grammar, strategy=strategy, layer=layer, backend=backend,
        attention_mask=batch.inputs["attention_mask"], causal=position.causal, window=position.window,
    )  # fmt: skip


def oracle(inputs, grammar, strategy, batch, **options):
    query, key, value = (tensor.double() for tensor in inputs)
    groups = query.shape[1] // key.shape[1]
    mask = oracle_mask(grammar, strategy, batch, heads=query.shape[1], queries=query.shape[2], **options)
    repeated = (tensor.repeat_interleave(groups, 1) for tensor in (key, value))
    return reference_attention(query, *repeated, mask, scale=HEAD_DIM**-0.5)[0]


def compare(
    grammar, strategy, batch, *, heads=HEADS, key_heads=None, queries=None, dtype=torch.float64, atol=1e-6, **options
):
    query, key, value, _ = (tensor.detach() for tensor in draw(batch, dtype=dtype, heads=heads, key_heads=key_heads))
    queries = queries or query.shape[2]
    inputs = query[:, :, -queries:], key, value
    real = (batch.annotation["tag_ids"] != PAD)[:, None, -queries:, None]
    found = attend(inputs, grammar, strategy, batch, **options)
    assert found.isfinite().all()
    assert found.dtype == dtype
    expected = oracle(inputs, grammar, strategy, batch, **options)
    torch.testing.assert_close(found.double() * real, expected * real, atol=atol, rtol=0)


@settings(max_examples=25)
@given(*drawn_calls, st.sampled_from(POSITIONS))
def test_flex_equals_the_oracle_on_drawn_grammars(grammar, lengths, seed, layer, strategy, position):
    compare(grammar, strategy, random_batch(lengths, seed=seed), layer=layer, position=position)


@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("name", GRAMMARS)
def test_flex_equals_the_oracle_over_several_blocks(name, strategy):
    batch = with_new_words(random_batch((300, 129)), 0.1)
    compare(GRAMMARS[name], strategy, batch)
    compare(GRAMMARS[name], strategy, left_padded(batch), heads=6, key_heads=2, queries=131, position=POSITIONS[3])


@pytest.mark.parametrize("name", ["english-near", "mixed"])
def test_many_reaches_are_looked_up_and_few_compared(name):
    grammar = grammask.load_grammar(name)
    rules = rules_on(compile_tables(grammar, layer=0, heads=HEADS), torch.device("cpu"))
    assert rules.has_few_reaches == (name == "mixed")
    for strategy in ("hard", "soft"):
        compare(grammar, strategy, with_new_words(random_batch((200, 77)), 0.1), position=POSITIONS[1])


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 2e-5), (torch.bfloat16, 3e-2)], ids=str)
def test_dtypes_are_exact_to_their_own_rounding(dtype, atol):
    for strategy in ("hard", "soft"):
        compare(GRAMMARS["mixed"], strategy, random_batch((200, 77)), dtype=dtype, atol=atol)


@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("name", GRAMMARS)
def test_gradients_are_exact(name, strategy, monkeypatch):
    """Its eager form has a backward pass, which PyTorch refuses on the CPU only at the door."""
    monkeypatch.setattr(torch_flex, "_validate_device", lambda *_: None)
    batch, grammar = random_batch((150, 40)), GRAMMARS[name]
    query, key, value, weight = draw(batch, heads=6, key_heads=2)
    real = (batch.annotation["tag_ids"] != PAD)[:, None, :, None]
    mask = batch.inputs["attention_mask"]
    plan = grammask.make_plan(grammar, **batch.annotation, attention_mask=mask, strategy=strategy, heads=6)
    calls = plan.flex_calls(0, POSITIONS[3], query.shape[2])
    found = flex_attention(query, key, value, calls, scale=HEAD_DIM**-0.5)
    expected = oracle((query, key, value), grammar, strategy, batch, position=POSITIONS[3])
    grads, wanted = (
        torch.autograd.grad((output * weight * real).sum(), (query, key, value)) for output in (found, expected)
    )
    for grad, wish in zip(grads, wanted, strict=True):
        torch.testing.assert_close(grad, wish, atol=1e-6, rtol=0)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("table_heads", [1, HEADS])
def test_learned_strengths_get_their_gradients(table_heads, backend, monkeypatch):
    monkeypatch.setattr(torch_flex, "_validate_device", lambda *_: None)
    monkeypatch.setattr(torch_flex, DIRECTLY, False)  # which would take the table for a constant
    compiled = torch.compile(attend_calls._attend, backend=backend, dynamic=True, fullgraph=True)
    tables = []

    def attend_compiled(*args, strengths, **options):
        tables.append(strengths)
        return compiled(*args, strengths=strengths, **options)

    monkeypatch.setattr(attend_calls, "_attend", attend_compiled)
    batch, grammar = with_new_words(random_batch((140, 40))), GRAMMARS["mixed"]
    query, key, value, weight = draw(batch)
    mask = batch.inputs["attention_mask"]
    learned = torch.randn(1, table_heads, len(NAMED), len(NAMED), dtype=torch.float64, requires_grad=True)
    made = grammask.make_plan(grammar, **batch.annotation, attention_mask=mask, strategy="soft", heads=HEADS)
    plan = Plan(
        made.annotation, strategy="soft", layer_tables=made.layer_tables, learned=learned, grammar=grammar,
        shape=made.shape,
    )  # fmt: skip
    real = (batch.annotation["tag_ids"] != PAD)[:, None, :, None]
    calls = plan.flex_calls(0, FREE, query.shape[2])
    found = flex_attention(query, key, value, calls, scale=HEAD_DIM**-0.5, strengths=with_new(learned[0]))
    assert [len(table) for table in tables] == [HEADS]  # a row for all heads compiles for no GPU up to PyTorch 2.11
    assert not tables[0]._is_view()  # which gets none up to 2.13
    bias = plan.mask(0, plan.padding, torch.float64)
    expected, _ = reference_attention(query, key, value, bias, scale=HEAD_DIM**-0.5)
    torch.testing.assert_close(found * real, expected * real, atol=1e-6, rtol=0)
    grads, wanted = (
        torch.autograd.grad((output * weight * real).sum(), (query, learned)) for output in (found, expected)
    )
    for grad, wish in zip(grads, wanted, strict=True):
        torch.testing.assert_close(grad, wish, atol=1e-6, rtol=0)


def test_what_flex_cannot_do_is_refused_by_name():
    batch = random_batch((20,))
    inputs = draw(batch)[:3]
    with pytest.raises(InputError, match=r"'flex' cannot be used here: FlexAttention has no backward pass on the CPU"):
        attend(inputs, "paper", "hard", batch)
    still = [tensor.detach() for tensor in inputs]
    with pytest.raises(InputError, match=r"'flex' cannot be used here: FlexAttention has no attention dropout"):
        grammask.grammar_attention(*still, **batch.annotation, grammar="paper", dropout=0.1, backend="flex")
    with pytest.raises(GrammarError, match="'full' has no backend 'flex'"):
        attend(still, "paper", "full", batch)


def test_learned_strengths_alone_have_no_gradients_on_the_cpu_either():
    model = grammask.attach(
        tiny_model("bert", num_hidden_layers=1).eval(), "paper", "soft", learn_strengths="head", backend="flex"
    )
    for name, weight in model.named_parameters():
        weight.requires_grad_("grammask_strengths" in name)
    with pytest.raises(InputError, match=r"FlexAttention has no backward pass on the CPU"):
        model(**random_batch((20,)).everything)


def test_auto_on_a_gpu_says_why_it_does_not_take_flex():
    plan = grammask.make_plan("paper", tag_ids=torch.arange(4096)[None] % 17)

    def choice(**options):
        return grammask.explain_dispatch(plan, heads=12, head_dim=64, device="cuda", **options)

    assert str(choice()) == (
        "dense: flex is compiled first on cuda; ask for it by name, or measure first: grammask bench --calibrate "
        "--device cuda --dtypes float32 (unmeasured: there are no estimates on cuda)"
    )
    assert choice(training=True, drops=True).reason == "FlexAttention has no attention dropout"
    assert str(choice(backend="flex", training=True)).startswith("flex: asked for (unmeasured")
    assert choice(backend="dense").dense_ms is None
    with pytest.raises(InputError, match=r"computes float16, bfloat16, float32 on cuda, but not torch\.float64"):
        choice(backend="flex", dtype=torch.float64)
    with pytest.raises(InputError, match="sorted runs on cpu only, but the tensors are on cuda"):
        choice(backend="sorted")


def test_a_guided_model_takes_it():
    model = tiny_model("bert").eval()
    batch = random_batch((60, 33))
    outputs = {}
    for backend in ("dense", "flex"):
        grammask.attach(model, "mixed", backend=backend)
        with torch.no_grad():
            outputs[backend] = model.base_model(**batch.everything).last_hidden_state[
                batch.inputs["attention_mask"] == 1
            ]
        grammask.detach(model)
    torch.testing.assert_close(outputs["flex"], outputs["dense"], atol=1e-4, rtol=0)


def test_an_older_pytorch_is_refused_by_name(monkeypatch):
    monkeypatch.delitem(sys.modules, "grammask.attention.flex.attend_calls")
    monkeypatch.delattr(torch_flex, "AuxRequest")
    functional._flex_attention.cache_clear()
    with pytest.raises(InputError, match=r"'flex' needs a later PyTorch than .*AuxRequest"):
        compare(GRAMMARS["mixed"], "hard", random_batch((20,)))
    functional._flex_attention.cache_clear()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_blocks_are_the_same_under_autocast(dtype):
    """Of 16,384 pairs in a block one is not allowed, which no such number tells from all of them."""
    words = tuple(UPOS)
    rules = [
        grammask.Rule(tuple(tag for tag in words if tag != "X"), words),
        grammask.Rule(("X",), tuple(tag for tag in words if tag != "INTJ")),
    ]
    tags = torch.full((1, 256), TAGS.index("NOUN"))
    tags[0, 0], tags[0, -1] = TAGS.index("X"), TAGS.index("INTJ")
    grammar, found = grammask.Grammar("all-but-one", rules=rules), []
    for casts in (False, True):
        plan = grammask.make_plan(grammar, tag_ids=tags)
        with torch.autocast("cpu", dtype=dtype, enabled=casts):
            found.append(plan.flex_calls(0, FREE, 256)[0].blocks)
    assert int(found[0].kv_num_blocks.sum()) == 1
    for once, again in zip(*found, strict=True):
        assert torch.equal(once, again)
