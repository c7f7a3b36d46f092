"""Fine-tunes a language model with LoRA on what `weir data export --for sft` wrote.

One GPU with 16 GB is enough for a model of 1 to 3 billion parameters:

    pip install "trl>=0.16" "peft>=0.14" "datasets>=3" "accelerate>=1"
    python sft.py EXPORT MODEL --base Qwen/Qwen2.5-1.5B-Instruct

EXPORT is the exported folder. The adapter is merged into MODEL, which vLLM or llama.cpp then serves.
"""

import argparse
from pathlib import Path

import torch
from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("export", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--base", default="Qwen/Qwen2.5-1.5B-Instruct")
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()

    files = {split: str(given.export / f"{split}.jsonl") for split in ("train", "validation")}
    # the answer, one label, is learned; the request before it is not
    rows = load_dataset("json", data_files=files).map(
        lambda row: {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]},
        remove_columns=["messages", "win_rate"],
    )
    trainer = SFTTrainer(
        model=given.base,
        args=SFTConfig(
            output_dir=str(given.model / "checkpoints"),
            num_train_epochs=given.epochs,
            per_device_train_batch_size=4,
            gradient_accumulation_steps=4,
            learning_rate=1e-4,
            max_length=given.tokens,
            completion_only_loss=True,
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
        peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    trainer.train()
    merged = trainer.model.merge_and_unload()
    merged.save_pretrained(given.model)
    AutoTokenizer.from_pretrained(given.base).save_pretrained(given.model)


if __name__ == "__main__":
    main()
