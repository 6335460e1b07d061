"""Long texts to learn from: how documents are cut, which facts are put in, and which tokens count as what."""

import pytest
from helpers.language_models import bare_tokenizer

import grammask
from grammask.data.read_documents import Document
from grammask.errors import InputError
from grammask.induce.far_loss import costs_of
from grammask.induce.far_reads import is_name
from grammask.induce.long_texts import read_long_texts

SENTENCES = [f"Mr Ross saw film {number} in Berlin, and nobody else did." for number in range(400)]


@pytest.fixture(scope="module")
def annotate():
    return grammask.Annotator(bare_tokenizer(), cache=False)


def document(annotate, tokens: int) -> Document:
    """Return a document of about so many tokens."""
    text = ""
    for sentence in SENTENCES:
        text += f"{sentence} "
        if len(annotate.tokenizer(text)["input_ids"]) >= tokens:
            break
    return Document("film.txt", text)


def test_facts_stand_in_the_text_and_questions_behind_it(annotate):
    (text,) = read_long_texts(annotate, [document(annotate, 1_000)], 1_300)
    decode, ids = annotate.tokenizer.decode, text.input_ids[0]
    written = decode(ids)
    asked = decode(ids[text.asked :])
    answers = decode(ids[text.of_answers])
    facts = decode(ids[: text.asked][~text.of_text[: text.asked]])
    assert written.endswith(asked)
    assert not text.of_text[text.asked :].any()
    assert decode(ids[text.of_text]).startswith("Mr Ross saw film 0 in Berlin")
    found = [answer for answer in answers.split() if answer in facts]
    assert found == answers.split()
    assert len(found) >= 2  # one for each distance
    assert asked.count("?") + asked.count(":") >= 0, asked
    assert ids.shape == text.tag_ids[0].shape == text.word_ids[0].shape == text.of_text.shape == text.of_answers.shape


def test_long_documents_are_cut_into_parts_and_none_outweighs_the_others(annotate):
    read = read_long_texts(annotate, [document(annotate, 600), document(annotate, 5_000)], 800)
    assert len(read) == 1 + 4
    lengths = [text.input_ids.shape[1] for text in read]
    assert lengths[0] == pytest.approx(620, abs=25)
    assert all(length <= 800 for length in lengths[1:])
    firsts = {annotate.tokenizer.decode(text.input_ids[0, :40]) for text in read[1:]}
    assert len(firsts) == 4


def test_texts_that_leave_no_room_for_facts_are_refused(annotate):
    with pytest.raises(InputError, match=r"film.txt has \d+ tokens, but --from loss needs texts of at least 512"):
        read_long_texts(annotate, [document(annotate, 300)], 800)


def test_costs_are_counted_on_the_texts_as_they_were_written(annotate):
    read = read_long_texts(annotate, [document(annotate, 1_500)], 1_000)
    costs = costs_of(read, 1_000)
    tags = [text.tag_ids[0, text.of_text] for text in read]
    words = [text.word_ids[0, text.of_text].unique().numel() for text in read]
    assert costs.words == 1_000 * sum(words) // sum(len(of) for of in tags)
    assert costs.names == pytest.approx(sum(int(is_name(of).sum()) for of in tags) / sum(len(of) for of in tags))
