"""A guided model and its annotator in one folder: both come back, and the card and the `repr` say the grammar."""

import copy
import json
import pickle

import pytest
import torch
from helpers.lexicon import LexiconTagger
from helpers.lexicon import annotator as lexicon_annotator
from transformers import AutoModel, BertConfig, BertForSequenceClassification, LlamaConfig, LlamaForCausalLM

import grammask
from grammask.errors import InputError, ModelError, TaggingError

TEXT = "the kind cat sees a dull film ."
FILE = "grammask_annotator.json"
SIZES = {"vocab_size": 40, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def stock():
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(**SIZES)).eval()


def causal():
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZES, pad_token_id=0, eos_token_id=3)).eval()


@pytest.fixture
def annotate():
    return lexicon_annotator()


@pytest.fixture
def guided(annotate):
    return grammask.attach(stock(), "paper-sinks", annotator=annotate)


def load(folder, **kwargs):
    return grammask.load(folder, tagger=LexiconTagger(), cache=False, **kwargs)


def test_a_folder_gives_the_model_and_its_annotator(guided, annotate, tmp_path):
    guided.save_pretrained(tmp_path)
    model, again = load(tmp_path)
    inputs = again(TEXT, return_tensors="pt")
    torch.testing.assert_close(model(**inputs).logits, guided(**annotate(TEXT, return_tensors="pt")).logits)
    assert again.settings == annotate.settings
    assert not model.training


def test_an_english_model_needs_its_folder_only(tmp_path):
    annotate = grammask.Annotator(lexicon_annotator().tokenizer, "en_core_web_sm", cache=False, max_length=9)
    guided = grammask.attach(stock(), "paper-sinks", annotator=annotate)
    guided.save_pretrained(tmp_path)
    model, again = grammask.load(tmp_path, cache=False)
    assert again.settings == annotate.settings
    expected = guided(**annotate(TEXT, return_tensors="pt")).logits
    torch.testing.assert_close(model(**again(TEXT, return_tensors="pt")).logits, expected, atol=1e-6, rtol=0)


def test_generate_works_on_a_model_that_came_back(annotate, tmp_path):
    model = grammask.attach(causal(), "names-far", annotator=annotate)
    model.save_pretrained(tmp_path)
    again, prompt = load(tmp_path)[0], annotate(TEXT, return_tensors="pt")
    settings = {"max_new_tokens": 40, "do_sample": False}
    assert torch.equal(again.generate(**prompt, **settings), model.generate(**prompt, **settings))


def test_from_pretrained_restores_the_annotator_or_takes_one(guided, annotate, tmp_path):
    guided.save_pretrained(tmp_path)
    with pytest.raises(TaggingError, match=r"'lexicon 1', which.*\(to grammask.load\); annotator=False loads"):
        grammask.from_pretrained(tmp_path)
    model = grammask.from_pretrained(tmp_path, annotator=annotate)
    model.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / FILE).read_text() == (tmp_path / FILE).read_text()
    grammask.from_pretrained(tmp_path, annotator=False).save_pretrained(tmp_path / "alone")
    assert not (tmp_path / "alone" / FILE).exists()
    with pytest.raises(InputError, match="annotator must be True, False or"):
        grammask.from_pretrained(tmp_path, annotator="en_core_web_sm")


def test_a_model_saved_without_an_annotator_says_how_to_give_one(annotate, tmp_path):
    grammask.attach(stock(), "paper-sinks").save_pretrained(tmp_path)
    with pytest.raises(TaggingError, match=r'without an annotator.*tagger="en_core_web_sm".*annotator=annotate'):
        grammask.load(tmp_path)
    with pytest.raises(ModelError, match="holds no tokenizer"):
        load(tmp_path)
    annotate.tokenizer.save_pretrained(tmp_path)
    model, again = load(tmp_path)
    assert model(**again(TEXT, return_tensors="pt")).logits.shape == (1, 2)


def test_a_model_without_a_grammar_says_that_first(tmp_path):
    stock().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="saved without a grammar"):
        grammask.load(tmp_path)


def test_an_annotator_of_another_model_goes_when_a_model_is_saved_over_it(guided, tmp_path):
    guided.save_pretrained(tmp_path)
    grammask.attach(stock(), "paper-sinks").save_pretrained(tmp_path)
    assert not (tmp_path / FILE).exists()


def test_the_base_alone_is_saved_with_the_annotator_too(guided, tmp_path):
    guided.bert.save_pretrained(tmp_path)
    assert type(load(tmp_path)[0]).__name__ == "BertModel"


def test_other_processes_than_the_main_one_write_nothing_of_ours(guided, tmp_path):
    guided.save_pretrained(tmp_path, False)
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("how", ["method", "argument"])
def test_what_is_pushed_holds_the_annotator(guided, tmp_path, monkeypatch, how):
    pushed = {}

    def push(self, repo_id, **kwargs):
        self.save_pretrained(tmp_path / "pushed")
        pushed.update(repo_id=repo_id, **kwargs)

    monkeypatch.setattr(BertForSequenceClassification, "push_to_hub", push)
    if how == "method":
        guided.push_to_hub("me/guided", token="t")
    else:
        guided.save_pretrained(tmp_path / "guided", push_to_hub=True, token="t")
    assert pushed == {"repo_id": "me/guided" if how == "method" else "guided", "token": "t"}
    assert (tmp_path / "pushed" / FILE).exists()


def test_an_adapter_is_saved_with_the_annotator(annotate, tmp_path):
    peft = pytest.importorskip("peft")
    stock().save_pretrained(tmp_path / "base")
    base = BertForSequenceClassification.from_pretrained(tmp_path / "base")
    wrapped = peft.get_peft_model(
        grammask.attach(base, "paper-sinks", annotator=annotate),
        peft.LoraConfig(task_type="SEQ_CLS", target_modules=["query"]),
    )
    wrapped.eval().save_pretrained(tmp_path / "adapter")
    model, again = load(tmp_path / "adapter")
    inputs = again(TEXT, return_tensors="pt")
    torch.testing.assert_close(model.eval()(**inputs).logits, wrapped(**inputs).logits)
    assert "`paper-sinks`" in (tmp_path / "adapter" / "README.md").read_text()


def test_the_card_names_grammar_strategy_tagger_and_how_to_load(guided, tmp_path):
    guided.save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    for said in ("library_name: grammask", "`paper-sinks`", "`hard`", "`lexicon 1`", "grammask.load("):
        assert said in card


def test_a_card_of_ones_own_is_kept_and_our_section_renewed(annotate, tmp_path):
    own = "---\nlicense: mit\n---\n# My model\n\nWhat I wrote."
    (tmp_path / "README.md").write_text(own)
    for grammar in ("paper", "banded", "english"):
        with grammask.attached(stock(), grammar, annotator=annotate) as model:
            model.save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert card.startswith(own)
    assert "`english`" in card
    assert "`paper`" not in card
    assert card.count("grammask.load(") == 1


def test_names_in_a_card_are_no_markup(annotate, tmp_path):
    annotate.tagger._tagger.name = "`<script>\n# Title"
    with grammask.attached(stock(), "paper", annotator=annotate) as model:
        model.save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "<script" not in card
    assert "\n# Title" not in card


def test_repr_says_the_grammar_in_a_line_until_detach():
    model = stock()
    plain = repr(model)
    grammask.attach(model, "paper-sinks", "soft")
    added = set(repr(model).splitlines()) - set(plain.splitlines())
    assert added == {"  grammar='paper-sinks', strategy='soft'"}
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301 - our own bytes
        assert repr(other) == repr(model)
    assert repr(grammask.detach(model)) == plain
    assert "save_pretrained" not in vars(model)


def test_copies_save_themselves(annotate, tmp_path):
    model = grammask.attach(stock(), "paper-sinks")
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.classifier.weight.zero_()
    other.save_pretrained(tmp_path)
    assert not grammask.from_pretrained(tmp_path).classifier.weight.any()


def test_a_stock_load_of_the_folder_still_refuses(guided, tmp_path):
    guided.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["attn_implementation"] == "grammask"
    model = AutoModel.from_pretrained(tmp_path)  # the name is known in this process
    with pytest.raises(ModelError, match="grammask.from_pretrained"):
        model(torch.tensor([[1, 2]]))
