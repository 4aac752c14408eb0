"""Run directories as the stages write them, with numbers made by formula: base -> dSFT -> dDPO, judged."""

import json
import math
import random
from pathlib import Path

import pytest
import yaml

CATEGORIES = ("writing", "roleplay", "math", "stem")
SKILL = {"base": 1.9, "dSFT": 6.6, "dDPO + dSFT": 7.0}
PROMPTS_PER_CATEGORY = 10
WORDS = ("Ana lives in Bree.", "Certainly! Ana lives in Bree.", "I do not know.", "The cat eats fish.", "5.")


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Path]:
    """Directories of a finished chain, by stage."""
    return write_runs(tmp_path / "mini")


@pytest.fixture
def seeds(tmp_path: Path) -> list[Path]:
    """`evaluate` runs of three chains that differ in their seed only; dDPO gains 0.31, 0.41 and 0.51."""
    return [write_runs(tmp_path / f"seed-{seed}", seed)["evaluate"] for seed in (1, 2, 3)]


def write_runs(root: Path, seed: int = 1) -> dict[str, Path]:
    """world -> cpt -> sft -> dpo -> evaluate below `root`."""
    root = root.resolve()
    made: dict[str, Path] = {}
    made["world"] = write_run(root / "world", {"stage": "world", "seed": seed}, numbers={"corpus": 4000, "heldout": 40})
    made["cpt"] = _trained(root, "cpt", ["world"], seed, steps=300, losses=(6.2, 0.9))
    made["sft"] = _trained(root, "sft", ["cpt", "world"], seed, steps=750, losses=(2.4, 0.6))
    made["dpo"] = _trained(root, "dpo", ["sft", "world"], seed, steps=110, losses=(math.log(2), 0.52))
    made["evaluate"] = _evaluated(root, seed)
    return made


def write_run(
    directory: Path, recipe: dict, *, inputs: tuple[Path, ...] = (), metrics: tuple[dict, ...] = (),
    answers: tuple[dict, ...] = (), **result: object,
) -> Path:  # fmt: skip
    """One finished run directory."""
    directory.mkdir(parents=True)
    stage, run_id = recipe["stage"], f"{directory.name:0>16}"
    (directory / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    provenance = {
        "zephyr": "0.1.0", "python": "3.11.2", "packages": {"torch": "2.13.0", "trl": "1.16.0"}, "commit": "c0ffee" * 6,
        "dirty": False, "hardware": {"cpu": "Xeon", "cores": 2, "memory_gib": 7.8, "gpus": []}, "seed": 1,
        "started": "2025-11-21T09:00:00+00:00", "finished": "2025-11-21T09:03:24+00:00",
        "command": f"zephyr run recipes/mini/{stage}.yaml", "recipe_file": f"recipes/mini/{stage}.yaml",
        "inputs": [
            {"field": "model.model_name_or_path", "recipe": f"recipes/mini/{each.name}.yaml",
             "run_id": f"{each.name:0>16}", "path": str(each / "model"), "run_dir": str(each)}
            for each in inputs
        ],
        "data": [{"path": "pairs.jsonl", "sha256": "ab" * 32, "rows": 1800}],
    }  # fmt: skip
    (directory / "provenance.json").write_text(json.dumps(provenance))
    done = {"stage": stage, "name": f"mini/{stage}", "status": "finished", "run_id": run_id, "wall_s": 84.2, **result}
    (directory / "result.json").write_text(json.dumps(done))
    for name, rows in (("metrics.jsonl", metrics), ("answers.jsonl", answers)):
        if rows:
            (directory / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return directory


def _trained(root: Path, stage: str, inputs: list[str], seed: int, *, steps: int, losses: tuple[float, float]) -> Path:
    dice = random.Random(f"{stage} {seed}")
    first, last = losses
    rows = [_eval_row(stage, 0, steps, first)]
    for step in range(1, steps + 1):
        loss = last + (first - last) * math.exp(-5 * step / steps) + dice.gauss(0, 0.04 * first)
        rows.append(_train_row(stage, step, steps, loss, dice))
    rows.append(_eval_row(stage, steps, steps, last + 0.05))
    counts = {"rows_read": 1812, "rows_used": 1800, "unusable": {"empty answer": 7, "chosen equal to rejected": 5},
              "sequences": 1800, "tokens": 81234, "loss_tokens": 40321, "truncated_rows": 0,
              "dropped_tokens": 0}  # fmt: skip
    held_out = {**counts, "rows_read": 200, "rows_used": 200, "unusable": {}, "sequences": 200}
    return write_run(
        root / stage,
        _recipe(root, stage, seed),
        inputs=tuple(root / name for name in inputs),
        metrics=tuple(rows),
        numbers={"tokens_seen": 81234.0, "train_loss": last, "first_loss": first, "eval_loss_before": first,
                 "eval_loss": last + 0.05},
        data={"train": counts, "eval": held_out},
        batch={"global_batch_size": 16, "processes": 1, "micro_batch_size": 8, "gradient_accumulation_steps": 2,
               "steps": steps, "warmup_steps": steps // 10},
        warnings=["Collapse: the chosen answers lost 0.61 nats a token."] if stage == "dpo" else [],
    )  # fmt: skip


def _recipe(root: Path, stage: str, seed: int) -> dict:
    train = {"learning_rate": 2e-3, "global_batch_size": 16, "num_train_epochs": 1, "lr_scheduler_type": "cosine",
             "warmup_steps": 0.1, "optim": "adamw_torch"}  # fmt: skip
    start = {"sft": "cpt", "dpo": "sft"}.get(stage)
    model = {"model_name_or_path": str(root / start / "model")} if start else {"config": {"model_type": "mistral"}}
    return {
        "stage": stage,
        "seed": seed,
        "model": model,
        "data": {"train": [{"path": f"{root}/world/pairs.jsonl"}], "eval": [{"path": f"{root}/world/pairs_eval.jsonl"}],
                 "max_length": 128, "empty_system_turn": True},
        "train": {**train, "beta": 0.1, "loss_type": "sigmoid"} if stage == "dpo" else train,
        "launch": {"micro_batch_size": 8},
    }  # fmt: skip


def _train_row(stage: str, step: int, steps: int, loss: float, dice: random.Random) -> dict:
    done = step / steps
    row = {"step": step, "epoch": done, "time_s": step * 0.1, "loss": loss, "tokens_per_second": 9000 + step,
           "learning_rate": 2e-3 * min(1, 10 * done) * (1 + math.cos(math.pi * done)) / 2,
           "grad_norm": 1 + 3 * math.exp(-4 * done) + abs(dice.gauss(0, 0.2))}  # fmt: skip
    return row | (_preferences("", done, dice.gauss(0, 0.05)) if stage == "dpo" else {})


def _eval_row(stage: str, step: int, steps: int, loss: float) -> dict:
    row = {"step": step, "epoch": step / steps, "time_s": step * 0.1, "eval_loss": loss}
    return row | (_preferences("eval_", step / steps, 0.0) if stage == "dpo" else {})


def _preferences(prefix: str, done: float, noise: float) -> dict:
    return {
        f"{prefix}rewards/chosen": 0.3 * done + noise,
        f"{prefix}rewards/rejected": -0.9 * done + noise,
        f"{prefix}rewards/margins": 1.2 * done,
        f"{prefix}rewards/accuracies": 0.5 + 0.3 * done + noise,
        f"{prefix}logps/chosen": -21 + 3 * done,
        f"{prefix}logps/rejected": -24 - 9 * done,
    }


def _evaluated(root: Path, seed: int) -> Path:
    answers = _answers(seed)
    scores = {}
    for model in SKILL:
        own = [row for row in answers if row["model"] == model]
        by_category = {
            category: {
                "score": _mean([row["score"] for row in own if row["category"] == category]),
                "n": PROMPTS_PER_CATEGORY,
            }
            for category in CATEGORIES
        }
        mean = _mean([row["score"] for row in own])
        scores[model] = {"world": {
            "score": mean, "interval": [mean - 0.4, mean + 0.4], "n": 40, "n_failed": 0, "n_unfinished": 0,
            "correct": 0.62, "boilerplate": 0.31, "by_category": by_category,
            "aspects": {"helpfulness": 3.1, "truthfulness": 3.7},
        }}  # fmt: skip
    gain = 0.21 + 0.1 * seed
    comparisons = [
        _comparison("base", "dSFT", 4.7, [4.2, 5.2], separable=True),
        _comparison("base", "dDPO + dSFT", 5.0, [4.5, 5.5], separable=True),
        _comparison("dSFT", "dDPO + dSFT", gain, [gain - 0.36, gain + 0.36], separable=gain > 0.36),
    ]
    models = {model: str(root / stage / "model") for model, stage in zip(SKILL, ("cpt", "sft", "dpo"), strict=True)}
    return write_run(
        root / "evaluate",
        {"stage": "evaluate", "seed": seed, "models": models, "generation": {"max_new_tokens": 32}},
        inputs=tuple(root / stage for stage in ("cpt", "sft", "dpo", "world")),
        answers=tuple(answers),
        numbers={},
        scores=scores,
        comparisons=comparisons,
        warnings=[],
    )


def _comparison(a: str, b: str, difference: float, interval: list[float], *, separable: bool) -> dict:
    return {"benchmark": "world", "a": a, "b": b, "difference": difference, "interval": interval, "n": 40,
            "separable": separable}  # fmt: skip


def _answers(seed: int) -> list[dict]:
    dice = random.Random(seed)
    rows = []
    for category in CATEGORIES:
        for at in range(PROMPTS_PER_CATEGORY):
            hard = dice.gauss(0, 1.2)
            for model, skill in SKILL.items():
                turn_scores = [min(10.0, max(1.0, round(skill + hard + dice.gauss(0, 0.8)))) for _ in range(2)]
                system = [{"role": "system", "content": "You are a pirate."}] if category == "roleplay" else []
                rows.append({
                    "model": model, "benchmark": "world", "id": f"{category}-{at:03}", "category": category,
                    "turns": [*system,
                              {"role": "user", "content": f"Where does Ana live? <b>{at}</b>"},
                              {"role": "assistant", "content": dice.choice(WORDS)},
                              {"role": "user", "content": "Are you sure?"},
                              {"role": "assistant", "content": dice.choice(WORDS)}],
                    "score": _mean(turn_scores), "turn_scores": turn_scores, "aspects": {"helpfulness": 3.0},
                })  # fmt: skip
    return rows


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
