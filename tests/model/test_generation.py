"""Generation with a guided model: what each step reads, when words get their tags, and what is refused."""

import copy
import io
import pickle
import time
from functools import cache

import numpy as np
import peft
import pytest
import torch
import transformers
from helpers.batches import Batch
from helpers.stock_oracle import oracle_output
from helpers.tokenizers_for_tests import PatternTagger, tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

import grammask
from grammask.errors import InputError, TaggingError
from grammask.grammar.grammar import Grammar
from grammask.grammar.masks import allowed_pairs
from grammask.grammar.rules import Reach, Rule
from grammask.grammar.tables import compile_layers
from grammask.grammar.tags import NAMED, NEW, PAD, TAG_IDS, UPOS
from grammask.model.named_models import find_model, load_causal, load_tokenizer
from grammask.tagging.continuation import Continuation, Schedule, Writer
from grammask.tagging.new_text import NewText
from grammask.tagging.tagger import TaggedText

NEAR = Rule(UPOS, UPOS, Reach("words", -6, 0))
FAR = Grammar("far", (NEAR, Rule(UPOS, ("NOUN", "PROPN"))), sinks=("[CLS]",), sink_tokens=1)
TEXTS = ["The old sailor doesn't read the letters.", "Nobody complained! She said"]


@cache
def stock() -> transformers.PreTrainedModel:
    config = transformers.LlamaConfig(
        vocab_size=380, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, max_position_embeddings=160, bos_token_id=2, eos_token_id=3, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def annotator(tagger=None) -> grammask.Annotator:
    fast = copy.deepcopy(tokenizer("bytes"))
    fast.padding_side = "left"
    fast.backend_tokenizer.post_processor = None
    return grammask.Annotator(fast, tagger or PatternTagger(), cache=False)


class Steps:
    """Records the annotation of each step."""

    def __init__(self, model):
        self.given = []
        self._hook = model.base_model.register_forward_pre_hook(self._record, with_kwargs=True, prepend=True)

    def _record(self, module, args, kwargs):
        self.given.append({name: kwargs[name].clone() for name in ("tag_ids", "word_ids") if name in kwargs})

    def __enter__(self):
        return self.given

    def __exit__(self, *_):
        self._hook.remove()


def generate(model, inputs, **options):
    """Generate, and return what was, with the annotation of each step."""
    options = {"max_new_tokens": 30, "do_sample": False, "eos_token_id": None, "pad_token_id": 0, **options}
    with Steps(model) as steps:
        found = model.generate(**inputs, **options, return_dict_in_generate=True, output_logits=True)
    return found, steps


def as_it_was_read(grammar, steps, length):
    """Return the mask of each layer in which every query reads by the tags of its own step."""
    masks = []
    for tables in compile_layers(grammar, layers=3, heads=4):
        rows = []
        for step in steps:
            total = step["tag_ids"].shape[1]
            allowed = allowed_pairs(tables, **step).expand(-1, 4, -1, -1)
            before = rows and sum(part.shape[2] for part in rows)
            rows.append(torch.nn.functional.pad(allowed[:, :, before or 0 :], (0, length - total)))
        masks.append(torch.cat(rows, 2))
    return masks


def close_to_oracle(grammar, found, steps, inputs):
    """Compare the logits of each step with one dense pass over the text in which queries read as in their step."""
    length = steps[-1]["tag_ids"].shape[1]
    text, last = found.sequences[:, :length], steps[-1]
    mask = (last["tag_ids"] != PAD).long()
    masks = [one | (last["tag_ids"] == PAD)[:, None, :, None] for one in as_it_was_read(grammar, steps, length)]
    batch = Batch({"input_ids": text, "attention_mask": mask}, last)
    places = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        wanted = oracle_output(stock(), grammar, "hard", batch, masks=masks, **batch.inputs, position_ids=places)
    prompt = inputs["input_ids"].shape[1]
    torch.testing.assert_close(torch.stack(found.logits, 1), wanted[:, prompt - 1 :], atol=2e-4, rtol=1e-4)


words_back = st.integers(1, 12)
far_rules = st.builds(
    Rule,
    st.lists(st.sampled_from(NAMED), min_size=1, max_size=8, unique=True),
    st.just(("NOUN", "NUM")),
    heads=st.sampled_from([None, (0,), (1, 3)]),
    layers=st.sampled_from([None, (1,)]),
)
guiding = st.builds(
    lambda back, far, same, sinks: Grammar(
        "drawn", (Rule(UPOS, UPOS, Reach("words", -back, 0)), *far), same_tag=same, sink_tokens=sinks
    ),
    words_back, st.lists(far_rules, max_size=2), st.booleans(), st.sampled_from([0, 2]),
)  # fmt: skip


@settings(max_examples=5)
@given(guiding)
def test_each_step_equals_a_dense_pass_with_the_same_tags(grammar):
    annotate = annotator()
    inputs = annotate(TEXTS, return_tensors="pt")
    with grammask.attached(stock(), grammar, annotator=annotate) as model:
        found, steps = generate(model, inputs)
    close_to_oracle(grammar, found, steps, inputs)


def test_without_a_cache_each_step_reads_the_whole_text_anew():
    annotate = annotator()
    inputs = annotate(TEXTS, return_tensors="pt")
    with grammask.attached(stock(), FAR, annotator=annotate) as model:
        found, steps = generate(model, inputs, use_cache=False, max_new_tokens=24)
        for number, (step, logits) in enumerate(zip(steps, found.logits, strict=True)):
            length = step["tag_ids"].shape[1]
            assert length == inputs["input_ids"].shape[1] + number
            text = {"input_ids": found.sequences[:, :length], "attention_mask": (step["tag_ids"] != PAD).long()}
            with torch.no_grad():
                wanted = model(**text, **step, position_ids=(text["attention_mask"].cumsum(1) - 1).clamp(min=0)).logits
            torch.testing.assert_close(logits, wanted[:, -1], atol=2e-4, rtol=1e-4)
    assert (steps[-1]["tag_ids"] == NEW).any()


def continuation(annotate, inputs, room):
    writer = Writer(NewText(annotate.tokenizer), annotate.tagger, Schedule.within(room))
    return Continuation(writer, *(inputs[name].numpy() for name in ("input_ids", "tag_ids", "word_ids")))


def steps_of(annotate, inputs, text, room):
    """Return the annotation of each step of texts (rows, length), each made from nothing but its tokens."""
    prompt = inputs["input_ids"].shape[1]
    steps = []
    for end in range(prompt, text.shape[1] + 1):
        more = continuation(annotate, inputs, room).after(text[:, prompt:end].numpy())
        steps.append({
            name: torch.cat([inputs[name], torch.from_numpy(found)], 1)
            for name, found in zip(("tag_ids", "word_ids"), more, strict=True)
        })  # fmt: skip
    return steps


class Seen(transformers.LogitsProcessor):
    """Records what each step predicts after which tokens."""

    def __init__(self):
        self.steps = []

    def __call__(self, input_ids, scores):
        self.steps.append((input_ids.clone(), scores.log_softmax(-1)))
        return scores


@pytest.mark.parametrize("how", [
    {"num_beams": 3}, {"num_beams": 3, "num_return_sequences": 2}, {"do_sample": True, "num_return_sequences": 3},
    {"num_beams": 2, "do_sample": True},
], ids=str)  # fmt: skip
def test_beams_and_samples_read_by_their_own_tokens_alone(how):
    annotate, seen = annotator(), Seen()
    inputs = annotate(TEXTS, return_tensors="pt")
    torch.manual_seed(0)
    with grammask.attached(stock(), FAR, annotator=annotate) as model:
        found, _ = generate(model, inputs, logits_processor=transformers.LogitsProcessorList([seen]), **how)
    assert len(found.sequences) == 2 * how.get("num_return_sequences", 1)
    text, scores = seen.steps[-1]
    each = len(text) // 2
    rows = {name: ids.repeat_interleave(each, 0) for name, ids in inputs.items()}
    steps = steps_of(annotate, rows, text, 6)
    mask = rows["attention_mask"]
    mask = torch.cat([mask, mask.new_ones(len(mask), text.shape[1] - mask.shape[1])], 1)
    masks = [one | (mask == 0)[:, None, :, None] for one in as_it_was_read(FAR, steps, text.shape[1])]
    batch = Batch({"input_ids": text, "attention_mask": mask}, steps[-1])
    with torch.no_grad():
        wanted = oracle_output(
            stock(), FAR, "hard", batch, masks=masks, **batch.inputs, position_ids=(mask.cumsum(1) - 1).clamp(min=0)
        )
    torch.testing.assert_close(scores, wanted[:, -1].log_softmax(-1), atol=2e-4, rtol=1e-4)


TOKENS = st.lists(st.integers(0, 379), min_size=1, max_size=60)


@settings(max_examples=60)
@given(TOKENS, st.integers(1, 30), st.data())
def test_tags_change_from_new_to_real_once_and_before_a_word_leaves_its_reach(tokens, room, data):
    annotate = annotator()
    inputs = annotate(TEXTS[1], return_tensors="pt")
    text = continuation(annotate, inputs, room)
    last = int(inputs["word_ids"].max())
    before_tags, before_words = [], []
    for end in range(1, len(tokens) + 1):
        tags, words = (found[0] for found in text.after(np.array([tokens[:end]])))
        assert words[: end - 1].tolist() == before_words
        assert 0 <= words[0] - last <= 1
        assert set(np.diff(words)) <= {0, 1}
        for before, now in zip(before_tags, tags[:-1].tolist(), strict=True):
            assert now == before or before == NEW
        distance = words[-1] - words
        assert not ((tags == NEW) & (distance > room)).any()
        assert not ((tags == NEW) & (distance >= sum(vars(Schedule.within(room)).values()))).any()
        before_tags, before_words = tags.tolist(), words.tolist()
    # From nothing, in any order, beside others: the same.
    some = data.draw(st.integers(1, len(tokens)))
    two = {name: ids.repeat(2, 1) for name, ids in inputs.items()}
    rows = np.array([tokens[:some], tokens[:some][::-1]])
    both = continuation(annotate, two, room)
    again = both.after(rows[::-1])
    assert all(np.array_equal(one[::-1], other) for one, other in zip(again, both.after(rows), strict=True))
    alone = continuation(annotate, inputs, room).after(rows[:1])
    assert all(np.array_equal(one[1:], other) for one, other in zip(again, alone, strict=True))


def spelled(text, *, prompt="It was"):
    """Return the pieces of a text that a byte-level tokenizer goes on with, grouped by their word numbers."""
    fast = annotator().tokenizer
    new, ids = NewText(fast), fast(text)["input_ids"]
    end, words = new.end_of(tuple(fast(prompt)["input_ids"])), [""]
    for token in ids:
        end, added, begins = new.add(end, token)
        words += [""] * begins
        words[-1] += added
    return words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" said", ["", " said"]),
        ("hed", ["hed"]),
        (" the well-known man.", ["", " the", " well", "-", "known", " man", "."]),
        ("\n\nHe nodded", ["", "\n\nHe", " nodded"]),
        (" na\u00efve caf\u00e9", ["", " na\u00efve", " caf\u00e9"]),
        (" 3.14", ["", " 3", ".", "14"]),
        (" \U0001f600!", ["", " \U0001f600!"]),
        ("\u4f60\u597d\u5417", ["", "\u4f60", "\u597d", "\u5417"]),
    ],
)
def test_words_begin_at_spaces_and_between_letters_and_signs(text, words):
    assert spelled(text) == words


def test_a_special_token_is_a_word_of_its_own_and_no_text():
    fast = annotator().tokenizer
    new = NewText(fast)
    end, added, begins = new.add(new.end_of(tuple(fast("It was")["input_ids"])), fast.sep_token_id)
    assert (added, begins) == ("\n", True)
    assert new.add(end, fast("said")["input_ids"][0])[2]


def test_the_tagger_reads_each_word_once_in_a_bounded_context():
    annotate = annotator()
    inputs = annotate("The old sailor. " * 200, return_tensors="pt")
    reads = annotate.tagger._tagger.seen
    before = len(reads)
    tokens = annotate.tokenizer(" and so on" * 150)["input_ids"]
    text = continuation(annotate, inputs, 300)
    for end in range(1, len(tokens) + 1):
        tags, words = text.after(np.array([tokens[:end]]))
    assert len(reads) - before == 6  # calls for 450 words
    assert max(len(read.split()) for read in reads[before:]) <= 100 + 64 + 4
    first = 6 * 64 + words[0, 0]
    assert ((tags == NEW) == (words >= first)).all()
    assert set(tags[words < first].tolist()) == {TAG_IDS["NOUN"]}


def wrong(grammar=FAR, tagger=None, *, text=TEXTS[0], strategy="hard", **options):
    """Return what generate says of a call that it refuses; no token was made."""
    annotate = annotator(tagger)
    inputs = dict(annotate(text, return_tensors="pt"))
    inputs.update((name, options.pop(name)) for name in list(options) if name in ("tag_ids", "inputs_embeds"))
    attaching = {"annotator": options.pop("annotator", annotate)}
    options = {"max_new_tokens": 20, "do_sample": False, "pad_token_id": 0, "eos_token_id": None, **options}
    with grammask.attached(stock(), grammar, strategy, **attaching) as model, Steps(model) as steps:
        with pytest.raises(grammask.GrammaskError) as error:
            model.generate(**inputs, **options)
        assert len(steps) <= 1 or isinstance(error.value, TaggingError)
    assert "\n" not in str(error.value)
    return str(error.value)


class Silent(PatternTagger):
    def tag(self, texts):
        nothing = np.zeros(0, dtype=np.int32)
        for number, _ in enumerate(texts):
            if len(self.seen) + number:
                yield TaggedText(nothing, nothing, nothing, nothing)
        if not self.seen:
            yield from super().tag(texts)


class Broken(PatternTagger):
    def tag(self, texts):
        if self.seen:
            raise RuntimeError("out\nof order")
        return super().tag(texts)


def test_refusals():
    sentences = Grammar("s", (NEAR, Rule(UPOS, UPOS, Reach("sentence"))))
    assert "grammar 's' has rules of sentence reach and cannot guide" in wrong(sentences)
    assert "sentence reach" in wrong(sentences, strategy="soft")
    assert "grammar 'paper' cannot guide generation: in layer 0, words read by document reach alone" in wrong("paper")
    one_head = Grammar("h", (Rule(UPOS, UPOS, Reach("words", -4, 0), heads=(0,)), Rule(UPOS, ("NOUN",), heads=(2,))))
    assert "in layer 0, head 2, words read by document reach alone" in wrong(one_head)
    assert "grammar 'none' cannot guide generation: no rule lets words read" in wrong(Grammar("none", sink_tokens=4))
    gap = Grammar("gap", (Rule(UPOS, UPOS, Reach("words", -9, -2)), Rule(UPOS, ("NOUN",))))
    assert "document reach alone" in wrong(gap)
    said = wrong(annotator=None)
    assert said.startswith(
        "grammar 'far' reads words by their tags, and after 6 new tokens the first of up to 20 would"
    )
    assert said.endswith("attach(grammask.detach(model), grammar, annotator=annotate), or max_new_tokens=6")
    said = wrong(max_new_tokens=150)
    assert "new ones are more than the 160 positions of LlamaForCausalLM; shorten the prompt, or give max_new" in said
    assert "more than the 160 positions" in wrong(max_new_tokens=None, max_length=161)
    assert wrong(text="word " * 160).endswith("positions of LlamaForCausalLM; shorten the prompt")
    assert "tag_ids is missing: call model.generate(**annotate(prompt" in wrong(tag_ids=None)
    assert "tag_ids must be an integer tensor (batch, length)" in wrong(tag_ids=[[1, 2]])
    assert "tag_ids has shape (1, 3), but input_ids has (1, " in wrong(tag_ids=torch.zeros(1, 3, dtype=torch.int64))
    assert "generate(prompt_lookup_num_tokens=3) cannot be guided" in wrong(prompt_lookup_num_tokens=3)
    assert "cannot be guided by a grammar; leave it out" in wrong(assistant_model=stock())
    foreign = {"guidance_scale": 1.5, "penalty_alpha": 0.6, "num_beam_groups": 2, "dola_layers": "low"}
    for name, value in foreign.items():
        said = wrong(**{name: value}, trust_remote_code=True)
        assert said == f"generate({name}={value!r}) cannot be guided by a grammar; leave it out"
    assert "generate cannot be guided from inputs_embeds" in wrong(inputs_embeds=torch.zeros(1, 3, 32))
    for kind in ("static", "offloaded", "quantized", "paged"):
        assert f"cache_implementation='{kind}' cannot be guided by a grammar; leave it out" in wrong(
            cache_implementation=kind
        )
    whole = transformers.DynamicCache()
    assert "use_cache=False reads the whole text at each step, so the DynamicCache has no use" in wrong(
        cache=whole, use_cache=False
    )
    assert "two caches were given, as cache= and as past_key_values=" in wrong(
        cache=whole, past_key_values=transformers.DynamicCache()
    )
    assert "EncoderDecoderCache cannot be guided" in wrong(
        cache=transformers.EncoderDecoderCache(transformers.DynamicCache(), transformers.DynamicCache())
    )
    said = wrong(tagger=Silent(), max_new_tokens=60)
    assert said.startswith("tagger pattern found no word in the generated text ")
    assert "tagger pattern failed on generated text: out of order; the text is" in wrong(
        tagger=Broken(), max_new_tokens=60
    )


def test_padding_on_the_right_is_refused_with_its_remedy():
    annotate = annotator()
    annotate.tokenizer.padding_side = "right"
    inputs = annotate(TEXTS, return_tensors="pt")
    attached = grammask.attached(stock(), FAR, annotator=annotate)
    message = r'generation goes on at the right.*set tokenizer.padding_side = "left"'
    with attached as model, pytest.raises(InputError, match=message):
        model.generate(**inputs, max_new_tokens=3)


@pytest.mark.parametrize(("text", "empty"), [("", 0), ([TEXTS[0], ""], 1)])
def test_a_text_without_a_token_is_refused(text, empty):
    annotate = annotator()
    with grammask.attached(stock(), FAR, annotator=annotate) as model:
        for caches in ({}, {"cache": grammask.GrammarCache(model)}):
            with pytest.raises(InputError, match=f"text {empty} has no tokens, so there is nothing to go on from"):
                model.generate(**annotate(text, return_tensors="pt"), max_new_tokens=3, **caches)


def test_settings_that_ask_for_nothing_are_none():
    annotate = annotator()
    with grammask.attached(stock(), FAR, annotator=annotate) as model:
        model.generate(
            **annotate(TEXTS[0], return_tensors="pt"), max_new_tokens=1, pad_token_id=0, guidance_scale=1,
            num_beam_groups=1, cache_implementation="dynamic",
        )  # fmt: skip


def test_an_annotator_must_be_one():
    with pytest.raises(InputError, match=r"annotator must be a grammask\.Annotator, but is 'en_core_web_sm'"):
        grammask.attach(stock(), FAR, annotator="en_core_web_sm")


@pytest.mark.parametrize(
    ("grammar", "strategy", "tokens"),
    [(FAR, "hard", 6), (Grammar("window", (NEAR,)), "hard", 60), ("streaming", "hard", 60), ("paper", "soft", 20),
     (FAR, "full", 60)],
    ids=str,
)  # fmt: skip
def test_without_an_annotator_words_are_tokens_and_none_may_need_a_tag(grammar, strategy, tokens):
    inputs = annotator()(TEXTS, return_tensors="pt")
    with grammask.attached(stock(), grammar, strategy) as model:
        found, steps = generate(model, inputs, max_new_tokens=tokens)
    if strategy == "full":
        wanted = stock().generate(
            inputs["input_ids"], attention_mask=inputs["attention_mask"], max_new_tokens=tokens, do_sample=False,
            eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
        assert torch.equal(found.sequences, wanted)
        return
    prompt = inputs["input_ids"].shape[1]
    assert (steps[-1]["tag_ids"][:, prompt:] == NEW).all()
    assert (steps[-1]["word_ids"].diff(dim=1)[:, prompt:] == 1).all()


def test_where_no_rule_asks_for_tags_no_tagger_is_called():
    annotate = annotator(Broken())
    inputs = annotate(TEXTS, return_tensors="pt")
    with grammask.attached(stock(), "streaming", annotator=annotate) as model:
        _, steps = generate(model, inputs, max_new_tokens=80)
    new = steps[-1]["word_ids"] > inputs["word_ids"].amax(1, keepdim=True)
    assert (steps[-1]["tag_ids"][new] == NEW).all()


@pytest.mark.parametrize("how", [{}, {"num_beams": 3}, {"do_sample": True, "num_return_sequences": 2}], ids=str)
def test_a_grammar_cache_gives_what_a_whole_one_gives(how):
    annotate = annotator()
    inputs = annotate(TEXTS, return_tensors="pt")
    with grammask.attached(stock(), FAR, annotator=annotate) as model:
        kept = grammask.GrammarCache(model)
        both = []
        for cache in (None, kept):
            torch.manual_seed(0)
            both.append(generate(model, inputs, cache=cache, max_new_tokens=50, **how)[0])
    assert torch.equal(both[0].sequences, both[1].sequences)
    torch.testing.assert_close(both[0].logits, both[1].logits, atol=2e-4, rtol=1e-4)


def test_chunks_and_a_cache_of_an_earlier_call_change_nothing():
    annotate = annotator()
    inputs = annotate(TEXTS, return_tensors="pt")
    with grammask.attached(stock(), FAR, annotator=annotate) as model:
        wanted, _ = generate(model, inputs)
        chunks, _ = generate(model, inputs, prefill_chunk_size=5)
        assert torch.equal(chunks.sequences, wanted.sequences)
        cache = transformers.DynamicCache(config=model.config)
        first = {name: ids[:, :12] for name, ids in inputs.items()}
        places = (first["attention_mask"].cumsum(1) - 1).clamp(min=0)
        model.model(**first, position_ids=places, cache=cache, use_cache=True)
        again, _ = generate(model, inputs, cache=cache)
        assert torch.equal(again.sequences, wanted.sequences)


def test_copies_pickles_and_adapters_generate_alike_and_detach_leaves_no_trace():
    annotate = annotator()
    inputs = annotate(TEXTS, return_tensors="pt")
    model = copy.deepcopy(stock())
    before = dict(vars(model))
    plain = {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"]}
    options = {"max_new_tokens": 30, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    bare = model.generate(**plain, **options)
    grammask.attach(model, FAR, annotator=annotate)
    wanted = model.generate(**inputs, **options)
    assert not torch.equal(wanted, bare)
    copied, pickled = copy.deepcopy(model), pickle.loads(pickle.dumps(model))  # noqa: S301
    assert copied.generate._steps.guide.model is copied
    for other in (copied, pickled):
        assert torch.equal(other.generate(**inputs, **options), wanted)
    grammask.detach(copied)
    assert torch.equal(copied.generate(**plain, **options), bare)
    wrapped = peft.get_peft_model(pickled, peft.LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"))
    assert torch.equal(wrapped.generate(**inputs, **options), wanted)
    grammask.detach(model)
    assert set(vars(model)) == set(before)
    with pytest.raises(ValueError, match="tag_ids"):
        model.generate(**inputs, **options)


def test_streaming_prints_the_text_as_it_comes():
    annotate, written = annotator(), io.StringIO()
    inputs = annotate(TEXTS[0], return_tensors="pt")

    class Streamer(transformers.TextStreamer):
        def on_finalized_text(self, text, stream_end=False):
            written.write(text)

    with grammask.attached(stock(), FAR, annotator=annotate) as model:
        streamer = Streamer(annotate.tokenizer, skip_prompt=True)
        found = model.generate(**inputs, max_new_tokens=30, do_sample=False, eos_token_id=None, streamer=streamer)
    assert written.getvalue() == annotate.tokenizer.decode(found[0, inputs["input_ids"].shape[1] :])


def test_a_step_over_a_long_text_costs_little():
    annotate = annotator()
    inputs = annotate("The old sailor. " * 1500, return_tensors="pt")
    with grammask.attached(stock(), FAR, annotator=annotate) as model:
        steps, ids = model.prepare_inputs_for_generation, inputs["input_ids"]
        times = []
        for _ in range(20):
            ids = torch.cat([ids, ids.new_full((1, 1), 100)], 1)
            begun = time.process_time()
            steps._whole(ids, {name: inputs[name] for name in ("tag_ids", "word_ids")}, ids.shape[1])
            times.append(time.process_time() - begun)
    assert ids.shape[1] > 8000
    assert sorted(times)[10] < 0.002  # under 0.2 ms where nothing else runs


def test_an_answer_in_a_conversation_goes_on_from_its_markup():
    annotate = annotator()
    annotate.tokenizer.chat_template = (
        "{% for m in messages %}[CLS]{{ m['content'] }}[SEP]{% endfor %}{{ '[CLS]she\n' }}"
    )
    inputs = annotate.chat([{"role": "user", "content": TEXTS[0]}], return_tensors="pt")
    reads = annotate.tagger._tagger.seen
    reads.clear()
    with grammask.attached(stock(), FAR, annotator=annotate) as model:
        found, steps = generate(model, inputs)
    close_to_oracle(FAR, found, steps, inputs)
    assert reads[0].startswith("she\n")
    assert not any("CLS" in read for read in reads)


@pytest.mark.slow
def test_smollm2_answers_and_its_words_get_the_tags_of_the_whole_text():
    source = find_model("smollm2")
    annotate = grammask.Annotator(load_tokenizer(source), cache=False)
    model = grammask.attach(load_causal(source), "names-far", annotator=annotate)
    asked = [{"role": "user", "content": "Tell me a long story about Anna and Peter in Paris."}]
    inputs = annotate.chat(asked, return_tensors="pt")
    found, steps = generate(model, inputs, max_new_tokens=150)
    prompt, last = inputs["input_ids"].shape[1], steps[-1]
    text = annotate.tokenizer.decode(found.sequences[0, prompt:-1])
    whole = annotate(text, return_tensors="pt")["tag_ids"][0]
    tags = last["tag_ids"][0, prompt:]
    known = tags != NEW
    assert 60 < known.sum() < len(tags)
    assert (tags == whole)[known].float().mean() > 0.9
    assert TAG_IDS["PROPN"] in tags
