"""dDPO: direct preference optimization on AI feedback (section 3.3, equation 2 of the paper).

The policy starts as the dSFT model, and the reference is that same model, kept as it was.
"""

from pathlib import Path
from typing import Any

from zephyr.recipe import DpoRecipe
from zephyr.train.adapters import build, check
from zephyr.train.guards import GuardedDPOTrainer
from zephyr.train.loop import prepare_first, start, train
from zephyr.train.model import load_tokenizer
from zephyr.train.to_trl import dpo_arguments


def run(recipe: DpoRecipe, run_dir: Path) -> dict[str, Any]:
    """Trains on prepared pairs and leaves `model/`; returns the parts of `result.json`."""
    batch = start(recipe)
    stack = check(recipe)
    arguments = dpo_arguments(recipe, run_dir, batch)
    prepared = prepare_first(recipe, arguments)
    tokenizer = load_tokenizer(recipe.model, prepared.template)
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
    result = train(trainer, recipe, run_dir, batch, prepared)
    result["warnings"] += collapse(result["numbers"], prepared.counts["train"], recipe.train.beta)
    return result


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
