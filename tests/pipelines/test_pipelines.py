"""Registered pipelines give the numbers of the way by hand, one by one, in batches and lazily."""

from numbers import Real

import pytest
import torch
from helpers.fresh_process import run_fresh
from helpers.lexicon import annotator as lexicon_annotator
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
    pipeline,
)

import grammask
import grammask.pipelines
from grammask.errors import GrammaskError, InputError, ModelError

TEXTS = [
    "the kind cat sees a dull film .",
    "a cruel king likes the town .",
    "now the girl often calls a vile cat .",
] * 3
SIZES = {"vocab_size": 40, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
BERT = {**SIZES, "num_labels": 3, "initializer_range": 0.5}


def saved(model_class, folder, config=None, tokens=()):
    torch.manual_seed(0)
    tokenizer = lexicon_annotator().tokenizer
    tokenizer.add_special_tokens(dict(tokens))
    annotate = grammask.Annotator(tokenizer, "en_core_web_sm", cache=False)
    model = model_class(config or BertConfig(**BERT)).eval()
    grammask.attach(model, "names-far" if config else "paper-sinks", annotator=annotate).save_pretrained(folder)
    return model, annotate


def close(found, expected):
    torch.testing.assert_close(torch.tensor(found), torch.as_tensor(expected), atol=1e-6, rtol=0)


def test_text_classification(tmp_path):
    model, annotate = saved(BertForSequenceClassification, tmp_path)
    classify = pipeline("guided-text-classification", model=str(tmp_path))
    logits = [model(**annotate(text, return_tensors="pt")).logits[0] for text in TEXTS]
    expected = [max(row.softmax(0).tolist()) for row in logits]
    for batch_size in (1, 8):
        close([row["score"] for row in classify(TEXTS, batch_size=batch_size)], expected)
        close([row["score"] for row in classify((text for text in TEXTS), batch_size=batch_size)], expected)
    all_labels = classify(TEXTS[0], top_k=None)
    close([row["score"] for row in all_labels], logits[0].softmax(0).sort(descending=True).values)
    assert len(classify(TEXTS[0], top_k=2)) == 2
    pair = annotate([TEXTS[0]], [TEXTS[1]], return_tensors="pt")
    expected = model(**pair).logits[0].softmax(0).max()
    close(classify({"text": TEXTS[0], "text_pair": TEXTS[1]})["score"], expected)
    with pytest.raises(InputError, match="max_length only, but not stride"):
        classify(TEXTS[0], stride=2)


def test_token_classification(tmp_path):
    model, annotate = saved(BertForTokenClassification, tmp_path)
    find = pipeline("guided-token-classification", model=str(tmp_path), ignore_labels=[])
    for batch_size in (1, 8):
        for text, found in zip(TEXTS, find(TEXTS, batch_size=batch_size), strict=True):
            logits = model(**annotate(text, return_tensors="pt")).logits[0, 1:-1]
            close([float(row["score"]) for row in found], logits.softmax(1).max(1).values)
            assert [text[row["start"] : row["end"]] for row in found] == text.split()
    assert find(TEXTS[0], aggregation_strategy="simple")


def test_token_classification_of_windows_reads_all_of_a_text_by_its_own_tags(tmp_path):
    _, annotate = saved(BertForTokenClassification, tmp_path)
    find = pipeline("guided-token-classification", model=str(tmp_path), ignore_labels=[], aggregation_strategy="simple")
    find.annotator = annotate.cut_at(8)
    text, windows = " ".join(TEXTS), {"return_overflowing_tokens": True, "stride": 2, "padding": True}
    expected = find.annotator(text, return_tensors="pt", **windows)
    read = []
    find.model.register_forward_pre_hook(lambda _, given, named: read.append(named), with_kwargs=True)
    for batch_size in (1, 4):
        read.clear()
        found = find(text, batch_size=batch_size, stride=2)
        for name in ("input_ids", "tag_ids", "word_ids"):
            assert torch.equal(torch.cat([given[name] for given in read]), expected[name])
        scores = find.model(**{name: expected[name] for name in read[0]}).logits.softmax(2).max(2).values
        assert {each["end"] for each in found} >= {len(text)}
        assert all(scores.min() <= each["score"] <= scores.max() for each in found)
    assert find(text)[-1]["end"] < len(text)  # without windows it is cut
    with pytest.raises(InputError, match="without is_split_into_words or offsets"):
        find(TEXTS[0].split(), is_split_into_words=True)


def test_fill_mask(tmp_path):
    model, annotate = saved(BertForMaskedLM, tmp_path, tokens={"mask_token": "[MASK]"}.items())
    fill = pipeline("guided-fill-mask", model=str(tmp_path), top_k=3)
    texts = [text.replace("the ", "[MASK] ") for text in TEXTS]
    for batch_size in (1, 8):
        for text, found in zip(texts, fill(texts, batch_size=batch_size), strict=True):
            inputs = annotate(text, return_tensors="pt")
            place = inputs["input_ids"][0] == annotate.tokenizer.mask_token_id
            logits = model(**inputs).logits[0, place][0]
            close([row["score"] for row in found], logits.softmax(0).topk(3).values)


def test_feature_extraction(tmp_path):
    model, annotate = saved(BertModel, tmp_path)
    read = pipeline("guided-feature-extraction", model=str(tmp_path))
    for batch_size in (1, 8):
        for text, found in zip(TEXTS, read(TEXTS, batch_size=batch_size), strict=True):
            expected = model(**annotate(text, return_tensors="pt")).last_hidden_state[0]
            close(found, expected[None])
    assert read(TEXTS[0], return_tensors=True).shape == (1, len(TEXTS[0].split()) + 2, 24)


@pytest.mark.parametrize(
    ("task", "model_class"),
    [
        ("text-classification", BertForSequenceClassification), ("token-classification", BertForTokenClassification),
        ("fill-mask", BertForMaskedLM), ("feature-extraction", BertModel),
    ],
)  # fmt: skip
def test_texts_that_are_padded_on_the_left_are_read_as_alone(tmp_path, task, model_class):
    """Learned positions count from the first column, so padding there would move them."""
    saved(model_class, tmp_path, tokens={"mask_token": "[MASK]"}.items())
    read = pipeline(f"guided-{task}", model=str(tmp_path))
    read.tokenizer.padding_side = "left"
    texts = [f"[MASK] {text}" if task == "fill-mask" else text for text in ["the kind cat .", *TEXTS, "the town"]]
    for text, found in zip(texts, read(texts, batch_size=8), strict=True):
        assert _flat(found) == pytest.approx(_flat(read(text)), abs=1e-5)


@pytest.mark.parametrize(
    ("task", "model_class", "given"),
    [
        ("text-classification", BertForSequenceClassification, [TEXTS[:2]]),
        ("text-classification", BertForSequenceClassification, {"text": TEXTS[0], "textpair": TEXTS[1]}),
        ("text-classification", BertForSequenceClassification, {"text_pair": TEXTS[1]}),
        ("text-classification", BertForSequenceClassification, {"text": TEXTS[:2], "text_pair": TEXTS[:2]}),
        ("fill-mask", BertForMaskedLM, [["[MASK] cat", "a [MASK]"]]),
        ("feature-extraction", BertModel, [TEXTS[:2]]),
    ],
)  # fmt: skip
def test_no_text_is_dropped_where_more_are_given_than_one(tmp_path, task, model_class, given):
    saved(model_class, tmp_path, tokens={"mask_token": "[MASK]"}.items())
    with pytest.raises(InputError, match="guided pipelines take a text|a text and its pair are"):
        pipeline(f"guided-{task}", model=str(tmp_path))(given)


def test_a_tokenizer_that_names_no_mask_of_padding_is_padded_too(tmp_path):
    saved(BertForSequenceClassification, tmp_path)
    classify = pipeline("guided-text-classification", model=str(tmp_path))
    expected = [row["score"] for row in classify(TEXTS)]
    classify.annotator.tokenizer.model_input_names = ["input_ids"]
    close([row["score"] for row in classify(TEXTS, batch_size=8)], expected)


def test_a_tagger_of_ones_own_is_given_beside_the_folder(tmp_path):
    annotate = lexicon_annotator()
    model = grammask.attach(BertForSequenceClassification(BertConfig(**BERT)), "paper-sinks", annotator=annotate)
    model.save_pretrained(tmp_path)
    own = "annotator=annotate, model_kwargs={'annotator': False}"
    with pytest.raises(GrammaskError) as raised:
        pipeline("guided-text-classification", model=str(tmp_path), annotator=annotate)
    assert f"pipeline(..., {own}) takes another annotator" in str(raised.value)
    classify = pipeline(
        "guided-text-classification", model=str(tmp_path), annotator=annotate, model_kwargs={"annotator": False}
    )
    assert len(classify(TEXTS)) == len(TEXTS)


def _flat(found):
    """Return the numbers of an answer in their order."""
    if isinstance(found, dict):
        return [value for value in found.values() if isinstance(value, Real)]
    if isinstance(found, list | tuple):
        return [value for each in found for value in _flat(each)]
    return [found]


def test_text_generation(tmp_path):
    config = LlamaConfig(**SIZES, pad_token_id=0, eos_token_id=3)
    model, annotate = saved(LlamaForCausalLM, tmp_path, config)
    write = pipeline("guided-text-generation", model=str(tmp_path))
    prompt = annotate(TEXTS[0], return_tensors="pt")
    settings = {"max_new_tokens": 6, "do_sample": False}
    expected = model.generate(**prompt, **settings)[0]
    found = write(TEXTS[0], return_tensors=True, **settings)[0]["generated_token_ids"]
    assert list(found) == expected.tolist()
    same = [TEXTS[0]] * 3
    for row in write(same, batch_size=3, return_tensors=True, **settings):
        assert list(row[0]["generated_token_ids"]) == expected.tolist()


def test_a_model_without_an_annotator_says_how_to_give_one(tmp_path):
    grammask.attach(BertForSequenceClassification(BertConfig(**BERT)), "paper-sinks").save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="annotator=annotate"):
        pipeline("guided-text-classification", model=str(tmp_path))
    classify = pipeline("guided-text-classification", model=str(tmp_path), annotator=lexicon_annotator())
    assert len(classify(TEXTS)) == len(TEXTS)


def test_a_reason_is_one_line_and_not_lost(tmp_path):
    BertForSequenceClassification(BertConfig(**BERT)).save_pretrained(tmp_path)
    with pytest.raises(GrammaskError, match="saved without a grammar") as raised:
        pipeline("guided-text-classification", model=str(tmp_path))
    assert "\n" not in str(raised.value)


def test_the_stock_pipeline_refuses_the_folder(tmp_path):
    saved(BertForSequenceClassification, tmp_path)
    with pytest.raises(ModelError, match="grammask.from_pretrained"):
        pipeline("text-classification", model=str(tmp_path))(TEXTS[0])
    code = (
        "from transformers import pipeline\nimport sys\n"
        f"try: pipeline('text-classification', model={str(tmp_path)!r})\n"
        "except ValueError as error: assert 'grammask' in str(error); print('refused')"
    )
    assert "refused" in run_fresh(code).stdout
