"""A call under a plan is the call without it, or an error that names what differs."""

import pytest
import torch
from helpers.attention_calls import GRAMMARS, HEADS, draw, fitting_backends
from helpers.batches import random_batch
from helpers.tiny_models import tiny_model

import grammask
from grammask.attention.reference import reference_attention
from grammask.errors import InputError
from grammask.grammar.masks import merge_masks
from grammask.grammar.tags import PAD

SENTENCES = GRAMMARS["banded by sentence"]


def setting(grammar=SENTENCES, *, strategy="hard", **changes):
    batch = random_batch((40, 23))
    at = {**batch.annotation, "attention_mask": batch.inputs["attention_mask"], **changes}
    at = {name: None if ids is None else ids.clone() for name, ids in at.items()}
    plan = grammask.make_plan(grammar, **at, strategy=strategy, layers=2, heads=HEADS)
    tensors = [tensor.detach() for tensor in draw(batch)[:3]]
    return plan, at, tensors


def attend(tensors, at, plan, grammar=SENTENCES, **options):
    return grammask.grammar_attention(*tensors, **at, grammar=grammar, plan=plan, **options)


@pytest.mark.parametrize("name", ["tag_ids", "word_ids", "sentence_ids"])
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("backend", ["dense", "banded", "auto"])
def test_a_plan_of_other_values_is_refused(name, in_place, used, backend):
    plan, at, tensors = setting()
    if used:
        attend(tensors, at, plan, backend=backend)
    if not in_place:
        at[name] = at[name].clone()
    before = int(at[name][1, 4])
    at[name][1, 4] = before + 1
    with pytest.raises(InputError, match=f"its {name} differ at text 1, token 4, where it has {before} and the call"):
        attend(tensors, at, plan, backend=backend)
    at[name][1, 4] = before
    assert torch.equal(attend(tensors, at, plan, backend=backend), attend(tensors, at, None, backend=backend))


def changed(at, name):
    padding = at["tag_ids"] == PAD
    return {
        "no words": {**at, "word_ids": None},
        "no sentences": {**at, "sentence_ids": None},
        "no mask": {**at, "attention_mask": None},
        "more is read": {**at, "attention_mask": torch.ones_like(at["attention_mask"])},
        "less is read": {**at, "attention_mask": (~padding).long() * (torch.arange(40) < 20)},
        "another batch": {key: ids[:1] for key, ids in at.items()},
        "swapped": {key: ids.flip(0) for key, ids in at.items()},
        "other dtype": {key: ids.int() for key, ids in at.items()},
        "a mask of bools": {**at, "attention_mask": ~padding},
        "a mask of floats": {**at, "attention_mask": (~padding).float()},
        "a mask of twos": {**at, "attention_mask": (~padding).long() * 2},
    }[name]


@pytest.mark.parametrize("backend", ["dense", "banded", "auto"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no words", "its word_ids differ"),
        ("no sentences", "sentence_ids is missing"),
        ("no mask", "there is no attention_mask"),
        ("more is read", "tag_ids and attention_mask disagree at text 1, token 23"),
        ("less is read", "tag_ids and attention_mask disagree at text 0, token 20"),
        ("another batch", "tag_ids has shape|another batch"),
        ("swapped", "another batch: its tag_ids differ"),
        ("other dtype", None),
        ("a mask of bools", None),
        ("a mask of floats", None),
        ("a mask of twos", "attention_mask holds 2"),
    ],
)
def test_every_argument_of_a_call_is_compared_with_its_plan(change, message, backend):
    plan, at, tensors = setting()
    attend(tensors, at, plan, backend=backend)
    other = changed(at, change)
    if message is None:
        assert torch.equal(attend(tensors, other, plan, backend=backend), attend(tensors, at, None, backend=backend))
        return
    with pytest.raises(InputError, match=message):
        attend(tensors, other, plan, backend=backend)


def test_what_a_grammar_never_reads_is_not_compared():
    plan, at, tensors = setting(grammask.load_grammar("paper"))
    other = {**at, "sentence_ids": at["sentence_ids"] + 3}
    found = attend(tensors, other, plan, grammask.load_grammar("paper"))
    assert torch.equal(found, attend(tensors, at, None, grammask.load_grammar("paper")))


def test_words_that_are_tokens_may_be_left_out_of_both():
    plan, at, tensors = setting(word_ids=None)
    assert torch.equal(attend(tensors, at, plan), attend(tensors, at, None))
    with pytest.raises(InputError, match="its word_ids differ"):
        attend(tensors, {**at, "word_ids": random_batch((40, 23)).annotation["word_ids"]}, plan)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 2}, "the plan is for 2 layers, but the call is for layer 2"),
        ({"layer": -1}, "layer is -1"),
        ({"strategy": "soft"}, "the plan is for grammar 'sentence', hard"),
        ({"strategy": "full"}, "the plan is for grammar 'sentence', hard"),
        ({"grammar": GRAMMARS["mixed"]}, "but the call is for grammar"),
    ],
)
def test_a_plan_of_another_grammar_strategy_or_size_is_refused(options, message):
    plan, at, tensors = setting()
    with pytest.raises(InputError, match=message.replace("call is for grammar", "call is for 'mixed'")):
        attend(tensors, at, plan, **options)


def test_calls_that_share_a_plan_share_its_masks():
    plan, at, tensors = setting()
    for _ in range(3):
        attend(tensors, at, plan, backend="dense")
    assert len(plan._masks) == 1


def test_layers_whose_rules_are_of_one_kind_share_a_choice():
    near = [grammask.Rule((tag,), ("VERB",), reach=[-2, 2], layers=(layer,)) for layer, tag in enumerate(("NOUN", "X"))]
    far = grammask.Rule(("VERB",), ("NOUN",), layers=(2,))
    grammar = grammask.Grammar("kinds", (*near, far))
    plan = grammask.make_plan(grammar, tag_ids=random_batch((40, 40)).annotation["tag_ids"], layers=3)
    choices = [grammask.explain_dispatch(plan, heads=HEADS, head_dim=8, layer=layer) for layer in range(3)]
    assert choices[0] is choices[1]
    assert choices[0] is not choices[2]


# The caller's own masks


def own_mask(kind, tags, dtype=torch.float32):
    """Return a mask that leaves the fourth token of the first text only what the grammar blocks."""
    may = (tags != PAD)[:, None, None, :].repeat(1, 1, tags.shape[1], 1)
    may[0, 0, 3] = False
    may[0, 0, 3, 9] = True  # another part of speech, out of every reach
    if kind == "bool":
        return may
    return torch.zeros(may.shape, dtype=dtype).masked_fill(
        ~may, {"-inf": -torch.inf, "lowest": torch.finfo(dtype).min}[kind]
    )


LONELY = grammask.Grammar("lonely", (grammask.Rule(("NOUN",), ("NOUN",), strength=2.0),))


def lonely_batch():
    batch = random_batch((13, 7))
    batch.annotation["tag_ids"][0, 1:12] = torch.tensor([7, 7, 7, 7, 7, 15, 15, 15, 15, 15, 15])
    batch.annotation["word_ids"][0, 1:12] = torch.arange(11)
    return batch


@pytest.mark.parametrize("kind", ["bool", "-inf", "lowest"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_a_query_that_may_read_nothing_reads_nothing_on_every_path(kind, dtype):
    batch = lonely_batch()
    at = batch.annotation
    plan = grammask.make_plan(LONELY, **at, attention_mask=batch.inputs["attention_mask"], heads=HEADS)
    results = []
    for attend_to in ("fused", "reference"):
        query, key, value, _ = draw(batch, dtype=dtype)
        mask = plan.mask(0, own_mask(kind, at["tag_ids"], dtype if kind != "bool" else torch.float32), dtype)
        if attend_to == "fused":
            out = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        else:
            out, weights = reference_attention(query, key, value, mask, scale=query.shape[-1] ** -0.5)
            assert not weights[0, :, 3].any()
        assert not out[0, :, 3].any()
        grads = torch.autograd.grad(out.sum(), (query, key, value))
        assert all(grad.isfinite().all() for grad in (out, *grads))
        assert not grads[0][0, :, 3].any()
        results.append((out, *grads))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one.double(), other.double(), atol=3e-2 if dtype.itemsize == 2 else 1e-5, rtol=1e-2)


@pytest.mark.parametrize("kind", ["bool", "-inf", "lowest"])
@pytest.mark.parametrize("strategy", ["hard", "soft", "learned"])
def test_output_attentions_changes_no_answer_under_a_mask_of_the_caller(kind, strategy):
    batch = lonely_batch()
    learn = "layer" if strategy == "learned" else None
    model = grammask.attach(tiny_model("bert"), LONELY, "hard" if strategy == "hard" else "soft", learn_strengths=learn)
    mask = own_mask(kind, batch.annotation["tag_ids"])
    if strategy != "hard":  # nothing is blocked by the grammar, so the mask itself leaves nothing
        blocks = False if kind == "bool" else {"-inf": -torch.inf, "lowest": torch.finfo(torch.float32).min}[kind]
        mask[0, 0, 3] = blocks
    answers = []
    for asked in (False, True):
        model.zero_grad()
        found = model(
            **{**batch.everything, "attention_mask": mask}, output_attentions=asked, output_hidden_states=True
        )
        last = found.hidden_states[-1]
        assert last.isfinite().all()
        last.square().sum().backward()
        grads = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        assert all(grad.isfinite().all() for grad in grads)
        answers.append((last, *grads))
        if asked:
            for weights in found.attentions:
                assert not weights[0, :, 3].any()
    for one, other in zip(*answers, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("shape", ["row", "columns"])
@pytest.mark.parametrize("kind", ["bool", "additive"])
def test_a_mask_of_one_row_may_say_more_than_padding(shape, kind):
    """It hides tokens that are no padding from all: no sparse backend may take it for padding."""
    batch = lonely_batch()
    may = (batch.annotation["tag_ids"] != PAD)[:, None, None, :].clone()
    may[0, ..., 5] = False
    mask = may if shape == "row" else may.expand(-1, -1, 13, -1)
    if kind == "additive":
        mask = torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min)

    def run(mask, backend="auto", **options):
        model = grammask.attach(tiny_model("bert"), LONELY, backend=backend)
        inputs = {**batch.everything, "attention_mask": mask}
        return model(**inputs, output_hidden_states=True, **options).hidden_states[-1]

    found = run(mask)
    torch.testing.assert_close(found, run(mask, output_attentions=True), atol=1e-5, rtol=1e-5)
    with pytest.raises(InputError, match="backend 'mixed' cannot be used here: the model has a mask of its own"):
        run(mask, "mixed")
    plain = run((batch.annotation["tag_ids"] != PAD)[:, None, None, :], "mixed")
    assert not torch.allclose(plain, found, atol=1e-3)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(2, 1, 13, 13, dtype=torch.long), "is bool .* but has dtype torch.int64"),
        (torch.ones(2, 3, 13, 13, dtype=torch.bool), "doesn't broadcast"),
        (torch.ones(3, 1, 13, 13, dtype=torch.bool), "doesn't broadcast"),
        (torch.ones(2, 1, 13, 12, dtype=torch.bool), "doesn't broadcast"),
        (torch.ones(13), "attention_mask has shape"),
        (torch.ones(2, 13, 13), "attention_mask has shape"),
        (torch.ones(1, 2, 1, 13, 13), "attention_mask has shape"),
        (torch.full((2, 13), torch.nan), "attention_mask holds nan"),
        ([[1] * 13] * 2, "attention_mask must be a tensor, but is list"),
        ({"full_attention": torch.ones(2, 13)}, "attention_mask must be a tensor, but is dict"),
    ],
)
def test_a_mask_that_no_model_can_take_is_named(mask, message):
    model = grammask.attach(tiny_model("bert"), LONELY)
    with pytest.raises(InputError, match=message):
        model(**{**lonely_batch().everything, "attention_mask": mask})


def test_a_mask_overwritten_between_layers_is_read_anew():
    batch = lonely_batch()
    plan = grammask.make_plan(LONELY, **batch.annotation, attention_mask=batch.inputs["attention_mask"], heads=HEADS)
    mask = own_mask("bool", batch.annotation["tag_ids"])
    plan.mask(0, mask, torch.float32)
    mask[0, 0, 4] = False
    grammars = plan.mask(0, None, torch.float32)
    assert torch.equal(plan.mask(0, mask, torch.float32), merge_masks(grammars, mask))


def test_all_backends_refuse_or_agree_under_one_plan():
    for name, grammar in GRAMMARS.items():
        for strategy in ("hard", "soft"):
            plan, at, tensors = setting(grammar, strategy=strategy)
            for backend in ("dense", *fitting_backends(grammar, strategy)[2:]):
                options = {"strategy": strategy, "backend": backend}
                found = attend(tensors, at, plan, grammar, **options)
                assert torch.equal(found, attend(tensors, at, None, grammar, **options)), (name, strategy, backend)
