"""Training taggers of subwords: what they are taught, that they learn it, and what is measured."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers.conllu import CONLLU
from helpers.tiny_models import tiny_model
from helpers.tokenizers_for_tests import CORPUS, PatternTagger, tokenizer

from grammask.errors import ExperimentError, InputError
from grammask.experiment.taggers.check_tagger import check_tagger
from grammask.experiment.taggers.learner import Learner
from grammask.experiment.taggers.lessons import NO_LESSON, draw_rows, make_lessons
from grammask.experiment.taggers.reader import read_lessons, teach_reader
from grammask.experiment.taggers.reader_lessons import reader_lessons
from grammask.experiment.taggers.score_tagger import score_tagger
from grammask.experiment.taggers.spelling import PARTS, spelling_table
from grammask.experiment.taggers.tagged_texts import TaggedTexts, treebank_texts
from grammask.experiment.taggers.tagger_config import make_tagger_config
from grammask.experiment.taggers.train_tagger import train_tagger
from grammask.grammar.tags import TAG_IDS, TAGS
from grammask.model.named_models import find_model
from grammask.tagging.subwords.network import TagLayers
from grammask.tagging.subwords.pieces import plain_tokenizer
from grammask.tagging.subwords.subword_tagger import SubwordTagger

FRENCH = """1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_
1\tde\tde\tADP\t_\t_\t0\troot\t_\t_
2\tle\tle\tDET\t_\t_\t1\tdet\t_\t_
3\tpain\tpain\tNOUN\t_\t_\t1\tobl\t_\tSpaceAfter=No
4\t!\t!\tPUNCT\t_\t_\t1\tpunct\t_\t_

"""


def known(texts=CORPUS[:4]):
    return TaggedTexts(texts, list(PatternTagger().tag(texts)))


def words_of(tagged):
    (text,), (words,) = tagged.texts, tagged.words
    return text, [(text[a:b], TAGS[t]) for a, b, t in zip(words.starts, words.ends, words.tag_ids, strict=True)]


def test_a_treebank_is_read_as_it_was_written(tmp_path):
    (tmp_path / "a.conllu").write_text(CONLLU)
    assert words_of(treebank_texts(tmp_path / "a.conllu", None)) == (
        "Dogs don't bark", [("Dogs", "NOUN"), ("do", "AUX"), ("n't", "PART"), ("bark", "VERB")],
    )  # fmt: skip
    (tmp_path / "b.conllu").write_text(FRENCH * 3)
    assert words_of(treebank_texts(tmp_path / "b.conllu", 1)) == (
        "du pain!", [("du", "ADP"), ("pain", "NOUN"), ("!", "PUNCT")],
    )  # fmt: skip
    (tmp_path / "c.conllu").write_text(FRENCH.replace("NOUN", "NOON"))
    with pytest.raises(InputError, match="c.conllu, sentence without sent_id, word 3 .*'NOON'"):
        treebank_texts(tmp_path / "c.conllu", None)


def test_lessons_are_the_words_of_the_subwords():
    own = plain_tokenizer(tokenizer("wordpiece").backend_tokenizer)
    lessons = make_lessons(own, known())
    _, _, tags, begins = lessons.columns
    assert lessons.size == lessons.bounds[-1] == len(tags)
    assert set(tags) == {TAG_IDS["NOUN"], TAG_IDS["PUNCT"]}
    assert begins.sum() == sum(map(len, known().words))
    rows = list(draw_rows(lessons, np.random.default_rng(0), size=30, gap=2))
    assert len(rows) > 1
    assert sum(int(row.real.sum()) for row in rows) == lessons.size
    assert all((row.tags[~row.real] == NO_LESSON).all() for row in rows)


def test_what_was_learnt_is_what_answers():
    torch.manual_seed(0)
    spelling = spelling_table({"##ly": 0, "quick": 1, "slow": 2}, 4)
    assert int(spelling.max()) < PARTS
    for vectors in (None, torch.randn(4, 7)):
        learner = Learner(spelling, vectors, TagLayers(8, 6, (1,), 0.5), 8, 0.5).eval()
        ids, cues, real = torch.tensor([1, 0, 2]), torch.tensor([2, 1, 0]), torch.ones(3, dtype=torch.bool)
        torch.testing.assert_close(learner.learnt()(ids, cues, real), learner(ids, cues, real))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Save a small model with its tokenizer: all that a tagger's training reads of one, in no time."""
    folder, own = tmp_path_factory.mktemp("small"), tokenizer("wordpiece")
    tiny_model("bert", vocab_size=len(own)).save_pretrained(folder)
    own.save_pretrained(folder)
    return str(folder)


def test_a_tagger_is_as_wide_as_asked(tmp_path, small):
    (tmp_path / "dogs.conllu").write_text(CONLLU)
    dogs = {"model": small, "conllu": tmp_path / "dogs.conllu", "held_out": tmp_path / "dogs.conllu"}
    tagger = train_tagger(make_tagger_config(**dogs, epochs=1, inside=12, width=10), lambda _: None).tagger
    tagger.save_beside(tmp_path)
    network = SubwordTagger.load(str(tmp_path)).network
    assert (network.pieces.weight.shape[1], network.layers.answer.in_features) == (12, 10)
    assert {"inside": 12, "width": 10}.items() <= tagger.taught["settings"].items()


def test_a_tagger_learns_what_it_is_taught(tmp_path, small):
    text = tmp_path / "text.txt"
    text.write_text("\n".join(f"{one} {number}" for number in range(8) for one in CORPUS[:4]))
    (tmp_path / "dogs.conllu").write_text(CONLLU)
    dogs = {"model": small, "conllu": tmp_path / "dogs.conllu", "held_out": tmp_path / "dogs.conllu"}
    config = make_tagger_config(**dogs, epochs=30, name="dogs")
    said = []
    trained = train_tagger(config, said.append)
    assert trained.tagger.name == "dogs"
    (score,) = trained.scores.values()
    assert (score.texts, score.words, score.accuracy) == (1, 4, 1)
    assert trained.tagger.taught["settings"]["conllu"] == "dogs.conllu"
    again = train_tagger(config, said.append)
    assert again.tagger.version == trained.tagger.version
    trained.tagger.save_beside(tmp_path / "dogs")
    checked = check_tagger(str(tmp_path / "dogs"), conllu=None, text=text, teacher=str(tmp_path / "dogs"), limit=5)
    (score,) = checked.scores.values()
    assert (score.texts, score.accuracy, score.parting) == (5, 1, 1)
    assert checked.speed.network > checked.speed.texts > 0
    assert score_tagger(trained.tagger, known()).accuracy < 1
    said.clear()
    both = train_tagger(make_tagger_config(**dogs, text=text, teacher=str(tmp_path / "dogs"), epochs=30), said.append)
    assert [line.split()[1] for line in said if line.startswith("teaching")] == ["28", "1"]  # the treebank last
    assert both.tagger.taught["texts"] == 29
    assert [(score.texts, score.accuracy) for score in both.scores.values()][1] == (1, 1)


def test_a_model_teaches_what_it_learns_of_a_treebank(tmp_path, small):
    text = tmp_path / "text.txt"
    text.write_text("\n".join([*CORPUS[:4], "", " ".join(CORPUS[:4] * 9)]))  # the last has more than its positions
    (tmp_path / "dogs.conllu").write_text(CONLLU)
    dogs = {"conllu": tmp_path / "dogs.conllu", "held_out": tmp_path / "dogs.conllu"}
    said = []
    config = make_tagger_config(model=small, **dogs, text=text, model_teaches=True, epochs=40)
    trained = train_tagger(config, said.append)
    (score,) = trained.scores.values()
    assert score.accuracy == 1
    assert "learns 1 texts, and tags 5 others" in said[0]
    assert trained.tagger.taught["settings"]["model_teaches"]
    assert train_tagger(config, said.append).tagger.version == trained.tagger.version


def test_what_a_reader_says_is_what_its_model_says(small):
    source = find_model(small)
    own = plain_tokenizer(tokenizer("wordpiece").backend_tokenizer)
    lessons = make_lessons(own, known([*CORPUS[:4], "Dogs bark. " * 60]))
    reader = teach_reader(source, lessons, 0)
    found = read_lessons(reader, lessons)
    assert reader.length == 80
    (ids, cues, _, _), bounds = torch.from_numpy(lessons.columns), lessons.bounds
    for start, end in [*pairwise(bounds[:5]), (bounds[4], bounds[4] + 80), (bounds[4] + 80, bounds[4] + 160)]:
        vectors = reader.model.get_input_embeddings()(ids[start:end]) + reader.cues(cues[start:end])
        with torch.no_grad():
            answers = reader.answer(reader.model(inputs_embeds=vectors[None]).last_hidden_state[0])
        likely = torch.cat([answers[:, :-1].softmax(-1), answers[:, -1:].sigmoid()], 1).numpy()
        assert np.abs(found[start:end] - likely).max() < 2e-2  # it reads in bfloat16 where a processor has that


def test_what_is_right_counts_more_than_what_a_reader_says(small):
    own = plain_tokenizer(tokenizer("wordpiece").backend_tokenizer)
    treebank = make_lessons(own, known())
    reader = teach_reader(find_model(small), treebank, 0)
    found = reader_lessons(reader, treebank, CORPUS[4:6], own)
    tags, said = treebank.columns[2], read_lessons(reader, treebank).astype(np.float64)
    assert (tags != NO_LESSON).all()
    expected = 0.3 * said
    expected[np.arange(len(tags)), tags] += 0.7
    expected[:, -1] += 0.7 * treebank.columns[3]
    np.testing.assert_allclose(found.said[: len(tags)], expected, atol=2e-3)
    assert len(found) == 3 * len(treebank) + 2
    assert found.size == found.bounds[-1] == len(found.said)
    assert (found.columns[2:, 3 * treebank.size :] == NO_LESSON).all()
    rows = list(draw_rows(found, np.random.default_rng(0), size=50, gap=2))
    assert sum(int(row.real.sum()) for row in rows) == found.size
    for row in rows:
        assert (row.said[row.real, :-1].sum(1) - 1).abs().max() < 5e-3


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "nothing to learn from"),
        ({"text": "a.txt", "model_teaches": True}, "--model-teaches needs --conllu and --text"),
        ({"conllu": "a", "model_teaches": True}, "--model-teaches needs --conllu and --text"),
        ({"conllu": "a", "text": "a.txt", "teacher": "x", "model_teaches": True}, "takes the place of --teacher"),
        ({"text": "a.txt"}, "belong together"),
        ({"teacher": "x", "conllu": "a"}, "belong together"),
        ({"conllu": "a", "epochs": 0}, "epochs"),
        ({"conllu": "a", "width": 7}, "width"),
        ({"conllu": "a", "inside": 2000}, "inside"),
    ],
)
def test_wrong_settings_are_named(settings, says):
    with pytest.raises(ExperimentError, match=says):
        make_tagger_config(**settings)


def test_too_few_texts_to_hold_some_out_are_refused():
    with pytest.raises(InputError, match="there are 4 texts, but each 10th is held out"):
        known().split(10)
