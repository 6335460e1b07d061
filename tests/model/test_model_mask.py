"""What a model's own mask becomes: causality and sliding windows are read as such, whatever else is made in full."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import masking_utils as masks

from grammask.attention.make_plan import make_plan
from grammask.attention.position_mask import FREE, PositionMask
from grammask.errors import ModelError
from grammask.model.model_mask import make_mask, own_mask, read_mask_function

PLACES = 23


def pairs(function):
    """Evaluate a mask function on all pairs: bool (places, places)."""
    place = torch.arange(PLACES)
    zero = torch.zeros(1, 1, dtype=torch.long)
    return function(zero, zero, place[:, None], place[None]).expand(PLACES, PLACES)


@given(
    window=st.integers(0, 40),
    make=st.sampled_from(
        [
            masks.sliding_window_overlay, masks.sliding_window_bidirectional_overlay,
            masks.sliding_window_causal_mask_function, masks.sliding_window_bidirectional_mask_function,
        ]
    ),
    beside=st.lists(
        st.sampled_from(
            [masks.causal_mask_function, masks.bidirectional_mask_function, masks.sliding_window_overlay(9)]
        ),
        max_size=2,
    ),
)  # fmt: skip
def test_windows_and_causality_are_read_exactly(window, make, beside):
    function = masks.and_masks(make(window), *beside) if beside else make(window)
    found = read_mask_function(function)
    expected = pairs(function)
    if not expected.diagonal().all():
        assert found is None
        return
    assert torch.equal(found.allowed(PLACES, PLACES, torch.device("cpu")), expected)


def test_plain_functions_are_read():
    assert read_mask_function(masks.causal_mask_function) == PositionMask(causal=True)
    assert read_mask_function(masks.bidirectional_mask_function) is FREE
    assert read_mask_function(masks.and_masks()) == FREE


@pytest.mark.parametrize("window", [1 << 20, 1 << 40, 1 << 100])
def test_a_window_beyond_any_text_takes_no_memory(window):
    found = read_mask_function(masks.sliding_window_causal_mask_function(window))
    assert found.causal
    assert found.left >= min(window, 1 << 28) - 1


GROUPS = torch.zeros(2, PLACES, dtype=torch.long)


def unfinished():
    """Return a function that holds a name which was never given a value."""

    def mask(*places):
        return later(*places)

    if GROUPS.any():
        later = max
    return mask


UNKNOWN = {
    "chunked": masks.chunked_causal_mask_function(4, torch.zeros(1, dtype=torch.long)),
    "chunks": masks.chunked_overlay(4, torch.zeros(1, dtype=torch.long)),
    "blockwise": masks.blockwise_overlay(GROUPS),
    "causal or blockwise": masks.or_masks(masks.causal_mask_function, masks.blockwise_overlay(GROUPS)),
    "packed": masks.and_masks(masks.causal_mask_function, masks.packed_sequence_mask_function(GROUPS)),
    "remapped": masks.remap_positions_for_packed_sequence(masks.causal_mask_function, GROUPS),
    "moved": masks.add_offsets_to_mask_function(masks.causal_mask_function, 1, 0),
    "padding": masks.padding_mask_function(GROUPS.bool()),
    "and of a caller's": masks.and_masks(masks.causal_mask_function, lambda *places: places[3] != 3),
    "or of a caller's": masks.or_masks(masks.causal_mask_function, lambda *places: places[3] == 3),
    "of a caller": lambda batch, head, query, key: key <= query,
    "a method": FREE.allowed,
    "no function": max,
    "of no size": masks.sliding_window_overlay(5.0),
    "counted in a tensor": masks.sliding_window_overlay(torch.tensor(5)),
    "not made whole": unfinished(),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_else_a_mask_says_is_not_guessed(name):
    assert read_mask_function(UNKNOWN[name]) is None
    assert read_mask_function(masks.and_masks(masks.bidirectional_mask_function, UNKNOWN[name])) is None


def asked(**changes):
    return {
        "batch_size": 2, "q_length": 5, "kv_length": 5, "q_offset": 0, "kv_offset": 0, "attention_mask": None,
        "mask_function": masks.sliding_window_causal_mask_function(3), "allow_is_causal_skip": True, "local_size": 3,
        "dtype": torch.float32, "use_vmap": False, "device": torch.device("cpu"), **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"attention_mask": torch.ones(2, 5, dtype=torch.bool)},
        {"attention_mask": torch.tensor([[1, 1, 1, 0, 0], [0, 1, 1, 1, 1]]).bool()},
        {"q_length": 2, "q_offset": 3},
        {"q_length": 2, "q_offset": torch.tensor(3)},
    ],
)
def test_queries_at_the_end_of_their_keys_have_places(changes):
    arguments = asked(**changes)
    made = make_mask(**arguments)
    assert made.position == PositionMask(causal=True, window=(2, made.position.window[1]))
    allowed = made.position.allowed(arguments["q_length"], 5, torch.device("cpu"))[None, None].expand(2, -1, -1, -1)
    padding = arguments["attention_mask"]
    assert torch.equal(made.full(), allowed if padding is None else allowed & padding[:, None, None])
    assert made.full() is made.full()


@pytest.mark.parametrize(
    "changes",
    [
        {"q_length": 2},
        {"q_length": 2, "q_offset": 1},
        {"q_offset": 2, "kv_offset": 2},
        {"kv_offset": 1, "q_offset": 2, "q_length": 4},
        {"attention_mask": torch.ones(2, 3, dtype=torch.bool)},
        {"attention_mask": torch.ones(2, 8, dtype=torch.bool)},
        {"mask_function": UNKNOWN["causal or blockwise"], "allow_is_causal_skip": False},
    ],
)
def test_what_has_no_places_in_the_batch_is_made_in_full(changes):
    made = make_mask(**asked(**changes))
    assert made.position is None
    assert torch.equal(made.full(), masks.sdpa_mask(**{**asked(**changes), "allow_is_causal_skip": False}))


def test_the_stock_mask_is_made_once_and_left_out_as_by_the_stock_model():
    assert make_mask(**asked(mask_function=masks.causal_mask_function, local_size=None)).stock() is None
    made = make_mask(**asked())
    assert made.stock() is made.stock() is not None


@pytest.mark.parametrize(
    "read",
    [
        lambda mask: torch.zeros(5, 5) + mask,
        lambda mask: torch.where(mask, 0.0, 1.0),
        lambda mask: mask[:, :, :, :4],
        lambda mask: torch.nn.functional.scaled_dot_product_attention(*torch.zeros(3, 2, 1, 5, 8), attn_mask=mask),
    ],
)
def test_attention_that_is_not_ours_cannot_read_it(read):
    with pytest.raises(ModelError, match="was read by another attention"):
        read(make_mask(**asked()))


class Module(torch.nn.Module):
    """An attention that says nothing of its causality, for which PyTorch's is causal."""


@pytest.mark.parametrize(
    ("strategy", "says", "call", "causal"),
    [
        ("hard", None, None, True),
        ("hard", False, None, False),
        ("hard", False, True, True),
        ("hard", True, False, False),
        ("full", None, None, True),
        ("full", False, None, False),
    ],
)
def test_without_a_mask_causality_is_what_the_module_or_the_call_says(strategy, says, call, causal):
    module = Module()
    if says is not None:
        module.is_causal = says
    plan = make_plan("paper", tag_ids=torch.zeros(1, 5, dtype=torch.long), strategy=strategy)
    query, one = torch.zeros(1, 2, 5, 8), torch.zeros(1, 2, 1, 8)
    mask, position = own_mask(None, plan, module, query, query, causal=call)
    allowed = position.allowed(5, 5, torch.device("cpu"))
    assert torch.equal(allowed if mask is None else allowed & mask[0, 0], torch.ones(5, 5).tril().bool() | (not causal))
    assert (mask is None) == (strategy == "hard" or not causal)
    assert own_mask(None, plan, module, one, query, causal=call) == (None, FREE)


@pytest.mark.parametrize("causal", [True, False])
def test_another_causality_than_the_mask_s_is_refused(causal):
    """Stock attention would obey the call in texts without padding, and the mask in texts with."""
    function = masks.bidirectional_mask_function if causal else masks.causal_mask_function
    plan = make_plan("paper", tag_ids=torch.zeros(2, 5, dtype=torch.long))
    query = torch.zeros(2, 2, 5, 8)
    mask = make_mask(**asked(mask_function=function))
    assert own_mask(mask, plan, Module(), query, query, causal=not causal)[1].causal is not causal
    with pytest.raises(
        ModelError, match=f"is_causal={causal}, but the model's mask is {'not ' if causal else ''}causal"
    ):
        own_mask(mask, plan, Module(), query, query, causal=causal)


def test_the_offset_of_a_static_cache_is_that_of_the_moment():
    offset = torch.tensor(3)
    made = make_mask(**asked(q_length=2, kv_length=8, q_offset=offset))
    expected = masks.sdpa_mask(**asked(q_length=2, kv_length=8, q_offset=3))
    offset.add_(2)  # as layers write into the cache
    assert torch.equal(made.stock(), expected)
