"""A cache that lets keys go: logits are those of the same guided model with a whole cache, whatever is done to both."""

import copy
import pickle
from dataclasses import replace

import pytest
import torch
import transformers
from helpers.batches import Batch, left_padded, random_batch
from helpers.own_mask_models import MODELS, build
from helpers.strategies import grammars
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import grammask
from grammask.attention.kept import board
from grammask.attention.later_keys import later_keys
from grammask.errors import InputError, ModelError
from grammask.grammar.tags import CLS, NEW, PAD, TAG_IDS, UNK, UPOS
from grammask.model import kept_cache, kept_parts
from grammask.model.attach import set_mask_transform
from grammask.model.attachment import guide_of

WORDS = tuple(UPOS)
NEAR = grammask.Grammar(
    "near",
    rules=(
        grammask.Rule(WORDS, WORDS, [-4, 0]),
        grammask.Rule(WORDS, ("PROPN", "NUM"), heads=(1,)),
        grammask.Rule(WORDS, ("VERB",), [-20, -2], layers=(0, 2), heads=(2, 3)),
    ),
    sink_tokens=2,
)  # fmt: skip
CAUSAL = [name for name in MODELS if name not in ("modernbert", "bert")]


@pytest.fixture(autouse=True)
def _little_room(monkeypatch):
    """Let keys go every few tokens; some heads that keep different numbers of them are read in one call."""
    for module in (board, kept_cache):
        monkeypatch.setattr(module, "ROOM", 3)
    monkeypatch.setattr(kept_parts, "_CALL", 8)


class Both:
    """A guided model that reads a batch with a whole cache and with one that lets keys go."""

    def __init__(self, model, batch):
        self.model, self.batch, self.end = model, batch, 0
        self.texts = torch.arange(len(batch.inputs["input_ids"]))
        self.caches = [transformers.DynamicCache(), grammask.GrammarCache(model)]

    def call(self, tokens, **changes):
        start, self.end = self.end, self.end + tokens
        given = {name: ids[self.texts, : self.end] for name, ids in self.batch.everything.items()}
        given = {**given, "input_ids": given["input_ids"][:, start:], **changes}
        with torch.no_grad():
            whole, kept = (self.model(**given, past_key_values=cache)[0] for cache in self.caches)
        real = self.batch.inputs["attention_mask"][self.texts, start : self.end].bool()
        torch.testing.assert_close(kept[real], whole[real], atol=1e-5, rtol=1e-5)
        assert self.caches[1].get_seq_length() == self.end

    def both(self, name, *args):
        for cache in self.caches:
            getattr(cache, name)(*args)


def texts(lengths, seed, tags=()):
    """Return texts with padding before them and no [SEP], of which a token here and there has one of some tags."""
    batch = left_padded(random_batch(tuple(length + 1 for length in lengths), seed=seed))
    batch = Batch(*({name: ids[:, :-1] for name, ids in part.items()} for part in vars(batch).values()))
    generator, tag_ids = torch.Generator().manual_seed(seed), batch.annotation["tag_ids"]
    for tag in tags:
        tag_ids[(torch.rand(tag_ids.shape, generator=generator) < 0.05) & (tag_ids != PAD)] = tag
    return batch


def without_sentences(grammar):
    return replace(grammar, rules=tuple(rule for rule in grammar.rules if rule.reach.kind != "sentence"))


@pytest.fixture(scope="module")
def llama():
    return build("llama")


@given(grammars.map(without_sentences), st.integers(0, 99), st.lists(st.integers(1, 9), min_size=2, max_size=5))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_logits_are_those_of_a_whole_cache(llama, grammar, seed, chunks):
    """Texts of three lengths, in which words get their tags while they are read on."""
    length = sum(chunks) + 11
    batch = texts((length, max(length - 9, 1), length // 2), seed, (NEW,))
    with grammask.attached(llama, grammar):
        reader = Both(llama, batch)
        for tokens in (11, *chunks):
            reader.call(tokens)
            new = batch.annotation["tag_ids"][:, : reader.end] == NEW
            batch.annotation["tag_ids"][:, : reader.end][new & (torch.rand(new.shape) < 0.3)] = TAG_IDS["NOUN"]


@pytest.mark.parametrize("name", CAUSAL)
def test_every_architecture(name):
    reader = Both(grammask.attach(build(name), NEAR), texts((40, 31, 7), 0))
    for tokens in (20, 1, 1, 5, 1, 1, 1, 9):
        reader.call(tokens)


def test_texts_that_are_chosen_repeated_and_left(llama):
    with grammask.attached(llama, NEAR):
        reader = Both(llama, texts((50, 50, 31), 1))
        reader.call(20)
        for name, how, chosen in (
            ("batch_repeat_interleave", 2, torch.tensor([0, 0, 1, 1, 2, 2])),
            ("reorder_cache", torch.tensor([1, 0, 3, 3, 5, 2]), torch.tensor([1, 0, 3, 3, 5, 2])),
            ("batch_select_indices", torch.tensor([4, 0, 1]), torch.tensor([4, 0, 1])),
            ("reorder_cache", torch.tensor([2, 2, 0]), torch.tensor([2, 2, 0])),
        ):
            reader.both(name, how)
            reader.texts = (
                reader.texts[chosen] if name != "batch_repeat_interleave" else reader.texts[[0, 0, 1, 1, 2, 2]]
            )
            for tokens in (1, 1, 4):
                reader.call(tokens)


def test_a_copy_goes_on_by_itself(llama):
    with grammask.attached(llama, NEAR):
        reader = Both(llama, texts((50, 31), 2))
        for tokens in (20, 1, 1):
            reader.call(tokens)
        for again in (copy.deepcopy, lambda cache: pickle.loads(pickle.dumps(cache))):  # noqa: S301
            other = copy.copy(reader)
            other.caches = [again(cache) for cache in reader.caches]
            for tokens in (1, 1, 1, 1, 5):
                other.call(tokens)
        reader.call(1)


def test_tokens_are_forgotten_as_far_as_nothing_was_let_go_for_them(llama):
    with grammask.attached(llama, NEAR):
        reader = Both(llama, texts((60, 31), 3))
        for tokens in (20, 1, 2):
            reader.call(tokens)
        reader.both("crop", -2)
        reader.end -= 2
        reader.call(4)
        with pytest.raises(ModelError, match="can forget its last 0 tokens, but not 5"):
            reader.caches[1].crop(-5)
        with pytest.raises(ModelError, match="a number below 0, but got 3"):
            reader.caches[1].crop(3)
        reader.both("crop", 0)
        assert not reader.caches[1].is_croppable
        reader.both("reset")
        reader.end = 0
        assert (reader.caches[1].nbytes, reader.caches[1].share) == (0, 1.0)
        for tokens in (15, 1, 1):
            reader.call(tokens)


@given(grammars.map(without_sentences), st.integers(0, 99), st.lists(st.integers(1, 3), min_size=2, max_size=4))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_forgotten_tokens_are_read_by_nobody(llama, grammar, seed, steps):
    """Others come in their place, one at a time, while words get their tags."""
    batch = texts((30, 17), seed, (NEW,))
    with grammask.attached(llama, grammar):
        reader = Both(llama, batch)
        reader.call(11)
        for tokens in steps:
            reader.call(tokens)
            forgotten = min(tokens, reader.caches[1]._board.fresh)
            reader.both("crop", -forgotten)
            reader.end -= forgotten
            tag_ids = batch.annotation["tag_ids"]
            tag_ids[:, reader.end - 3 : reader.end + 1][tag_ids[:, reader.end - 3 : reader.end + 1] == NEW] = 0
            for _ in range(forgotten):
                reader.call(1)


def test_it_keeps_what_later_words_may_read(llama, monkeypatch):
    monkeypatch.setattr(kept_parts, "_CALL", 0)  # no slot stays empty
    batch = texts((300, 217), 4)
    with grammask.attached(llama, NEAR):
        cache = grammask.GrammarCache(llama)
        with torch.no_grad():
            llama(**batch.everything, past_key_values=cache)
        annotation = guide_of(llama)._annotation({**batch.inputs}, batch.annotation)
        expected = [
            int(later_keys(tables, annotation, key_heads=2).sum(2).amax(0).sum()) + 2 * 3
            for tables in guide_of(llama).layer_tables
        ]
    assert [layer.keys.shape[1] for layer in cache.layers] == expected
    assert cache.nbytes == sum(expected) * 2 * 2 * 8 * 4  # texts, keys and values, head_dim, bytes
    assert cache.nbytes_full == 3 * 2 * 300 * 2 * 2 * 8 * 4
    assert 0.1 < cache.share < 0.3


@pytest.mark.parametrize("name", ["llama", "mistral", "qwen3"])
def test_its_share_is_never_above_one(name, monkeypatch):
    """Where the room for tokens to come takes more memory than all keys, and where nothing is let go."""
    monkeypatch.undo()
    for grammar in (NEAR, "paper-sinks"):
        with grammask.attached(build(name), grammar) as model:
            reader = Both(model, texts((40, 23), 4))
            for tokens in (3, 1, 1, 15, 1, 1, 1):
                reader.call(tokens)
                kept = reader.caches[1]
                assert kept.nbytes > kept.nbytes_full
                assert (0.5 if name == "llama" else 0.1) < kept.share <= 1


def test_a_model_s_own_windows_bound_it():
    model, batch = grammask.attach(build("mistral"), "paper-sinks"), texts((90, 90), 5)
    cache = grammask.GrammarCache(model)
    with torch.no_grad():
        model(**batch.everything, past_key_values=cache)
    assert {layer.keys.shape[1] for layer in cache.layers} == {2 * (4 + 3)}
    assert cache.nbytes_full == cache.nbytes * 4 // 7


def test_gradients_are_refused_and_not_lost(llama):
    batch = random_batch((30, 30))
    with grammask.attached(llama, NEAR):
        cache = grammask.GrammarCache(llama)
        for end in (29, 30):
            given = {name: ids[:, :end] for name, ids in batch.everything.items()}
            given["input_ids"] = given["input_ids"][:, cache.get_seq_length() :]
            output = llama(**given, past_key_values=cache)[0]
        with pytest.raises(ModelError, match="holds no graph, .*for training take a DynamicCache"):
            output.sum().backward()


def test_inference_mode_may_come_and_go(llama):
    with grammask.attached(llama, NEAR):
        reader = Both(llama, texts((50, 31), 6))
        for number, tokens in enumerate((20, 1, 1, 1, 1, 1, 6, 1)):
            with torch.inference_mode(number % 3 == 0):
                reader.call(tokens)


def begun(model, batch, tokens=25):
    cache = grammask.GrammarCache(model)
    given = {name: ids[:, :tokens] for name, ids in batch.everything.items()}
    model(**given, past_key_values=cache)
    return cache


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"tag_ids": UNK}, r"text 0, token 25 has the tag \[UNK\], which may read what a GrammarCache has let go"),
        ({"tag_ids": CLS, "grammar": "streaming"}, r"text 0, token 25 has the tag \[CLS\], which may read"),
        ({"word_ids": 1}, "text 0, token 25 has word 1, after word 9: a GrammarCache has let go of"),
    ],
)  # fmt: skip
def test_what_may_read_dropped_keys_is_refused(llama, change, why):
    batch = random_batch((40, 40))
    grammar = replace(grammask.load_grammar(change.pop("grammar", "streaming")), rules=(*NEAR.rules, *(
        rule for rule in grammask.load_grammar("streaming").rules if "[CLS]" in rule.query
    )))  # fmt: skip
    with torch.no_grad(), grammask.attached(llama, grammar):
        cache = begun(llama, batch)
        given = {name: ids[:, :26].clone() for name, ids in batch.everything.items()}
        for name, value in change.items():
            given[name][0, 25] = value
        with pytest.raises(ModelError, match=f"{why}.*give the whole text in one call"):
            llama(**{**given, "input_ids": given["input_ids"][:, 25:]}, past_key_values=cache)


def test_keys_that_make_way_for_the_call_itself_are_dropped_too(llama):
    """Nothing was dropped before a call that brings an [UNK], but what it would read goes to make room for it."""
    batch = texts((9, 9), 7)
    batch.annotation["tag_ids"].fill_(0)
    batch.annotation["word_ids"] = torch.arange(9).expand(2, -1).clone()
    batch.annotation["tag_ids"][1, 5], batch.annotation["word_ids"][1, 5] = UNK, -1
    with grammask.attached(llama, grammask.Grammar("next", rules=(grammask.Rule(WORDS, WORDS, [-1, 0]),))):
        reader = Both(llama, batch)
        for tokens in (2, 1, 1):
            reader.call(tokens)
        assert not reader.caches[1]._board.has_lost.any()
        with pytest.raises(ModelError, match=r"text 1, token 5 has the tag \[UNK\], which may read"):
            reader.call(3)


def test_calls_that_cannot_be_exact_are_refused(llama):
    batch = random_batch((30, 30))
    rest = {**batch.everything, "input_ids": batch.inputs["input_ids"][:, 25:]}
    with torch.no_grad(), grammask.attached(llama, NEAR):
        cache = begun(llama, batch)
        with pytest.raises(ModelError, match="output_attentions=True .*take a DynamicCache"):
            llama(**rest, past_key_values=cache, output_attentions=True)
        with pytest.raises(InputError, match="the cache holds 2 texts, but the call has 1"):
            llama(**{name: ids[:1] for name, ids in rest.items()}, past_key_values=cache)
        set_mask_transform(llama, lambda mask, *_: mask)
        with pytest.raises(ModelError, match="mask transform"):
            llama(**rest, past_key_values=cache)
        set_mask_transform(llama, None)
        own = torch.ones(2, 1, 5, 30, dtype=torch.bool)
        with pytest.raises(ModelError, match="more than padding, causality or a sliding window; take a DynamicCache"):
            llama(**{**rest, "attention_mask": own}, past_key_values=cache)
        cache = begun(llama, batch)
    why = "is for grammar 'near', hard, but the model has 'streaming', hard"
    with torch.no_grad(), grammask.attached(llama, "streaming"), pytest.raises(ModelError, match=why):
        llama(**rest, past_key_values=cache)
    with torch.no_grad(), grammask.attached(llama, "streaming"):
        smaller = grammask.GrammarCache(grammask.attach(build("llama", num_hidden_layers=2), "streaming"))
        with pytest.raises(ModelError, match="is for 2 layers, but the model has 3; make one for this model"):
            llama(**batch.everything, past_key_values=smaller)
    with torch.no_grad(), pytest.raises(ModelError, match="in the guided model that it was made for"):
        llama(input_ids=rest["input_ids"], past_key_values=cache)


def test_a_pass_that_broke_off_is_told(llama, monkeypatch):
    batch = random_batch((30, 30))
    with torch.no_grad(), grammask.attached(llama, NEAR):
        cache = begun(llama, batch)
        begun_again = {**batch.everything, "input_ids": batch.inputs["input_ids"][:, 25:]}
        monkeypatch.setattr(type(llama.layers[1].mlp), "forward", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            llama(**begun_again, past_key_values=cache)
        monkeypatch.undo()
        with pytest.raises(ModelError, match="an earlier call broke off"):
            llama(**begun_again, past_key_values=cache)


def test_models_that_drop_nothing_are_refused(llama):
    with pytest.raises(ModelError, match="has no grammar"):
        grammask.GrammarCache(llama)
    for strategy in ("soft", "full"):
        with grammask.attached(llama, NEAR, strategy), pytest.raises(ModelError, match="has nothing to drop"):
            grammask.GrammarCache(llama)
    sentence = grammask.Grammar("sentence", (grammask.Rule(WORDS, WORDS, "sentence"),))
    with grammask.attached(llama, sentence), pytest.raises(ModelError, match="rules of sentence reach"):
        grammask.GrammarCache(llama)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 600)), min_size=1, max_size=9))
def test_heads_share_a_call_where_few_slots_stay_empty(heads):
    runs, kept = zip(*heads, strict=True)
    kept = [kept[runs.index(run)] for run in runs]
    parts = kept_parts.join_heads(runs, kept, 64)
    assert [part.first for part in parts] == [sum(part.count for part in parts[:place]) for place in range(len(parts))]
    begin, padding = 0, 0
    for part in parts:
        own = slice(part.first, part.first + part.count)
        assert (part.begin, part.size) == (begin, max(kept[own]) + 64)
        assert part.distinct in (runs[own], runs[own][:1])
        assert len(part.distinct) > 1 or {*runs[own]} == {*part.distinct}
        begin += part.count * part.size
        padding += sum(part.size - 64 - own for own in kept[own])
    assert sum(part.count for part in parts) == len(runs)
    # A call less is worth it, and a call more would be: against all in one and against each alone.
    cost = padding + kept_parts._CALL * len(parts)
    assert cost <= min(kept_parts._CALL * len(runs), len(runs) * max(kept) - sum(kept) + kept_parts._CALL)
