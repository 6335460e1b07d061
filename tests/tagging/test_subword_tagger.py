"""The tagger of subwords: where words begin and end, what is saved, and that nothing of it needs spaCy."""

import json
import pickle

import numpy as np
import pytest
import torch
from helpers.fresh_process import run_fresh
from helpers.subword_taggers import random_tagger
from helpers.tokenizers_for_tests import CORPUS, FAMILIES, PatternTagger, tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

import grammask
from grammask.errors import InputError, TaggingError
from grammask.grammar.tags import TAG_IDS, TAGS, UPOS
from grammask.tagging.load_tagger import load_tagger
from grammask.tagging.subwords.network import TagLayers
from grammask.tagging.subwords.pieces import CUES, find_pieces, plain_tokenizer
from grammask.tagging.subwords.subword_tagger import SubwordTagger
from grammask.tagging.subwords.word_answers import number_sentences
from grammask.tagging.tagger_checks import CheckedTagger

TEXTS = [
    *CORPUS[:4],
    "",
    "  \n",
    "caf\u00e9 \U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 x",
    "\u0130stanbul [SEP] a.b",
]


def spelled(text, tagged):
    return [text[start:end] for start, end in zip(tagged.starts, tagged.ends, strict=True)]


@pytest.mark.parametrize("family", FAMILIES)
def test_words_are_runs_of_subwords_that_white_space_parts(family):
    for text, tagged in zip(TEXTS, CheckedTagger(random_tagger(family)).tag(TEXTS), strict=True):
        words = spelled(text, tagged)
        assert not [word for word in words if any(map(str.isspace, word))]
        if family != "spaces":  # knows no word but those of its corpus
            assert "".join(words) == "".join(text.split())
        assert set(tagged.starts) >= {text.index(part) for part in text.split()[:1]}


@settings(max_examples=30)
@given(st.lists(st.text(max_size=30), max_size=5))
def test_a_text_has_the_same_words_alone_and_among_others(texts):
    own = CheckedTagger(random_tagger("bytes"))
    for text, tagged in zip(texts, own.tag(texts), strict=True):
        (alone,) = own.tag([text])
        for name in ("starts", "ends", "tag_ids", "sentence_ids"):
            assert np.array_equal(getattr(alone, name), getattr(tagged, name))


def test_windows_change_no_answer(monkeypatch):
    network, generator = random_tagger().network, torch.Generator().manual_seed(1)
    ids = torch.randint(0, network.pieces.num_embeddings, (700,), generator=generator)
    cues = torch.randint(0, CUES, (700,), generator=generator)
    texts = torch.randint(0, 2, (700,), generator=generator).cumsum(0) // 40
    whole = network.read_texts(ids, cues, texts)
    monkeypatch.setattr("grammask.tagging.subwords.network._WINDOW", 37)
    torch.testing.assert_close(network.read_texts(ids, cues, texts), whole)
    alone = torch.cat([network.read_texts(ids[texts == n], cues[texts == n], texts[texts == n] * 0) for n in range(9)])
    torch.testing.assert_close(alone, whole[texts < 9])


def test_texts_are_read_as_one_row_with_gaps():
    network, generator = random_tagger().network, torch.Generator().manual_seed(2)
    texts = torch.tensor([0] * 30 + [1] + [3] * 20)
    ids = torch.randint(0, network.pieces.num_embeddings, texts.shape, generator=generator)
    cues = torch.randint(0, CUES, texts.shape, generator=generator)
    places = torch.arange(len(texts)) + 2 * texts  # the longest step
    row = torch.zeros(3, int(places[-1]) + 1, dtype=torch.long)
    row[:, places] = torch.stack([ids, cues, torch.ones_like(ids)])
    with torch.no_grad():
        expected = network(row[0], row[1], row[2] > 0)[places]
    torch.testing.assert_close(network.read_texts(ids, cues, texts), expected)
    assert network.read_texts(ids[:0], cues[:0], texts[:0]).shape == (0, expected.shape[1])


def test_layers_are_a_convolution():
    layers = TagLayers(4, 6, (2,))
    found = torch.randn(11, 4)
    weight = layers.reads[0].weight.reshape(6, 3, 4).transpose(1, 2)
    hidden = torch.nn.functional.conv1d(found.T[None], weight, layers.reads[0].bias, padding=2, dilation=2)[0].T.relu()
    torch.testing.assert_close(layers(found, torch.ones(11, dtype=torch.bool)), layers.answer(hidden))
    assert layers.reach == 2


def test_spaces_and_capitals_are_seen_where_the_tokenizer_loses_them():
    pieces = find_pieces(plain_tokenizer(tokenizer("wordpiece").backend_tokenizer), ["He SAID (so", "x"])
    joined = "He SAID (so\nx"
    seen = dict(zip([joined[s:e] for s, e in zip(pieces.starts, pieces.ends, strict=True)], pieces.cues, strict=True))
    assert seen["("] == 2
    assert seen["x"] == 2
    assert {cue for part, cue in seen.items() if part.islower()} <= {1, 2}
    assert not {cue for part, cue in seen.items() if part.isupper()} & {1, 2}


def test_sentences_end_as_the_sentencizer_has_it():
    of = dict.fromkeys("ab", TAG_IDS["NOUN"]) | dict.fromkeys('.!"', TAG_IDS["PUNCT"])
    for text, expected in (("ab.ab", "00011"), ('a."b', "0001"), ('"a."', "0000"), ("a!!b", "0001"), ("!a", "01")):
        tags, ends = torch.tensor([of[c] for c in text]), torch.tensor([c in ".!" for c in text])
        first = torch.arange(len(text)) == 0
        assert "".join(map(str, number_sentences(tags, ends, first).tolist())) == expected


def test_tokens_of_a_batch_are_tagged_without_their_text():
    own = tokenizer("wordpiece")
    encoded = own(["He nodded. Nobody complained!", "She"], ["It's so.", "I"], padding=True, return_tensors="pt")
    ids, mask = encoded["input_ids"], encoded["attention_mask"]
    found = random_tagger().tag_tokens(ids, mask)
    assert {name: tuple(column.shape) for name, column in found.items()} == dict.fromkeys(
        ("tag_ids", "word_ids", "sentence_ids"), tuple(ids.shape)
    )
    real = found["tag_ids"] < len(UPOS)
    assert torch.equal(found["word_ids"] >= 0, real)
    assert torch.equal(found["sentence_ids"] >= 0, real)
    assert [TAGS[tag] for tag in found["tag_ids"][1][~real[1]]] == [
        "[CLS]",
        "[SEP]",
        "[SEP]",
        *["[PAD]"] * int((mask[1] == 0).sum()),
    ]
    first, second = found["word_ids"][0][ids[0] == own.sep_token_id].shape[0], found["word_ids"][0].max()
    assert first == 2
    assert second > 1_000_000
    alone = random_tagger().tag_tokens(ids[1:, : int(mask[1].sum())])
    assert all(torch.equal(alone[name][0], found[name][1, : alone[name].shape[1]]) for name in found)


@pytest.mark.parametrize(
    "wrong", [torch.zeros(3), torch.zeros(3, dtype=torch.long), torch.full((1, 2), 10**6), torch.full((1, 2), -1)]
)
def test_what_are_no_tokens_is_refused(wrong):
    with pytest.raises(InputError, match="input_ids"):
        random_tagger().tag_tokens(wrong)


def test_a_tagger_is_saved_with_an_annotator_and_comes_back(tmp_path):
    annotate = grammask.Annotator(tokenizer("wordpiece"), random_tagger(), cache=False)
    annotate.save_pretrained(tmp_path)
    again = grammask.Annotator.from_pretrained(tmp_path, cache=False)
    assert again.settings == annotate.settings
    assert again.settings.tagger.kind == "subwords"
    assert again(CORPUS[:4]).data == annotate(CORPUS[:4]).data
    assert load_tagger(str(tmp_path)).version == random_tagger().version
    assert not [file for file in tmp_path.iterdir() if file.suffix in (".pkl", ".pt", ".bin", ".py")]
    with pytest.raises(TaggingError, match="parses nothing"):
        load_tagger(str(tmp_path), sentences="parser")


def test_a_pickled_tagger_is_the_same():
    other = pickle.loads(pickle.dumps(random_tagger()))  # noqa: S301 - our own
    assert other.version == random_tagger().version
    found, expected = ([one.tag_ids.tolist() for one in own.tag(TEXTS)] for own in (other, random_tagger()))
    assert found == expected
    assert random_tagger("bytes").version != random_tagger().version


@pytest.mark.parametrize("name", ["", "_tokenizer"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"format": 2}', b'{"format": 1}', bytes(range(256))])
def test_damaged_json_is_one_line(tmp_path, name, content):
    damaged(tmp_path, f"grammask_tagger{name}.json", content)


@pytest.mark.parametrize("content", [None, b"", b"\0" * 100, bytes(range(256)), b"\xff" * 8 + b"{}"])
def test_damaged_weights_are_one_line(tmp_path, content):
    damaged(tmp_path, "grammask_tagger.safetensors", content)


@pytest.mark.parametrize("change", ["pieces", "cues", "layers.answer.weight", "layers.reads.0.weight", "nan"])
def test_weights_that_do_not_fit_are_one_line(tmp_path, change):
    from safetensors.torch import load, save

    random_tagger().save_beside(tmp_path)
    tensors = load((tmp_path / "grammask_tagger.safetensors").read_bytes())
    if change == "nan":
        tensors["cues"][0, 0] = torch.nan
    else:
        tensors[change] = tensors[change][:1, :3].contiguous()
    damaged(tmp_path, "grammask_tagger.safetensors", save(tensors))


@pytest.mark.parametrize("highest", [10**5, 2**32 - 1])
def test_a_vocabulary_with_gaps_is_refused_though_it_is_small(tmp_path, highest):
    spelled = changed_vocabulary(tmp_path, lambda words: words.update({next(iter(words)): highest}))
    damaged(tmp_path, "grammask_tagger_tokenizer.json", spelled)


def test_texts_that_the_tokenizer_cannot_split_are_one_line(tmp_path):
    spelled = changed_vocabulary(tmp_path, lambda words: words.pop("[UNK]"))
    (tmp_path / "grammask_tagger_tokenizer.json").write_bytes(spelled)
    with pytest.raises(TaggingError, match="cannot split") as raised:
        list(SubwordTagger.load(tmp_path).tag(["\u4e00"]))
    assert "\n" not in str(raised.value)


def changed_vocabulary(folder, change):
    """Save a tagger and return its tokenizer's file with another vocabulary."""
    random_tagger().save_beside(folder)
    spelled = json.loads((folder / "grammask_tagger_tokenizer.json").read_bytes())
    change(spelled["model"]["vocab"])
    return json.dumps(spelled).encode()


def damaged(folder, file, content):
    grammask.Annotator(tokenizer("wordpiece"), random_tagger(), cache=False).save_pretrained(folder)
    (folder / file).unlink() if content is None else (folder / file).write_bytes(content)
    for load in (SubwordTagger.load, grammask.Annotator.from_pretrained):
        with pytest.raises(TaggingError, match="grammask_tagger|tokenizer|tagger") as raised:
            load(folder)
        assert "\n" not in str(raised.value)


def test_nothing_of_it_needs_spacy(tmp_path):
    grammask.Annotator(tokenizer("wordpiece"), random_tagger(), cache=False).save_pretrained(tmp_path)
    code = (
        "import sys; sys.modules['spacy'] = None; import grammask;"
        "annotate = grammask.Annotator.from_pretrained(sys.argv[1], cache=False);"
        "print(annotate(['He nodded.'])['tag_ids'])"
    )
    expected = grammask.Annotator(tokenizer("wordpiece"), random_tagger(), cache=False)(["He nodded."])["tag_ids"]
    assert run_fresh(code, tmp_path).stdout.strip() == str(expected)


def test_other_taggers_bring_no_files(tmp_path):
    grammask.Annotator(tokenizer("wordpiece"), PatternTagger(), cache=False).save_pretrained(tmp_path)
    assert not list(tmp_path.glob("grammask_tagger*"))
