"""sentence-transformers with guided models: raw texts give what annotating, the model and pooling give by hand."""

import copy
import json
import pickle
import sys

import pytest
import torch
from datasets import Dataset
from helpers.fresh_process import run_fresh
from helpers.lexicon import LexiconTagger, sentences
from helpers.lexicon import annotator as lexicon_annotator
from sentence_transformers import (
    CrossEncoder,
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
    SparseEncoder,
)
from sentence_transformers.base.modules import Normalize, Router, Transformer
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss
from sentence_transformers.cross_encoder.modules import LogitScore
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MultipleNegativesRankingLoss,
)
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding
from sentence_transformers.sparse_encoder.modules import SpladePooling
from torch import nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
)

import grammask
from grammask.errors import InputError, ModelError, TaggingError

TEXTS = ["the kind cat sees a dull film .", "a cruel king .", "now " + "the girl calls the town . " * 30, ""]
PAIRS = [(TEXTS[0], TEXTS[1]), (TEXTS[1], TEXTS[2]), ("the king", "the cat")]
SIZES = {"vocab_size": 40, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
BERT = {**SIZES, "max_position_embeddings": 64, "initializer_range": 0.5, "hidden_dropout_prob": 0.0}


@pytest.fixture
def annotate():
    return grammask.Annotator(lexicon_annotator().tokenizer, "en_core_web_sm", cache=False)


def stock(model_class=BertModel, **changes):
    torch.manual_seed(0)
    return model_class(BertConfig(**{**BERT, **changes})).eval()


def guided(annotate, model_class=BertModel, **changes):
    return grammask.attach(stock(model_class, **changes), "paper-sinks", annotator=annotate)


def embedder(first):
    return SentenceTransformer(modules=[first, Pooling(24), Normalize()], device="cpu")


def by_hand(model, annotate, texts):
    """Annotate each text alone, run the model, take the mean, and normalise."""
    rows = []
    for text in texts:
        with torch.no_grad():
            hidden = model(**annotate(text, return_tensors="pt")).last_hidden_state[0]
        rows.append(nn.functional.normalize(hidden.mean(0), dim=0))
    return torch.stack(rows)


def close(found, expected):
    torch.testing.assert_close(torch.as_tensor(found), torch.as_tensor(expected), atol=1e-6, rtol=0)


def reload(folder, kind=SentenceTransformer, **kwargs):
    return kind(str(folder), trust_remote_code=True, device="cpu", **kwargs)


def test_texts_are_embedded_as_by_hand_before_and_after_saving(annotate, tmp_path):
    model = guided(annotate)
    expected = by_hand(model, annotate, TEXTS)
    made = embedder(grammask.SentenceModule(model))
    made.save(str(tmp_path))
    assert json.loads((tmp_path / "modules.json").read_text())[0]["type"] == "grammask.SentenceModule"
    for sentences_model in (made, reload(tmp_path), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):  # noqa: S301
        for batch_size in (1, 3):
            close(sentences_model.encode(TEXTS, batch_size=batch_size), expected)
        close(sentences_model.encode(TEXTS[0]), expected[0])
    again, its = grammask.load(tmp_path, cache=False)
    close(by_hand(again, its, TEXTS), expected)
    assert its.settings == made[0].annotator.settings


def test_loading_without_our_module_raises(annotate, tmp_path):
    embedder(grammask.SentenceModule(guided(annotate))).save(str(tmp_path))
    with pytest.raises(ValueError, match="'grammask.SentenceModule'"):
        SentenceTransformer(str(tmp_path), device="cpu")
    (tmp_path / "modules.json").unlink()
    with pytest.raises(ModelError, match="grammask.from_pretrained"):  # in a process that knows the attention's name
        SentenceTransformer(str(tmp_path), device="cpu").encode(TEXTS)


@pytest.mark.slow
def test_a_fresh_process_needs_three_lines(annotate, tmp_path):
    made = embedder(grammask.SentenceModule(guided(annotate)))
    made.save(str(tmp_path))
    torch.save(made.encode(TEXTS, convert_to_tensor=True), tmp_path / "expected.pt")
    code = (
        "import sys, torch\nfolder = sys.argv[1]\ntexts = " + repr(TEXTS) + "\n"
        "from sentence_transformers import SentenceTransformer\n"
        "assert 'grammask' not in sys.modules\n"
        "try: SentenceTransformer(folder, device='cpu')\n"
        "except ValueError as error: assert 'grammask.SentenceModule' in str(error), error\n"
        "else: raise SystemExit('it ran without a word')\n"
        "model = SentenceTransformer(folder, trust_remote_code=True, device='cpu')\n"
        "expected, found = torch.load(folder + '/expected.pt'), model.encode(texts, convert_to_tensor=True)\n"
        "torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)\n"
    )
    run_fresh(code, tmp_path)


def test_attach_turns_the_module_inside_and_detach_turns_it_back(annotate, tmp_path):
    stock().save_pretrained(tmp_path / "stock")
    annotate.tokenizer.save_pretrained(tmp_path / "stock")
    made = SentenceTransformer(str(tmp_path / "stock"), device="cpu")
    before, tokenizer = made.encode(TEXTS), made.tokenizer
    with grammask.attached(made, "paper-sinks", annotator=annotate):
        assert type(made[0]) is grammask.SentenceModule
        expected = by_hand(guided(annotate), annotate, TEXTS)
        close(nn.functional.normalize(torch.as_tensor(made.encode(TEXTS)), dim=1), expected)
        made.save(str(tmp_path / "guided"))
    assert type(made[0]) is Transformer
    assert made.tokenizer is tokenizer
    assert (made.encode(TEXTS) == before).all()
    close(nn.functional.normalize(torch.as_tensor(reload(tmp_path / "guided").encode(TEXTS)), dim=1), expected)


def test_prompts_stand_before_texts_and_may_be_left_out_of_the_mean(annotate):
    model = guided(annotate)
    made = embedder(grammask.SentenceModule(model))
    made.prompts = {"query": "now "}
    close(made.encode(TEXTS, prompt_name="query"), by_hand(model, annotate, ["now " + text for text in TEXTS]))
    made[1].include_prompt = False
    with torch.no_grad():
        hidden = model(**annotate("now " + TEXTS[0], return_tensors="pt")).last_hidden_state[0]
    close(made.encode(TEXTS[0], prompt="now "), nn.functional.normalize(hidden[2:].mean(0), dim=0))


def test_texts_are_cut_where_the_module_says_and_the_folder_knows_it(annotate, tmp_path):
    model = guided(annotate)
    made = embedder(grammask.SentenceModule(model))
    assert made.max_seq_length == 64
    made.max_seq_length = 7
    assert annotate.max_length is None
    expected = by_hand(model, annotate.cut_at(7), TEXTS)
    close(made.encode(TEXTS), expected)
    made.save(str(tmp_path))
    again = reload(tmp_path)
    assert again.max_seq_length == 7
    close(again.encode(TEXTS), expected)
    shorter = {"processing_kwargs": {"text": {"max_length": 5}}}
    close(made.encode(TEXTS, **shorter), by_hand(model, annotate.cut_at(5), TEXTS))
    with pytest.raises(InputError, match="max_length is 1"):
        made.max_seq_length = 1


def test_texts_are_never_longer_than_the_model_reads(annotate):
    annotate.tokenizer.model_max_length = 10**30
    assert embedder(grammask.SentenceModule(guided(annotate))).max_seq_length == 64
    assert embedder(grammask.SentenceModule(guided(annotate.cut_at(500)))).max_seq_length == 64
    assert embedder(grammask.SentenceModule(guided(annotate), max_seq_length=20)).max_seq_length == 20


@pytest.mark.parametrize("labels", [1, 3])
def test_a_cross_encoder_reads_pairs(annotate, tmp_path, labels):
    model = guided(annotate, BertForSequenceClassification, num_labels=labels, initializer_range=0.2)
    made = CrossEncoder(modules=[grammask.SentenceModule(model)], device="cpu")
    logits = torch.cat([model(**annotate([one], [two], return_tensors="pt")).logits for one, two in PAIRS]).detach()
    expected = logits.sigmoid()[:, 0] if labels == 1 else logits
    made.save(str(tmp_path))
    for scored in (made, reload(tmp_path, CrossEncoder)):
        assert scored.num_labels == labels
        close(scored.predict(PAIRS), expected)
        close(scored.predict(PAIRS, batch_size=1), expected)
        close(scored.predict(PAIRS[0]), expected[0])
    short = reload(tmp_path, CrossEncoder, max_length=9)
    assert short.preprocess(PAIRS)["input_ids"].shape == (3, 9)
    if labels == 1:
        assert len(made.rank(TEXTS[0], TEXTS[1:3])) == 2


def test_a_sparse_encoder_reads_texts(annotate, tmp_path):
    model = guided(annotate, BertForMaskedLM, initializer_range=0.2)
    made = SparseEncoder(modules=[grammask.SentenceModule(model), SpladePooling()], device="cpu")
    made.save(str(tmp_path))
    expected = []
    for text in TEXTS:
        with torch.no_grad():
            expected.append(model(**annotate(text, return_tensors="pt")).logits[0].relu().log1p().amax(0))
    for read in (made, reload(tmp_path, SparseEncoder)):
        close(read.encode(TEXTS).to_dense(), torch.stack(expected))


def test_a_decoder_scores_pairs(annotate):
    torch.manual_seed(0)
    config = LlamaConfig(**SIZES, num_labels=1, pad_token_id=0, initializer_range=0.5)
    model = grammask.attach(LlamaForSequenceClassification(config).eval(), "names-far", annotator=annotate)
    made = CrossEncoder(modules=[grammask.SentenceModule(model)], device="cpu")
    logits = [model(**annotate([one], [two], return_tensors="pt")).logits for one, two in PAIRS]
    close(made.predict(PAIRS), torch.cat(logits).sigmoid()[:, 0].detach())


def test_a_decoder_scores_pairs_by_its_next_token(annotate, tmp_path):
    torch.manual_seed(0)
    config = LlamaConfig(**SIZES, pad_token_id=0, initializer_range=0.2)
    model = grammask.attach(LlamaForCausalLM(config).eval(), "names-far", annotator=annotate)
    made = CrossEncoder(modules=[grammask.SentenceModule(model), LogitScore(7, 8)], device="cpu")
    logits = [model(**annotate([one], [two], return_tensors="pt")).logits[0, -1] for one, two in PAIRS]
    made.save(str(tmp_path))
    for scored in (made, reload(tmp_path, CrossEncoder)):
        close(scored.predict(PAIRS), torch.stack([row[7] - row[8] for row in logits]).sigmoid().detach())
    assert annotate.tokenizer.padding_side == "right"


def test_texts_of_a_tokenizer_that_pads_on_the_left_are_embedded_as_alone(annotate):
    own = copy.deepcopy(annotate)
    own.tokenizer.padding_side = "left"
    made = embedder(grammask.SentenceModule(guided(own)))
    close(made.encode(TEXTS), torch.stack([made.encode(text, convert_to_tensor=True) for text in TEXTS]))
    assert own.tokenizer.padding_side == "left"


def test_learned_strengths_come_back(annotate, tmp_path):
    model = grammask.attach(stock(), "paper", "soft", learn_strengths="layer", annotator=annotate)
    nn.init.normal_(next(one for name, one in model.named_parameters() if "strengths" in name))
    made = embedder(grammask.SentenceModule(model))
    made.save(str(tmp_path))
    close(reload(tmp_path).encode(TEXTS), made.encode(TEXTS))
    close(made.encode(TEXTS), by_hand(model, annotate, TEXTS))


def test_without_sentence_transformers_it_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "grammask.model.sentence_module")
    monkeypatch.setitem(sys.modules, "sentence_transformers.base.modules", None)
    with pytest.raises(ModelError, match=r"pip install 'grammask\[sentences\]'"):
        grammask.SentenceModule  # noqa: B018


def test_a_tagger_of_ones_own_must_be_given_again_and_another_is_asked_for(tmp_path):
    made = embedder(grammask.SentenceModule(guided(lexicon_annotator())))
    made.save(str(tmp_path))
    with pytest.raises(TaggingError, match=r"'lexicon 1'.*give it again.*processor_kwargs=\{'tagger': \.\.\.\}"):
        reload(tmp_path)
    again = reload(tmp_path, processor_kwargs={"tagger": LexiconTagger(), "cache": False})
    close(again.encode(TEXTS), made.encode(TEXTS))


def test_another_tagger_than_the_saved_one_is_an_error(annotate, tmp_path):
    embedder(grammask.SentenceModule(guided(annotate))).save(str(tmp_path))
    saved = json.loads((tmp_path / "grammask_annotator.json").read_text())
    saved["tagger"]["fingerprint"] = "spacy 3.8 0"
    (tmp_path / "grammask_annotator.json").write_text(json.dumps(saved))
    with pytest.raises(TaggingError, match="fingerprint is"):
        reload(tmp_path)
    asked = reload(tmp_path, processor_kwargs={"tagger": "en_core_web_sm", "cache": False})
    assert asked[0].annotator.settings == annotate.settings


def test_an_adapter_is_saved_as_one(annotate, tmp_path):
    peft = pytest.importorskip("peft")
    stock().save_pretrained(tmp_path / "base")
    base = grammask.attach(BertModel.from_pretrained(tmp_path / "base"), "paper-sinks", annotator=annotate)
    lora = peft.LoraConfig(task_type="FEATURE_EXTRACTION", target_modules=["query"], init_lora_weights=False)
    made = embedder(grammask.SentenceModule(peft.get_peft_model(base, lora).eval()))
    made.save(str(tmp_path / "adapter"))
    assert not (tmp_path / "adapter" / "model.safetensors").exists()
    close(reload(tmp_path / "adapter").encode(TEXTS), made.encode(TEXTS))


def test_wrappers_in_and_around_are_looked_into(annotate, tmp_path):
    stock().save_pretrained(tmp_path)
    annotate.tokenizer.save_pretrained(tmp_path)
    made = embedder(Transformer(str(tmp_path)))
    made[0].model = torch.compile(made[0].model, backend="eager")
    grammask.attach(nn.Sequential(made), "paper-sinks", annotator=annotate)
    with torch.compiler.set_stance("force_eager"):  # what it compiles is tested elsewhere
        close(made.encode(TEXTS), by_hand(guided(annotate), annotate, TEXTS))


def test_of_two_models_each_gets_its_grammar(annotate, tmp_path):
    stock().save_pretrained(tmp_path / "stock")
    annotate.tokenizer.save_pretrained(tmp_path / "stock")
    query, document = (Transformer(str(tmp_path / "stock")) for _ in range(2))
    router = Router.for_query_document([query, Pooling(24), Normalize()], [document, Pooling(24), Normalize()])
    made = SentenceTransformer(modules=[router], device="cpu")
    with pytest.raises(ModelError, match="holds 2 transformers models"):
        grammask.attach(made, "paper-sinks", annotator=annotate)
    grammask.attach(query, "paper-sinks", annotator=annotate)
    grammask.attach(document, "banded", annotator=annotate)
    made.save(str(tmp_path / "guided"))
    again = reload(tmp_path / "guided")
    close(again.encode_query(TEXTS), by_hand(guided(annotate), annotate, TEXTS))
    close(again.encode_document(TEXTS), made.encode_document(TEXTS))
    assert abs(made.encode_document(TEXTS) - made.encode_query(TEXTS)).max() > 1e-3


def test_a_classifier_embeds_by_its_base(annotate, tmp_path):
    model = guided(annotate, BertForSequenceClassification)
    made = embedder(grammask.SentenceModule(model, transformer_task="feature-extraction"))
    expected = by_hand(model.bert, annotate, TEXTS)
    close(made.encode(TEXTS), expected)
    model.save_pretrained(tmp_path)
    close(embedder(grammask.SentenceModule(tmp_path, transformer_task="feature-extraction")).encode(TEXTS), expected)
    assert grammask.SentenceModule(tmp_path).transformer_task == "sequence-classification"


def test_without_an_annotator_nothing_is_read_or_saved(annotate, tmp_path):
    model = grammask.attach(stock(), "paper-sinks")
    with pytest.raises(ModelError, match="attached without an annotator"):
        grammask.SentenceModule(model)
    made = embedder(grammask.SentenceModule(model, annotate))
    close(made.encode(TEXTS), by_hand(model, annotate, TEXTS))
    made.save(str(tmp_path / "with"))
    assert (tmp_path / "with" / "grammask_annotator.json").exists()
    stock().save_pretrained(tmp_path)
    annotate.tokenizer.save_pretrained(tmp_path)
    alone = grammask.attach(embedder(Transformer(str(tmp_path))), "paper-sinks")
    for use in (alone.encode, lambda texts: alone.save(str(tmp_path / "alone"))):
        with pytest.raises(ModelError, match="attached without an annotator"):
            use(TEXTS)
    assert "without a grammar or an annotator" in repr(alone)


def test_a_grammar_that_was_taken_from_inside_is_missed(annotate, tmp_path):
    made = embedder(grammask.SentenceModule(guided(annotate)))
    assert "grammar='paper-sinks'" in repr(made)
    grammask.detach(made[0].model)
    for use in (made.encode, lambda texts: made.save(str(tmp_path))):
        with pytest.raises(ModelError, match="has no grammar"):
            use(TEXTS)
    repr(made)


def test_what_cannot_be_guided_is_refused_by_name(annotate, tmp_path):
    words_alone = SentenceTransformer(modules=[StaticEmbedding(annotate.tokenizer, embedding_dim=8)], device="cpu")
    with pytest.raises(ModelError, match="SentenceTransformer is none and holds none"):
        grammask.attach(words_alone, "paper-sinks", annotator=annotate)
    with pytest.raises(ModelError, match="has no grammar"):
        grammask.SentenceModule(stock(), annotate)
    with pytest.raises(InputError, match=r"must be a grammask.Annotator"):
        grammask.SentenceModule(guided(annotate), annotate.tokenizer)
    with pytest.raises(ModelError, match="BertForTokenClassification does no task"):
        grammask.SentenceModule(guided(annotate, BertForTokenClassification))
    with pytest.raises(ModelError, match="BertModel does feature-extraction, not fill-mask"):
        grammask.SentenceModule(guided(annotate), transformer_task="fill-mask")
    with pytest.raises(InputError, match="transformer_task must be one of feature-extraction"):
        grammask.SentenceModule(guided(annotate), transformer_task="retrieval")
    with pytest.raises(ModelError, match="takes no do_lower_case"):
        grammask.SentenceModule(guided(annotate), do_lower_case=True)
    with pytest.raises(ModelError, match="for the name of a model"):
        grammask.SentenceModule(guided(annotate), model_kwargs={"dtype": "float64"})
    stock().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="saved without a grammar"):
        grammask.SentenceModule(tmp_path)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"backend": "onnx"}, "torch alone, not on the backend 'onnx'"),
        ({"model_kwargs": {"attn_implementation": "sdpa"}}, "its own attention implementation"),
        ({"processor_kwargs": {"padding_side": "left"}}, "processor_kwargs of a guided model has no 'padding_side'"),
        ({"config_kwargs": {"num_labels": 3}}, "config_kwargs of a guided model has no 'num_labels'"),
    ],
)
def test_what_a_folder_cannot_be_loaded_with_is_refused_by_name(annotate, tmp_path, asked, told):
    embedder(grammask.SentenceModule(guided(annotate))).save(str(tmp_path))
    with pytest.raises(ValueError, match=told):
        reload(tmp_path, **asked)


def test_a_module_that_reads_conversations_is_refused(annotate, tmp_path):
    stock().save_pretrained(tmp_path)
    annotate.tokenizer.chat_template = "{{ messages[0].content }}"
    annotate.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"reads texts only, but this one reads message, text.*SentenceModule\(model"):
        grammask.attach(embedder(Transformer(str(tmp_path))), "paper-sinks", annotator=annotate)
    model = guided(annotate)
    close(embedder(grammask.SentenceModule(model)).encode(TEXTS), by_hand(model, annotate, TEXTS))


def training(kind, loss, folder, **changes):
    settings = {"per_device_train_batch_size": 4, "report_to": [], "use_cpu": True, "disable_tqdm": True}
    return {"args": kind(output_dir=str(folder), num_train_epochs=1, **{**settings, **changes}), "loss": loss}


def words(number, seed):
    """Return texts of several lengths."""
    return [" ".join(text.split()[: 3 + place % 7]) for place, text in enumerate(sentences(number, seed=seed)[0])]


@pytest.mark.parametrize("cached", [False, True])
def test_a_loss_of_triplets_is_that_of_embeddings_by_hand(annotate, cached):
    model = guided(annotate)
    made = embedder(grammask.SentenceModule(model))
    columns = [words(6, 0), words(6, 1), [2 * f"{text} " for text in words(6, 2)]]  # of several lengths
    rows = [by_hand(model, annotate, texts) for texts in columns]
    scores = 20 * rows[0] @ torch.cat(rows[1:]).T
    expected = nn.functional.cross_entropy(scores, torch.arange(6))
    kind = CachedMultipleNegativesRankingLoss if cached else MultipleNegativesRankingLoss
    found = kind(made, **({"mini_batch_size": 4} if cached else {}))(
        [made.preprocess(texts) for texts in columns], None
    )
    torch.testing.assert_close(found.detach(), expected, atol=1e-5, rtol=0)
    found.backward()
    assert all(one.grad is not None for name, one in model.named_parameters() if "pooler" not in name)


def test_its_trainer_trains_and_keeps_the_best(annotate, tmp_path):
    made = embedder(grammask.SentenceModule(guided(annotate)))
    data = Dataset.from_dict({"anchor": words(8, 1), "positive": words(8, 2), "negative": words(8, 3)})
    best = {"save_strategy": "epoch", "eval_strategy": "epoch", "load_best_model_at_end": True}
    settings = training(
        SentenceTransformerTrainingArguments,
        MultipleNegativesRankingLoss(made),
        tmp_path,
        prompts={"anchor": "now "},
        **best,
    )
    before = made.encode(TEXTS)
    trainer = SentenceTransformerTrainer(model=made, train_dataset=data, eval_dataset=data, **settings)
    trainer.train()
    after = made.encode(TEXTS)
    assert abs(after - before).max() > 1e-4
    close(reload(next(tmp_path.glob("checkpoint-*"))).encode(TEXTS), after)


def test_the_trainer_of_cross_encoders_trains(annotate, tmp_path):
    made = CrossEncoder(
        modules=[grammask.SentenceModule(guided(annotate, BertForSequenceClassification, num_labels=1))], device="cpu"
    )
    data = Dataset.from_dict({"query": words(8, 1), "response": words(8, 2), "label": [0.0, 1.0] * 4})
    before = made.predict(PAIRS)
    settings = training(CrossEncoderTrainingArguments, BinaryCrossEntropyLoss(made), tmp_path, save_strategy="no")
    CrossEncoderTrainer(model=made, train_dataset=data, **settings).train()
    assert abs(made.predict(PAIRS) - before).max() > 1e-4
