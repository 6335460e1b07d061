"""The explanation of a text: plain data, for pages, files and notebooks."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from ..report.explain_page import explain_page
from .answers import PredictedToken
from .arcs import Arc
from .sources import Source


@dataclass(frozen=True)
class Word:
    """A word, or a token that belongs to none (`is_word` False), with its tag.

    `importance` is what it adds to the probability of the answered label, or to the log-probability of the explained
    token, by integrated gradients; `through_rules` is the same by the rules that read it, see
    `importance_through_rules`. `hops` is the number of reads by which it reaches the token that answers, None where it
    cannot.
    """

    text: str
    tag: str
    is_word: bool
    importance: float
    through_rules: float
    hops: int | None


@dataclass(frozen=True)
class Ablation:
    """A rule switched off: the change of the answer's probability, and of its logarithm, without the rule less with it.

    `share` is its causal share: the size of its change (of a token's log-probability) relative to the sum over all
    rules of words that were switched off, 0 where none changes anything. It is None for a rule by which only structural
    tokens read, such as [CLS]: without it the classifier sees nothing at all.
    """

    source: int
    change: float
    log_change: float
    share: float | None


@dataclass(frozen=True)
class Explanation:
    """The explanation of one text. `mass` is (layers, sources), and each layer sums to 1.

    Wherever a source is a number, it is its index in `sources`.

    A classifier answers with a label. A language model's answer is the token that `token` says, and `label` spells;
    `probabilities` then holds it and the likeliest, and `words` what was read before it. `answered_at` is the index of
    the word by which the model answers: [CLS], or the last.

    `words_cut` counts the words that the model doesn't read, since the text is longer than its input: those at the
    text's beginning where `is_cut_before`, as the tokenizer's truncation side says, else those at its end.
    """

    text: str
    label: str
    probabilities: dict[str, float]
    token: PredictedToken | None
    words: tuple[Word, ...]
    answered_at: int
    words_cut: int
    is_cut_before: bool
    sources: tuple[Source, ...]
    layers: tuple[int, ...]
    mass: tuple[tuple[float, ...], ...]
    arcs: tuple[Arc, ...]
    ablations: tuple[Ablation, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Explanations(Sequence[Explanation]):
    """The explanations of several texts by one model; in a notebook they show as their page."""

    grammar: str
    strategy: str
    model: str
    texts: tuple[Explanation, ...]

    def __getitem__(self, index: Any) -> Any:
        return self.texts[index]

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[Explanation]:
        return iter(self.texts)

    def to_dict(self) -> dict[str, Any]:
        """Return the explanations as plain data for JSON."""
        return {"grammar": self.grammar, "strategy": self.strategy, "model": self.model,
                "texts": [text.to_dict() for text in self.texts]}  # fmt: skip

    def _repr_html_(self) -> str:
        """Return the page in a frame of its own, for notebooks: its styles and its script stay inside."""
        page = escape(explain_page(self.to_dict()))
        return (
            f'<iframe srcdoc="{page}" sandbox="allow-scripts" style="width: 100%; height: 40rem; border: 0"></iframe>'
        )
