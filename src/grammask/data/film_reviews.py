"""The built-in task: sentences from film reviews, rated by people (Hutto and Gilbert 2014, see data/README.md)."""

from importlib.resources import files

from .task import Split, Task, is_in_dev

_DEV_SHARE = 0.1


def film_reviews() -> Task:
    """Return the built-in sentences as a task: positive or negative, by the sign of the rating.

    Sentences rated exactly 0 and repeated sentences are left out. About a tenth is dev, chosen by the hash of the text.
    """
    content = (files("grammask") / "data" / "film_reviews.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in content.split("\n")[1:-1]]
    kept = {text: (name, float(rating)) for name, rating, text in reversed(rows) if float(rating) != 0}
    texts = tuple(reversed(kept))
    everything = Split(
        ids=tuple(kept[text][0] for text in texts),
        texts=texts,
        pairs=None,
        labels=tuple(int(kept[text][1] > 0) for text in texts),
    )
    in_dev = is_in_dev(texts, share=_DEV_SHARE)
    train = everything.select([index for index, dev in enumerate(in_dev) if not dev])
    dev = everything.select([index for index, dev in enumerate(in_dev) if dev])
    return Task(
        name="film-reviews",
        source="built-in; Hutto and Gilbert 2014, film-review sentences with human ratings",
        label_names=("negative", "positive"),
        train=train,
        dev=dev,
        note=f"{len(texts):,} sentences from film reviews, positive or negative by the mean of human ratings: "
        f"{len(train):,} train, {len(dev):,} dev; ratings of 0 and repeated sentences are left out",
    )


def film_review_texts() -> tuple[str, ...]:
    """Return the texts of the built-in dev split."""
    return film_reviews().dev.texts
