"""Rows in UltraFeedback's schema, small and real."""

import json
from pathlib import Path
from typing import Any

from zephyr.data.ultrafeedback import Answer, ScoredPrompt

ASPECTS = ("instruction_following", "honesty", "truthfulness", "helpfulness")


def completion(
    text: str, overall: float | None, ratings: tuple[Any, ...] = (), model: str = "m", **more: Any
) -> dict[str, Any]:
    """A completion as published: ratings are text."""
    annotations = {
        aspect: {"Rating": rating if rating is None else str(rating), "Rationale": "so"}
        for aspect, rating in zip(ASPECTS, ratings, strict=False)
    }
    numbers = [float(rating) for rating in ratings if isinstance(rating, int | float)]
    return {
        "model": model, "principle": "helpfulness", "custom_system_prompt": "Be helpful.", "response": text,
        "critique": "fine", "overall_score": overall, "annotations": annotations,
        "fine-grained_score": sum(numbers) / len(numbers) if numbers else None, **more,
    }  # fmt: skip


def row(instruction: str, *completions: dict[str, Any], source: str = "flan", **more: Any) -> dict[str, Any]:
    """A row with the six published columns."""
    return {
        "source": source, "instruction": instruction, "models": [each["model"] for each in completions],
        "completions": list(completions), "correct_answers": ["None"], "incorrect_answers": ["None"], **more,
    }  # fmt: skip


def scored(*scores: float | None, prompt_id: str = "a") -> ScoredPrompt:
    """Answers `0`, `1`, ... with these mean and overall scores."""
    answers = tuple(Answer(text=str(n), model=f"m{n}", mean=score, overall=score) for n, score in enumerate(scores))
    return ScoredPrompt(prompt=[{"role": "user", "content": "q"}], prompt_id=prompt_id, answers=answers)


def four_models(shared: Path) -> list[dict[str, Any]]:
    """80 real prompts x 4 models with three GPT-4 judgments of each answer, in UltraFeedback's schema."""
    found: dict[int, list[dict[str, Any]]] = {}
    prompts: dict[int, str] = {}
    for each in json.loads((shared / "four_models/mt_bench_80x4_gpt4_scores.json").read_text()):
        before, after = each["instruction"].split("###Response to evaluate:\n")
        prompts[each["idx"]] = before.split("###The instruction to evaluate:\n")[1].strip()
        answer = after.split("###Reference Answer")[0].strip()
        judged = each["gpt4_score"]
        mean = sum(judged) / len(judged)
        found.setdefault(each["idx"], []).append(
            completion(answer, mean, (mean,), each["response_source"], judgments=judged)
        )
    return [row(prompts[idx], *answers, source="mt_bench") for idx, answers in found.items()]
