"""BatchEmbedder: what the saved model says by hand, whatever the batches, and of it alone."""

import pickle
import shutil

import pytest
import torch
from helpers.lexicon import annotator, sentences, trained
from helpers.tokenizers_for_tests import save_padding
from transformers import BertConfig, BertModel

import grammask
from grammask.errors import ModelError


@pytest.fixture(scope="module")
def tagged_by_spacy():
    return grammask.Annotator(annotator().tokenizer, "en_core_web_sm", cache=False)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory, tagged_by_spacy):
    folder = tmp_path_factory.mktemp("classifier")
    model = trained(annotator())
    grammask.detach(model)
    grammask.attach(model, "paper-sinks", annotator=tagged_by_spacy).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory, tagged_by_spacy):
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tagged_by_spacy.tokenizer), hidden_size=24, num_hidden_layers=2, num_attention_heads=2
    )
    grammask.attach(BertModel(config), "paper-sinks", annotator=tagged_by_spacy).save_pretrained(folder)
    return folder


def test_a_classifier_gives_its_predictions(classifier):
    texts = sentences(40, seed=3)[0]
    found = grammask.BatchEmbedder(classifier)({"text": [texts[0], None, *texts[1:]]})
    model, annotate = grammask.load(classifier, cache=False)
    logits = model(**annotate(texts, return_tensors="pt")).logits
    torch.testing.assert_close(torch.tensor([row for row in found["logits"] if row]), logits, rtol=0, atol=1e-5)
    assert [label for label in found["label"] if label] == [model.config.id2label[int(row)] for row in logits.argmax(1)]
    assert found["label"][1] == ""
    assert found["logits"][1] == []


@pytest.mark.parametrize("side", ["right", "left"])
def test_an_encoder_gives_the_mean_of_its_tokens(encoder, side, tmp_path):
    """Its positions count from the first column, also where its tokenizer would have padding there."""
    texts = ["the kind cat sees a town .", "a film .", "the dull girl often likes the cold king ."]
    encoder = shutil.copytree(encoder, tmp_path / "encoder")
    save_padding(annotator().tokenizer, encoder, side)
    found = grammask.BatchEmbedder(encoder)({"text": texts})["embedding"]
    model, annotate = grammask.load(encoder, cache=False)
    for text, embedding in zip(texts, found, strict=True):
        states = model(**annotate(text, return_tensors="pt")).last_hidden_state[0]
        torch.testing.assert_close(torch.tensor(embedding), states.mean(0), rtol=0, atol=1e-5)


def test_it_pickles_as_its_folder_which_must_stay_the_same(encoder):
    embed = grammask.BatchEmbedder(encoder)
    before = pickle.dumps(embed)
    embedded = embed({"text": ["a film ."]})
    assert pickle.dumps(embed) == before
    assert len(before) < 2_000
    again = pickle.loads(before)  # noqa: S301
    assert again({"text": ["a film ."]}) == embedded
    (encoder / "more.json").write_text("{}", encoding="utf-8")
    try:
        with pytest.raises(ModelError, match="another model by now"):
            pickle.loads(before)({"text": ["a film ."]})  # noqa: S301
        assert grammask.BatchEmbedder(encoder).settings != embed.settings
    finally:
        (encoder / "more.json").unlink()


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no folder"):
        grammask.BatchEmbedder(tmp_path / "missing")
    with pytest.raises(ModelError, match=r"config\.json"):
        grammask.BatchEmbedder(tmp_path)
