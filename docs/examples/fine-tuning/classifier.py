"""Fine-tunes an encoder on what `weir data export --for classification` wrote, and exports it to ONNX.

One GPU with 12 GB is enough for ModernBERT-base or DeBERTa-v3-base at 512 tokens:

    pip install "transformers>=4.48" "datasets>=3" "accelerate>=1" "optimum[onnxruntime]>=1.24"
    python classifier.py EXPORT MODEL --base answerdotai/ModernBERT-base

EXPORT is the exported folder. MODEL gets config.json, tokenizer.json, model.onnx, golden.jsonl and the export's
weir-export.json: `weir import MODEL --strong A --weak B --golden MODEL/golden.jsonl` takes it back.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from datasets import load_dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    Trainer,
    TrainingArguments,
)


class SoftLabelTrainer(Trainer):
    """Cross-entropy against shares: a tie is half a win of each model, not a class of its own."""

    def compute_loss(self, model, inputs, return_outputs=False, **_):
        labels = inputs.pop("labels").float()
        outputs = model(**inputs)
        loss = torch.nn.functional.cross_entropy(outputs.logits.float(), labels)
        return (loss, outputs) if return_outputs else loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("export", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--base", default="answerdotai/ModernBERT-base")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-5)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()

    about = json.loads((given.export / "weir-export.json").read_text(encoding="utf-8"))
    names = about["classes"]
    tokenizer = AutoTokenizer.from_pretrained(given.base)
    model = AutoModelForSequenceClassification.from_pretrained(
        given.base,
        num_labels=len(names),
        id2label=dict(enumerate(names)),
        label2id={name: i for i, name in enumerate(names)},
        problem_type="single_label_classification",
    )
    files = {split: str(given.export / f"{split}.jsonl") for split in ("train", "validation")}
    rows = load_dataset("json", data_files=files).map(
        lambda row: tokenizer(row["text"], truncation=True, max_length=given.tokens),
        batched=True,
        remove_columns=["text"],
    )
    checkpoints = given.model / "checkpoints"
    trainer = SoftLabelTrainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(checkpoints),
            num_train_epochs=given.epochs,
            per_device_train_batch_size=given.batch,
            per_device_eval_batch_size=2 * given.batch,
            learning_rate=given.rate,
            warmup_ratio=0.06,
            weight_decay=0.01,
            eval_strategy="epoch",
            save_strategy="epoch",
            load_best_model_at_end=True,
            save_total_limit=1,
            bf16=torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
            seed=given.seed,
            report_to="none",
        ),
        train_dataset=rows["train"],
        eval_dataset=rows["validation"],
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=[EarlyStoppingCallback(early_stopping_patience=1)],
    )
    trainer.train()
    best = given.model / "pytorch"
    trainer.save_model(str(best))
    tokenizer.save_pretrained(best)

    from optimum.exporters.onnx import main_export

    main_export(str(best), output=given.model, task="text-classification")
    shutil.copy(given.export / "weir-export.json", given.model / "weir-export.json")

    # outputs in Python on some validation texts, which `weir import --golden` must meet
    model = AutoModelForSequenceClassification.from_pretrained(best).eval()
    with open(files["validation"], encoding="utf-8") as lines, open(
        given.model / "golden.jsonl", "w", encoding="utf-8"
    ) as golden:
        for line, _ in zip(lines, range(50)):
            text = json.loads(line)["text"]
            batch = tokenizer(text, truncation=True, max_length=given.tokens, return_tensors="pt")
            with torch.no_grad():
                logits = model(**batch).logits[0].tolist()
            golden.write(json.dumps({"text": text, "logits": logits}) + "\n")


if __name__ == "__main__":
    main()
