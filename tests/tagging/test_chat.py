"""Conversations: special tokens of the template are structure, those that somebody says are text."""

import copy

import numpy as np
import pytest
from helpers.tokenizers_for_tests import PatternTagger, tokenizer

import grammask
from grammask.errors import InputError
from grammask.grammar.tags import CLS, PAD, SEP, TAG_IDS

TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'fool' %}{{ raise_exception('no fools\nhere') }}{% endif %}"
    "[CLS]{{ m['role'] }}\n{{ m['content'] | trim }}[SEP]\n{% endfor %}"
    "{% if add_generation_prompt %}[CLS]she\n{% endif %}"
)
NOUN, X = TAG_IDS["NOUN"], TAG_IDS["X"]


def annotator(template=TEMPLATE, **settings):
    fast = copy.deepcopy(tokenizer("bytes"))
    fast.chat_template, fast.padding_side = template, "left"
    for name, value in settings.items():
        setattr(fast, name, value)
    return grammask.Annotator(fast, PatternTagger(), cache=False)


def columns(annotate, *messages, **options):
    found = annotate.chat([{"role": "he", "content": text} for text in messages], **options)
    return [
        (annotate.tokenizer.decode([token]), tag, word)
        for token, tag, word in zip(found["input_ids"][0], found["tag_ids"][0], found["word_ids"][0], strict=True)
    ]


def test_markup_is_structure_and_roles_and_messages_are_words():
    annotate = annotator()
    found = columns(annotate, " The letters! ")
    assert "".join(text for text, _, _ in found) == "[CLS]he\nThe letters![SEP]\n[CLS]she\n"
    marks = [(text, tag) for text, tag, word in found if word == -1]
    assert marks == [("[CLS]", CLS), ("[SEP]", SEP), ("[CLS]", SEP)]  # only the first begins the text
    words = [word for _, _, word in found if word >= 0]
    assert sorted(set(words)) == list(range(5))  # he, The, letters, !, she
    assert words == sorted(words)
    assert annotate.tagger._tagger.seen == ["\n" * 5 + "he\nThe letters!" + "\n" * 5 + "\n" + "\n" * 5 + "she\n"]
    assert annotate.coverage.unknown_tokens == 0


def test_special_tokens_that_somebody_says_are_text():
    found = columns(annotator(), "no", " not [SEP] so[CLS]", "yes")
    said = [(text, tag) for text, tag, word in found if text in ("[SEP]", "[CLS]") and word >= 0]
    assert said == [("[SEP]", X), ("[CLS]", X)]
    assert [tag for _, tag, word in found if word == -1] == [CLS, *[SEP] * 6]


def test_what_a_template_takes_and_several_conversations():
    annotate = annotator()
    assert not columns(annotate, "no", add_generation_prompt=False)[-1][0].endswith("she\n")
    chats = [[{"role": "he", "content": "no"}], [{"role": "he", "content": "The letters that"}] * 2]
    both = annotate.chat(chats, return_tensors="pt")
    assert both["tag_ids"].shape == both["input_ids"].shape
    assert (both["tag_ids"][0] == PAD).sum() == (both["attention_mask"][0] == 0).sum() > 0
    assert both["tag_ids"][1, 0] == CLS
    alone = annotate.chat(chats[0])["tag_ids"][0]
    assert both["tag_ids"][0, -len(alone) :].tolist() == alone


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ("Hi", r"a conversation is a list of messages, such as .*, but is 'Hi'"),
        ([], r"a conversation is a list of messages"),
        ([[]], r"a conversation is a list of messages"),
        (["Hi"], r"message 0 of conversation 0 needs a role and a content, both text, but is 'Hi'"),
        ([{"role": "he"}], r"message 0 of conversation 0 needs a role and a content"),
        ([{"role": "he", "content": [{"type": "text"}]}], r"needs a role and a content, both text"),
        ([{"role": "fool", "content": "a"}], r"chat template refuses conversation 0: no fools here"),
        ([{"role": "he", "content": "\ud800"}], r"chat template refuses conversation 0"),
        (
            [{"role": "he", "content": "a" * 500}],
            r"conversation 0 has \d+ tokens, but .* model_max_length is 100; leave out",
        ),
    ],
)
def test_what_is_no_conversation_is_refused(messages, message):
    with pytest.raises(InputError, match=message) as error:
        annotator(model_max_length=100).chat(messages)
    assert "\n" not in str(error.value)


def test_a_tokenizer_without_a_template_and_one_that_changes_what_is_said():
    with pytest.raises(
        InputError, match=r"the tokenizer has no chat template; give the text itself: annotate\(prompt\)"
    ):
        annotator(None).chat([{"role": "he", "content": "no"}])
    lower = annotator("{{ messages[0]['content'] | replace(' ', '  ') }}")
    with pytest.raises(
        InputError, match=r"message 0 of conversation 0 spells the special token '\[SEP\]', and the temp"
    ):
        lower.chat([{"role": "he", "content": "no [SEP] no"}])


HE, SHE = [{"role": "he", "content": "The letters that"}], [{"role": "he", "content": "no [SEP]"}] * 2
ASSISTANT = (
    "{% for m in messages %}[CLS]{{ m['role'] }}\n{% generation %}{{ m['content'] }}[SEP]\n{% endgeneration %}"
    "{% endfor %}"
)


@pytest.mark.parametrize(
    ("conversation", "options"),
    [
        (HE, {}),
        (HE, {"add_generation_prompt": True, "return_tensors": "pt"}),
        (HE, {"truncation": True, "max_length": 9, "tools": None}),
        ([HE, SHE], {}),
        ([HE, SHE], {"padding": True, "return_tensors": "np"}),
        ([HE, SHE], {"chat_template": ASSISTANT, "return_assistant_tokens_mask": True}),
        (SHE, {"tokenizer_kwargs": {"return_offsets_mapping": True}}),
    ],
)
def test_apply_chat_template_gives_the_tokenizers_columns_and_the_tags_of_chat(conversation, options):
    annotate = annotator()
    found, stock = (each.apply_chat_template(conversation, **options) for each in (annotate, annotate.tokenizer))
    assert set(found) - set(stock) == {"tag_ids", "word_ids", "sentence_ids"}
    for name in stock:
        assert np.array_equal(np.asarray(found[name], dtype=object), np.asarray(stock[name], dtype=object)), name
    rows = found["tag_ids"] if conversation == [HE, SHE] or options.get("return_tensors") else [found["tag_ids"]]
    template = {"chat_template": ASSISTANT} if "chat_template" in options else {}
    template["add_generation_prompt"] = options.get("add_generation_prompt", False)
    for row, chat in zip(rows, conversation if len(rows) > 1 else [conversation], strict=True):
        expected = annotate.chat(chat, **template)["tag_ids"][0]
        real = [tag for tag in np.asarray(row).tolist() if tag != PAD]
        assert real == expected[: len(real)]
        assert len(real) == options.get("max_length", len(expected))


def test_apply_chat_template_without_a_place_for_tags_is_the_tokenizers():
    annotate = annotator()
    for options in ({"tokenize": False}, {"return_dict": False}):
        found, stock = (each.apply_chat_template(HE, **options) for each in (annotate, annotate.tokenizer))
        assert found == stock
    with pytest.raises(InputError, match="message 0 of conversation 0 needs a role and a content"):
        annotate.apply_chat_template("Hi")
    with pytest.raises(InputError, match="the texts differ in length, so they make no tensors without padding"):
        annotate.apply_chat_template([HE, SHE], return_tensors="pt")
    with pytest.raises(InputError, match="the tokenizer cannot encode the conversations so: .*widest"):
        annotate.apply_chat_template(HE, padding="widest")
