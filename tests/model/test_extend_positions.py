"""Longer tables of positions: what fitted before stays, what is new is made of it, and folders bring all back."""

import json
import pickle
from copy import deepcopy

import pytest
import torch
import transformers
from helpers.lexicon import LexiconTagger
from helpers.lexicon import annotator as lexicon_annotator
from helpers.tiny_models import TINY, tiny_model
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling
from torch import nn

import grammask
from grammask.errors import InputError, ModelError
from grammask.model.count_positions import count_positions
from grammask.model.position_table import EXTENDABLE, find_table, longer

MOST, LONGER = 78, 200  # positions of the tiny models without RoBERTa's offset, and those that are asked for


def encoder(kind, **changes):
    """A tiny model of any kind with a table; those of RoBERTa's family have two rows before the first token's.

    One layer is enough: positions are added before the first.
    """
    changes = {"num_hidden_layers": 1, **({"n_layers": 1} if kind == "distilbert" else {}), **changes}
    if kind == "esm":
        changes = {"position_embedding_type": "absolute", **changes}
    if kind != "mpnet":
        return tiny_model(kind, **changes)
    config = transformers.AutoConfig.for_model(kind, **{**TINY, **changes})
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.3)
    return model


def tokens(length, batch=2):
    return torch.arange(batch * length).reshape(batch, length) % 100 + 10


def inputs(length):
    mask = torch.ones(2, length, dtype=torch.long)
    mask[1, length - length // 3 :] = 0
    # RoBERTa counts tokens that aren't padding, by their id.
    return {"input_ids": tokens(length).masked_fill(mask == 0, 1), "attention_mask": mask}


def answers(model, **given):
    with torch.no_grad():
        return model(**given).logits


@pytest.mark.parametrize("kind", EXTENDABLE)
def test_what_fitted_before_stays_and_longer_texts_are_read(kind):
    model = encoder(kind)
    before, short = count_positions(model), inputs(count_positions(model))
    stock, stock_loss = answers(model, **short), model.train()(**short).logits.shape
    with pytest.raises((IndexError, RuntimeError)):
        model.eval()(input_ids=tokens(LONGER))
    assert grammask.extend_positions(model, LONGER) is model
    assert torch.equal(answers(model, **short), stock)
    assert answers(model, **inputs(LONGER)).isfinite().all()
    assert model.train()(**inputs(LONGER)).logits.shape == stock_loss
    assert count_positions(model) == LONGER
    assert model.config.max_position_embeddings == LONGER + find_table(model).first
    assert model.config.grammask_positions == {"method": "tile", "from": before}
    with pytest.raises((IndexError, RuntimeError)):
        model.eval()(input_ids=tokens(LONGER + 1))


@pytest.mark.parametrize(  # the method decides the rows, not what is saved of them
    ("kind", "method"), [*((kind, "tile") for kind in EXTENDABLE), ("bert", "interpolate"), ("roberta", "interpolate")]
)
def test_a_folder_brings_all_back_by_transformers_alone(kind, method, tmp_path):
    model = grammask.extend_positions(encoder(kind), LONGER, method)
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    assert again.config.grammask_positions == model.config.grammask_positions
    assert torch.equal(answers(again, **inputs(LONGER)), answers(model, **inputs(LONGER)))
    with pytest.raises(ModelError, match=f"extended before.*'method': '{method}'"):
        grammask.extend_positions(again, 2 * LONGER)


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "mpnet"])
def test_tiles_are_the_rows_of_tokens_and_rows_before_stay_alone(kind):
    model = encoder(kind)
    had = deepcopy(find_table(model))
    table = find_table(grammask.extend_positions(model, LONGER)).table
    rows = had.table.weight[had.first :]
    assert torch.equal(table.weight[: had.first], had.table.weight[: had.first])
    for place in range(LONGER):
        assert torch.equal(table.weight[had.first + place], rows[place % len(rows)])
    assert (table.padding_idx, table.num_embeddings) == (had.table.padding_idx, len(table.weight))
    # A text that is the same twice over reads the same rows twice.
    once = find_table(model).embeddings(input_ids=tokens(had.tokens, 1))
    twice = find_table(model).embeddings(input_ids=tokens(had.tokens, 1).repeat(1, 2))
    assert torch.equal(twice, once.repeat(1, 2, 1))


def test_buckets_of_relative_positions_are_left_alone():
    model = encoder("mpnet")
    bias, rows = model.base_model.encoder.relative_attention_bias, model.config.relative_attention_num_buckets
    grammask.extend_positions(model, LONGER)
    assert model.base_model.encoder.relative_attention_bias is bias
    assert model.config.relative_attention_num_buckets == rows == bias.num_embeddings


@given(rows=st.integers(1, 12), more=st.integers(0, 40), width=st.integers(1, 3))
def test_a_longer_table_is_made_of_its_rows(rows, more, width):
    table = torch.randn(rows, width, dtype=torch.float64)
    tiled, between = longer(table, rows + more, "tile"), longer(table, rows + more, "interpolate")
    assert all(torch.equal(row, table[place % rows]) for place, row in enumerate(tiled))
    for place, row in enumerate(between):
        at = place * (rows - 1) / max(rows + more - 1, 1)
        low = min(int(at), rows - 1)
        high, share = min(low + 1, rows - 1), at - low
        torch.testing.assert_close(row, (1 - share) * table[low] + share * table[high])


@pytest.mark.parametrize("method", ["tile", "interpolate"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_dtype_stays_what_it_is(dtype, method):
    model = encoder("bert").to(dtype)
    grammask.extend_positions(model, LONGER, method)
    assert find_table(model).table.weight.dtype == dtype
    assert find_table(model).table.weight.is_contiguous()
    assert answers(model, input_ids=tokens(LONGER)).isfinite().all()


def test_new_positions_are_trained_and_frozen_ones_stay_frozen():
    model = grammask.extend_positions(encoder("roberta"), LONGER)
    model.train()(input_ids=tokens(LONGER), labels=torch.tensor([0, 1])).loss.backward()
    gradient = find_table(model).table.weight.grad
    assert gradient[2:].abs().sum(1).gt(0).all()
    assert gradient[:2].eq(0).all()
    frozen = encoder("bert")
    frozen.requires_grad_(False)
    assert not find_table(grammask.extend_positions(frozen, LONGER)).table.weight.requires_grad


def test_models_of_one_config_are_extended_one_by_one():
    config = transformers.BertConfig(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, vocab_size=99)
    one, other = transformers.BertModel(config), transformers.BertModel(config)
    grammask.extend_positions(one, 1000)
    assert config.max_position_embeddings == other.config.max_position_embeddings == 512
    assert not hasattr(other.config, "grammask_positions")
    assert {module.config.max_position_embeddings for module in one.modules() if hasattr(module, "config")} == {1000}
    assert grammask.extend_positions(other, 600).config.max_position_embeddings == 600


# Under a grammar


def annotation(annotate, length):
    return annotate(["the kind cat sees a dull film . " * 60, "a cruel king ."], max_length=length, return_tensors="pt")


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "albert"])
def test_before_and_after_attach_are_the_same(kind, tmp_path):
    annotate = lexicon_annotator()
    given = annotation(annotate, LONGER)
    first = grammask.attach(grammask.extend_positions(encoder(kind), LONGER), "paper-sinks")
    then = grammask.extend_positions(grammask.attach(encoder(kind), "paper-sinks"), LONGER)
    torch.testing.assert_close(answers(first, **given), answers(then, **given))
    then.save_pretrained(tmp_path)
    again = grammask.from_pretrained(tmp_path)
    torch.testing.assert_close(answers(again, **given), answers(then, **given))
    assert again.config.grammask_positions["from"] == count_positions(encoder(kind))
    for model in (again, then, pickle.loads(pickle.dumps(then))):  # noqa: S301 - our own
        stock = grammask.detach(model)
        assert (count_positions(stock), stock.config.grammask_positions["method"]) == (LONGER, "tile")
        expected = grammask.extend_positions(encoder(kind), LONGER)
        plain = {name: given[name] for name in ("input_ids", "attention_mask")}
        assert torch.equal(answers(stock, **plain), answers(expected, **plain))


def test_short_texts_read_by_a_grammar_as_before():
    given = annotation(lexicon_annotator(), MOST)
    model = grammask.attach(encoder("bert"), "paper-sinks")
    before = answers(model, **given)
    assert torch.equal(answers(grammask.extend_positions(model, LONGER), **given), before)


def test_annotators_cut_where_the_model_ends_from_then_on(tmp_path):
    annotate = lexicon_annotator()
    annotate.tokenizer.model_max_length = 80
    given, other = annotate.cut_at(64), deepcopy(annotate.tokenizer)
    text = "the kind cat sees a dull film . " * 60
    model = grammask.attach(encoder("bert"), "paper-sinks", annotator=annotate)
    grammask.extend_positions(model, LONGER, annotator=given)
    assert annotate(text, return_tensors="pt")["input_ids"].shape == (1, LONGER)
    assert given(text, return_tensors="pt")["input_ids"].shape == (1, LONGER)
    assert given.max_length == LONGER
    grammask.extend_positions(encoder("bert"), LONGER, annotator=other)
    assert other.model_max_length == LONGER
    other.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))["model_max_length"] == LONGER


def test_a_loaded_annotator_cuts_there_too(tmp_path):
    annotate = lexicon_annotator().cut_at(70)
    model = grammask.attach(encoder("bert"), "paper-sinks", annotator=annotate)
    grammask.extend_positions(model, LONGER).save_pretrained(tmp_path)
    again, annotate = grammask.load(tmp_path, tagger=LexiconTagger())
    given = annotate("the kind cat sees a dull film . " * 60, return_tensors="pt")
    assert given["input_ids"].shape == (1, LONGER)
    torch.testing.assert_close(answers(again, **given), answers(model, **given))


# In sentence-transformers


def sentence_model(folder):
    encoder("bert").base_model.save_pretrained(folder)
    lexicon_annotator().tokenizer.save_pretrained(folder)
    made = SentenceTransformer(str(folder), device="cpu")
    assert isinstance(made[1], Pooling)
    return made


@pytest.mark.parametrize("guided", [False, True], ids=["stock", "guided"])
def test_models_of_sentence_transformers_read_longer_texts(guided, tmp_path):
    model, text = sentence_model(tmp_path / "stock"), "the kind cat sees a dull film . " * 60
    short = "the king ."
    if guided:
        annotate = grammask.Annotator(model.tokenizer, LexiconTagger(), cache=False)
        grammask.attach(model, "paper-sinks", annotator=annotate)
    before = model.encode([short])
    assert grammask.extend_positions(model, LONGER) is model
    assert model.max_seq_length == LONGER
    assert model.tokenize([text])["input_ids"].shape == (1, LONGER)
    assert (model.encode([short]) == before).all()  # to the bit
    model.save(str(tmp_path / "saved"))
    options = {"trust_remote_code": True, "processor_kwargs": {"tagger": LexiconTagger()}} if guided else {}
    again = SentenceTransformer(str(tmp_path / "saved"), device="cpu", **options)
    assert again.max_seq_length == LONGER
    assert (again.encode([text, short]) == model.encode([text, short])).all()


def test_a_model_that_was_attached_without_an_annotator_is_extended_too(tmp_path):
    model = grammask.attach(sentence_model(tmp_path), "paper-sinks")
    assert grammask.extend_positions(model, LONGER).max_seq_length == LONGER


# What raises


@pytest.mark.parametrize("kind", ["modernbert", "nomic_bert", "jina_embeddings_v3", "llama", "esm"])
def test_rotary_positions_need_none(kind):
    model = tiny_model(kind)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ModelError, match=f"{kind} reads at most .*rotary"):
        grammask.extend_positions(model, LONGER)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not hasattr(model.config, "grammask_positions")


def test_other_positions_are_refused_by_name():
    with pytest.raises(ModelError, match="gpt2 reads at most 80 tokens.*no table that is known here"):
        grammask.extend_positions(tiny_model("gpt2"), LONGER)
    config = transformers.DebertaV2Config(**{**TINY, "relative_attention": True})
    with pytest.raises(ModelError, match=r"deberta-v2 reads.*bert, camembert"):
        grammask.extend_positions(transformers.DebertaV2Model(config), LONGER)
    damaged = encoder("bert")
    damaged.config.max_position_embeddings = 60
    with pytest.raises(ModelError, match="80 rows, but its config says 60"):
        grammask.extend_positions(damaged, LONGER)
    with torch.device("meta"):
        empty = transformers.BertModel(transformers.BertConfig())
    with pytest.raises(ModelError, match="not in memory"):
        grammask.extend_positions(empty, 1000)


@pytest.mark.parametrize(
    "value", [80, 8, 0, -1, True, 100.0, "200", None, 10**7, 10**5000], ids=lambda value: str(type(value))
)
def test_lengths_that_extend_nothing_are_refused(value):
    model = encoder("bert")
    with pytest.raises(InputError, match="max_length"):
        grammask.extend_positions(model, value)
    assert count_positions(model) == 80


@pytest.mark.parametrize("method", ["mirror", "", None, 3, ["tile"]])
def test_other_methods_are_refused(method):
    with pytest.raises(InputError, match="method must be one of tile, interpolate, but is"):
        grammask.extend_positions(encoder("bert"), LONGER, method)


def test_what_is_no_annotator_is_refused_before_anything_changes():
    model = encoder("bert")
    with pytest.raises(InputError, match=r"a grammask\.Annotator or a tokenizer, but is 'en_core_web_sm'"):
        grammask.extend_positions(model, LONGER, annotator="en_core_web_sm")
    assert count_positions(model) == 80


def test_wrapped_models_are_refused():
    adapted = get_peft_model(encoder("bert"), LoraConfig(target_modules=["query"]))
    for model in (adapted, adapted.base_model.model, nn.Sequential(encoder("bert"))):
        with pytest.raises(ModelError, match="extend_positions on the model, save it, and wrap it then"):
            grammask.extend_positions(model, LONGER)
    with pytest.raises(ModelError, match="needs a transformers model"):
        grammask.extend_positions(nn.Linear(2, 2), LONGER)


def test_an_adapter_of_an_extended_model_comes_back(tmp_path):
    base = grammask.extend_positions(encoder("bert"), LONGER)
    base.save_pretrained(tmp_path / "base")
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "base").eval()
    adapted = get_peft_model(
        grammask.attach(loaded, "paper-sinks"), LoraConfig(target_modules=["query"], init_lora_weights=False)
    ).eval()
    adapted.save_pretrained(tmp_path / "adapter")
    again = grammask.from_pretrained(tmp_path / "adapter").eval()
    given = annotation(lexicon_annotator(), LONGER)
    torch.testing.assert_close(answers(again, **given), answers(adapted, **given))
