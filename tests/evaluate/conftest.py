"""Judged answers in FastChat's and AlpacaEval's formats, made by formula; and the real ones where they are."""

import json
import random
from pathlib import Path

import pytest

from tests.mini.small import RECIPE
from zephyr.mini import stage

SHARED = Path(__file__).parents[2] / "../shared/data"
SINGLE = "[Task]\nRate it.\n[Question]\n{question}\n[Answer]\n{answer}"
TWO_TURNS = "U: {question_1}\nA: {answer_1}\nU: {question_2}\nA: {answer_2}"
TEMPLATES = {
    "single-v1": SINGLE,
    "single-math-v1": SINGLE + "\n[Reference]\n{ref_answer_1}",
    "single-v1-multi-turn": TWO_TURNS,
    "single-math-v1-multi-turn": "R: {ref_answer_1}\nR: {ref_answer_2}\n" + TWO_TURNS,
}


@pytest.fixture
def shared() -> Path:
    """Real data beside the checkout; a test that uses them is skipped where they are absent."""
    if not SHARED.is_dir():
        pytest.skip("the real data (../shared/data) are not here")
    return SHARED


@pytest.fixture(scope="session")
def world_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small mini world; nobody writes there."""
    directory = tmp_path_factory.mktemp("world")
    stage.run(RECIPE, directory)
    return directory


@pytest.fixture(scope="session")
def model_dir(world_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model."""
    import torch
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    directory = tmp_path_factory.mktemp("model")
    tokenizer = AutoTokenizer.from_pretrained(world_dir / "tokenizer")
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    MistralForCausalLM(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture
def without_pip_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness asks pip for all packages at each call, for its log: seconds, and nothing in the figures."""
    monkeypatch.setattr("lm_eval.evaluator.add_env_info", lambda *_: None)


def lines(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    single = [{"name": name, "type": "single", "system_prompt": f"You are {name}.", "prompt_template": text}
              for name, text in TEMPLATES.items()]  # fmt: skip
    pair = {"name": "pair-v2", "type": "pairwise", "system_prompt": "", "prompt_template": "{answer_a}{answer_b}"}
    return lines(tmp_path / "judge_prompts.jsonl", [pair, *single])


def judgment(question: int, turn: int, score: float, **other: object) -> dict:
    """One line of FastChat's judgments; a score of -1 is one without a rating."""
    text = f"Fine. Rating: [[{score}]]" if score != -1 else "I cannot rate this."
    return {
        "question_id": question, "model": "ours", "judge": ["gpt-4", "single-v1"],
        "user_prompt": f"Rate {question}, {turn}.", "judgment": text, "score": score, "turn": turn,
        "tstamp": 1700000000.5, **other,
    }  # fmt: skip


def judged(model: str, skill: float, seed: int = 0) -> list[dict]:
    """160 judgments whose two turns share what makes a question hard; the same questions are hard for every model."""
    hard, dice = random.Random(7), random.Random(f"{model} {seed}")
    rows = []
    for question in range(81, 161):
        level = skill + hard.gauss(0, 1.5)
        for turn in (1, 2):
            score = min(10, max(1, round(level + dice.gauss(0, 0.7))))
            rows.append(judgment(question, turn, score, model=model))
    return rows


def annotated(number: int, preference: float | None, **other: object) -> dict:
    """One of AlpacaEval's annotations."""
    return {
        "instruction": f"Instruction {number}", "output_1": "short", "generator_1": "text_davinci_003",
        "dataset": "own", "output_2": "a longer answer", "generator_2": "ours", "annotator": "alpaca_eval_gpt4",
        "preference": preference, "price_per_example": 0.06, "time_per_example": 0.7, **other,
    }  # fmt: skip
