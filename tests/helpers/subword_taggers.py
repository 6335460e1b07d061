"""A tagger of subwords with random weights."""

import json
from functools import cache

import torch
from helpers.tokenizers_for_tests import tokenizer

from grammask.grammar.tags import TAGS
from grammask.tagging.align import Aligner
from grammask.tagging.subwords.network import TagLayers, TagNetwork
from grammask.tagging.subwords.pieces import CUES
from grammask.tagging.subwords.saved_network import SubwordSettings, TaggerFiles, pack_network
from grammask.tagging.subwords.subword_tagger import SubwordTagger


@cache
def random_tagger(family: str = "wordpiece") -> SubwordTagger:
    """Return a tagger with random weights: what holds for it holds for any."""
    torch.manual_seed(0)
    own = tokenizer(family)
    network = TagNetwork(torch.randn(len(own), 16), torch.randn(CUES, 16), TagLayers(16, 12, (1, 2)).eval())
    structure = {str(token): TAGS[tag] for token, tag in Aligner(own).structural.items()}
    made = SubwordSettings(name="random", steps=(1, 2), structure=structure)
    content = json.dumps(made.model_dump(mode="json")).encode()
    return SubwordTagger(TaggerFiles(content, pack_network(network), own.backend_tokenizer.to_str().encode()))
