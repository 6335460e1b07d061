"""Conversations of several turns with one cache: what is said later is read as by the same model with a whole one."""

import copy
import io
from functools import cache

import pytest
import torch
import transformers
from helpers.tokenizers_for_tests import PatternTagger, tokenizer

import grammask
from grammask.errors import InputError, ModelError
from grammask.grammar.tags import CLS, NEW, SEP, TAG_IDS, UPOS
from grammask.model.cache_text import CacheText

X = TAG_IDS["X"]
TEMPLATE = (
    "{% for m in messages %}[CLS]{{ m['role'] }}\n{{ m['content'] }}[SEP]\n{% endfor %}"
    "{% if add_generation_prompt %}{{ '[CLS]she\n' }}{% endif %}"
)
STORY = "a b 7 C. " * 80  # more words than the widest window
NEAR = grammask.Grammar(
    "near",
    (
        grammask.Rule(UPOS, UPOS, [-6, 0]),
        grammask.Rule(UPOS, ("PROPN", "NUM", "NOUN")),
        grammask.Rule(("[CLS]", "[SEP]"), UPOS),
    ),
    sinks=("[CLS]", "[SEP]"),
    sink_tokens=1,
)


@cache
def stock(layers=2, heads=4, key_heads=2):
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=380, hidden_size=4 * heads, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=key_heads, intermediate_size=24, max_position_embeddings=4096, bos_token_id=2,
        eos_token_id=3, pad_token_id=0,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval().double()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.4)
    return model


def annotator():
    fast = copy.deepcopy(tokenizer("bytes"))
    fast.padding_side, fast.chat_template = "left", TEMPLATE
    fast.backend_tokenizer.post_processor = None
    return grammask.Annotator(fast, PatternTagger(), cache=False)


class Streamer(transformers.TextStreamer):
    """Writes to a text."""

    def __init__(self, tokenizer):
        super().__init__(tokenizer, skip_prompt=True)
        self.written = io.StringIO()

    def on_finalized_text(self, text, stream_end=False):
        self.written.write(text)


def answers(model, annotate, kept, said, new=5, **options):
    """Ask one thing after the other, with one cache; return what was generated for each."""
    messages, found = [], []
    for text in said:
        messages.append({"role": "he", "content": text})
        inputs = annotate.chat(messages, return_tensors="pt")
        start, streamer = inputs["input_ids"].shape[1], Streamer(annotate.tokenizer)
        found.append(
            model.generate(
                **inputs, cache=kept, streamer=streamer, max_new_tokens=new, do_sample=False, pad_token_id=0,
                suppress_tokens=list(range(8)), return_dict_in_generate=True, output_logits=True, **options,
            )
        )  # fmt: skip
        answer = annotate.tokenizer.decode(found[-1].sequences[0, start:])
        assert streamer.written.getvalue() == answer
        messages.append({"role": "she", "content": answer})
    return found


def same(both):
    for one, other in zip(*both, strict=True):
        assert torch.equal(one.sequences, other.sequences)
        torch.testing.assert_close(one.logits, other.logits, atol=1e-9, rtol=1e-9)


@pytest.mark.filterwarnings("ignore:from token")  # what a random model writes is spelled otherwise
@pytest.mark.parametrize(
    "grammar",
    ["streaming", "separators", "names-far", "smollm2-far", pytest.param("smollm2-heads", marks=pytest.mark.slow)],
)
def test_turns_with_one_cache_under_each_shipped_grammar(grammar):
    annotate = annotator()
    model = stock(30, 9, 3) if grammar.startswith("smollm2") else stock()
    with grammask.attached(model, grammar, annotator=annotate):
        caches = transformers.DynamicCache(), grammask.GrammarCache(model)
        same([answers(model, annotate, kept, [STORY, "Who read 12 letters?"]) for kept in caches])
        assert caches[1].share < 0.95


def written(annotate, text):
    """Return how to make a model write a text."""
    tokens = annotate.tokenizer(text, add_special_tokens=False)["input_ids"]
    rest = iter(tokens)
    force = lambda _, scores: scores.fill_(-torch.inf).index_fill_(1, torch.tensor([next(rest)]), 0.0)  # noqa: E731
    return {"logits_processor": [force], "max_new_tokens": len(tokens)}


def ask(model, annotate, kept, messages, **how):
    inputs = annotate.chat(messages, return_tensors="pt")
    options = {"max_new_tokens": 12, "do_sample": False, "return_dict_in_generate": True, "output_logits": True, **how}
    return inputs, model.generate(**inputs, cache=kept, **options)


@pytest.mark.filterwarnings("error:from token")
def test_what_was_read_keeps_its_tags_and_words():
    """Words that were new get their tags, and what is said next is read in words that are counted on."""
    annotate, both = annotator(), []
    said = {"role": "he", "content": "The old sailor read the letters. " * 4}
    answer = {"role": "she", "content": "The sailor doesn't read."}
    with grammask.attached(stock(), NEAR, annotator=annotate) as model:
        for kept in (transformers.DynamicCache(), grammask.GrammarCache(model)):
            _, begun = ask(model, annotate, kept, [said], **written(annotate, answer["content"] + "[SEP]"))
            first = CacheText.of(kept)
            inputs, found = ask(model, annotate, kept, [said, answer, {"role": "he", "content": "Who?"}])
            both.append([begun, found])
            text, length = CacheText.of(kept), first.input_ids.shape[1]
            tags, asked = text.tag_ids[:, :length], text.tag_ids[0, length : inputs["input_ids"].shape[1]].tolist()
            assert torch.equal(text.word_ids[:, :length], first.word_ids)
            assert torch.equal(tags[first.tag_ids != NEW], first.tag_ids[first.tag_ids != NEW])
            assert NEW in first.tag_ids
            assert NEW not in tags
            assert not {CLS, SEP} & set(asked)
            assert inputs["tag_ids"][0, length:].tolist().count(SEP) == asked.count(X) == 4
            assert set(text.word_ids[0, length - 1 :].diff().tolist()) == {0, 1}
    same(both)


def direct(model, inputs, cache, start, end):
    given = {name: ids[:, :end] for name, ids in inputs.items() if name in ("tag_ids", "word_ids", "attention_mask")}
    with torch.no_grad():
        return model(input_ids=inputs["input_ids"][:, start:end], past_key_values=cache, **given).logits


def test_a_copy_of_what_a_call_has_read_goes_on_several_ways():
    annotate, both = annotator(), []
    story = {"role": "he", "content": "The old sailor read the letters. " * 4}
    read = annotate.chat([story], return_tensors="pt", add_generation_prompt=False)
    with grammask.attached(stock(), NEAR, annotator=annotate) as model:
        for kept in (transformers.DynamicCache(), grammask.GrammarCache(model)):
            direct(model, read, kept, 0, read["input_ids"].shape[1])
            asked = [{"role": "he", "content": text} for text in ("Who?", "Who read 12 letters?")]
            both.append([ask(model, annotate, copy.deepcopy(kept), [story, one])[1] for one in asked])
    same(both)


def test_a_call_that_would_miss_a_key_that_was_let_go_is_refused():
    annotate = annotator()
    inputs = annotate("The old sailor read the letters. " * 6, return_tensors="pt")
    inputs["tag_ids"][:] = TAG_IDS["VERB"]
    end = inputs["input_ids"].shape[1]
    why = "text 0, token {} was let go by a GrammarCache, but may be read by the tags and words that this call gives"
    with grammask.attached(stock(), NEAR, annotator=annotate) as model:
        cache = grammask.GrammarCache(model)
        direct(model, inputs, cache, 0, end - 2)
        tags, numbers = inputs["tag_ids"].clone(), inputs["word_ids"]
        inputs["tag_ids"][0, 5] = TAG_IDS["NOUN"]
        with pytest.raises(ModelError, match=why.format(5)):
            direct(model, inputs, cache, end - 2, end)
        inputs["tag_ids"], inputs["word_ids"] = tags, numbers.clamp(max=int(numbers[0, 20]))
        with pytest.raises(ModelError, match=why.format(r"\d+")):
            direct(model, inputs, cache, end - 2, end)
        inputs["word_ids"] = numbers
        direct(model, inputs, cache, end - 2, end)


def test_texts_that_a_cache_holds_in_another_order_are_found():
    annotate, both = annotator(), []
    inputs = annotate(["The old sailor read.", "Nobody has written the letters!"], return_tensors="pt")
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "suppress_tokens": list(range(8))}
    with grammask.attached(stock(), NEAR, annotator=annotate) as model:
        for kept in (transformers.DynamicCache(), grammask.GrammarCache(model)):
            found = model.generate(**inputs, cache=kept, **options).flip(0)
            kept.reorder_cache(torch.tensor([1, 0]))
            before, places, padding = CacheText.of(kept), torch.arange(found.shape[1]), found == 0
            given = {
                "input_ids": found, "attention_mask": (~padding).long(),
                "tag_ids": padding * TAG_IDS["[PAD]"], "word_ids": places.masked_fill(padding, -1),
            }  # fmt: skip
            both.append(model.generate(**given, cache=kept, **options))
            text, length = CacheText.of(kept), before.word_ids.shape[1]
            assert torch.equal(text.word_ids[:, :length], before.word_ids.flip(0))
    assert torch.equal(*both)


def test_a_text_with_nothing_new_is_refused():
    annotate = annotator()
    inputs = annotate("The old sailor read.", return_tensors="pt")
    with grammask.attached(stock(), NEAR, annotator=annotate) as model:
        cache = transformers.DynamicCache()
        direct(model, inputs, cache, 0, inputs["input_ids"].shape[1])
        with pytest.raises(InputError, match="but the cache has read .* so nothing follows"):
            model.generate(**inputs, cache=cache, max_new_tokens=2)


@pytest.mark.parametrize("chosen", [0, 1])
def test_beams_that_one_text_does_not_go_on_with_are_refused(chosen):
    """A cache of two beams holds two texts: what is said after one of them was not said after the other."""
    annotate, options = annotator(), {"max_new_tokens": 8, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    inputs = annotate("The old sailor read.", return_tensors="pt")
    with grammask.attached(stock(), NEAR, annotator=annotate) as model:
        for kept in (transformers.DynamicCache(), grammask.GrammarCache(model)):
            model.generate(**inputs, cache=kept, num_beams=2, **options)
            begun = CacheText.of(kept).input_ids
            assert not torch.equal(*begun)
            more = torch.cat([begun[chosen : chosen + 1], inputs["input_ids"]], 1)
            for text in (more, inputs["input_ids"][:, :1].expand_as(more)):
                given = {"input_ids": text, "tag_ids": torch.zeros_like(text), "attention_mask": torch.ones_like(text)}
                given["word_ids"] = torch.arange(text.shape[1])[None]
                with pytest.raises(InputError, match="holds 2 texts, not all of which input_ids, of 1, goes on with"):
                    model.generate(**given, cache=kept, num_beams=2, **options)


def test_texts_of_a_batch_that_move_by_padding_are_refused():
    annotate = annotator()
    with grammask.attached(stock(), NEAR, annotator=annotate) as model:
        for kept in (transformers.DynamicCache(), grammask.GrammarCache(model)):
            first = annotate(["The old sailor read.", "Nobody!"], return_tensors="pt")
            direct(model, first, kept, 0, first["input_ids"].shape[1])
            inputs = annotate(["The old sailor read. Who?", "Nobody! Who read 12 letters?"], return_tensors="pt")
            message = (
                "text 0 has padding in place 0, where .*cannot go on with one cache; take a new cache, or one for each"
            )
            with pytest.raises(InputError, match=message):
                model.generate(**inputs, cache=kept, max_new_tokens=3)
