"""dDPO: direct preference optimization on AI feedback (section 3.3, equation 2 of the paper).

The policy starts as the dSFT model, and the reference is that same model, kept as it was.
"""

import logging
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list

from zephyr.plan.stack import Stack
from zephyr.recipe import DpoRecipe
from zephyr.train.adapters import build, check
from zephyr.train.guards import GuardedDPOTrainer
from zephyr.train.loop import prepare_first, start, train
from zephyr.train.model import load_tokenizer
from zephyr.train.reference_key import (
    Stamps,
    digest_of,
    reference_files,
    reference_key,
    require_unchanged,
    stamps_before_loading,
)
from zephyr.train.reference_store import folder_of
from zephyr.train.stored_reference import files_are_hashed_instead
from zephyr.train.to_trl import dpo_arguments

log = logging.getLogger("zephyr")


def run(recipe: DpoRecipe, run_dir: Path) -> dict[str, Any]:
    """Trains on prepared pairs and leaves `model/`; returns the parts of `result.json`."""
    batch = start(recipe)
    stack = check(recipe)
    arguments = dpo_arguments(recipe, run_dir, batch)
    prepared = prepare_first(recipe, arguments)
    tokenizer = load_tokenizer(recipe.model, prepared.template)
    before = stamps_before_loading(recipe, stack, run_dir)
    with files_are_hashed_instead():
        trainer = build(
            GuardedDPOTrainer,
            recipe,
            stack,
            run_dir,
            tokenizer,
            args=arguments,
            train_dataset=prepared.train,
            eval_dataset=prepared.eval,
        )
    trainer.leave_out_padding(recipe.launch.padding_free)
    reference = look_up(trainer, recipe, stack, run_dir, before)
    result = train(trainer, recipe, run_dir, batch, prepared, reference=reference["digest"])
    result["warnings"] += collapse(result["numbers"], prepared.counts["train"], recipe.train.beta)
    return result | {"reference": reference}


def look_up(trainer: Any, recipe: DpoRecipe, stack: Stack, run_dir: Path, before: Stamps) -> dict[str, Any]:
    """Fills the reference's log-probabilities from the store; for `result.json`: which it is, and how many were new.

    Args:
        trainer: built, not yet training.
        recipe: the run's.
        stack: says what the reference is made of.
        run_dir: holds a merged start, if there is one.
        before: stamps of the reference's files from before they were loaded.
    """
    if not trainer.precompute_ref_logps:
        return {"digest": None}
    files = reference_files(recipe, stack, run_dir)
    require_unchanged(before, files)
    while True:
        key: list[Any] = [None]
        if trainer.accelerator.is_main_process:
            path, dtype = trainer.attention_path, trainer.model.dtype
            key = [reference_key(recipe, files, dtype=dtype, path=path, ld_alpha=trainer.ld_alpha)]
        if trainer.args.world_size > 1:
            broadcast_object_list(key)
        filled = trainer.fill_reference(folder_of(key[0]) if trainer.accelerator.is_main_process else None)
        if filled is not None:
            break
    if trainer.accelerator.is_main_process:
        log.info(
            f"  reference: {filled.rows:,} pairs, {filled.computed:,} computed in {filled.seconds:.1f} s"
            if filled.computed
            else f"  reference: all {filled.rows:,} pairs known from before"
        )
    return {"digest": digest_of(key[0]), "pairs": filled.rows, "computed": filled.computed,
            "seconds": round(filled.seconds, 1)}  # fmt: skip


COLLAPSE_NATS_PER_TOKEN = 0.5
"""Zephyr-7B-beta's own chosen answers lost about 0.15 nats a token; three times that is no longer its regime."""


def collapse(numbers: dict[str, float], counts: Any, beta: float) -> list[str]:
    """A warning when the chosen answers themselves became much less likely than under the reference.

    Reward of an answer = beta x (log-probability - reference's), equation 1 of the DPO paper, so reward / beta is what
    the answer's log-probability lost, in nats.
    """
    split = "eval_rewards/chosen" if "eval_rewards/chosen" in numbers else "rewards/chosen"
    tokens = counts.chosen_tokens / max(counts.rows_used, 1)
    lost = -numbers[split] / beta / max(tokens, 1)
    if lost < COLLAPSE_NATS_PER_TOKEN:
        return []
    return [
        f"Collapse: the chosen answers lost {lost:.2f} nats of log-probability a token against the reference"
        f" (warned from {COLLAPSE_NATS_PER_TOKEN}); the policy learns what not to say rather than what to say."
        " A lower learning rate, a higher beta or fewer epochs keep it nearer."
    ]
