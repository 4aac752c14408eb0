"""dSFT: supervised fine-tuning on a teacher's dialogues (section 3.1, equation 1 of the paper)."""

from pathlib import Path
from typing import Any

from zephyr.recipe import CptRecipe, SftRecipe
from zephyr.train.adapters import build, check
from zephyr.train.guards import GuardedSFTTrainer
from zephyr.train.loop import prepare_first, start, train
from zephyr.train.model import load_tokenizer
from zephyr.train.to_trl import sft_arguments


def run(recipe: CptRecipe | SftRecipe, run_dir: Path) -> dict[str, Any]:
    """Trains on prepared sequences and leaves `model/`; returns the parts of `result.json`."""
    batch = start(recipe)
    stack = check(recipe)
    arguments = sft_arguments(recipe, run_dir, batch)
    prepared = prepare_first(recipe, arguments)
    tokenizer = load_tokenizer(recipe.model, prepared.template)
    trainer = build(
        GuardedSFTTrainer,
        recipe,
        stack,
        run_dir,
        tokenizer,
        args=arguments,
        train_dataset=prepared.train,
        eval_dataset=prepared.eval,
    )
    if recipe.data.packing == "bfd_split":
        trainer.keep_documents_apart()
    return train(trainer, recipe, run_dir, batch, prepared)
