"""A small MT-Bench and a small AlpacaEval in their authors' formats, with answers and judgments by formula."""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.evaluate.conftest import TEMPLATES, lines
from zephyr.evaluate.mt_bench.files import read_answers, read_questions, read_templates
from zephyr.evaluate.mt_bench.judging import category_of, judge_prompt

PAIR_PROMPT = (
    "<|im_start|>system\nYou rank.\n<|im_end|>\n<|im_start|>user\nTo: {instruction}\n[m]: {output_1}\n"
    "[M]: {output_2}\n<|im_end|>\n"
)
QUESTIONS = (81, 82, 91, 92, 101, 102, 111, 112, 121, 122, 131, 132, 141, 142, 151, 152)
"""Two of each category."""


@dataclass(frozen=True)
class MtBenchFiles:
    folder: Path
    known: dict[str, str]
    """Prompt for the judge -> what it says."""
    ratings: dict[str, list[int]]
    """Model -> its ratings, question by question, both turns."""

    def recipe(self, base_url: str, **more: str) -> str:
        """A recipe over the stored answers of both models."""
        folder = self.folder
        keys = "".join(f"    {key}: {value}\n" for key, value in more.items())
        return (
            "stage: evaluate\nseed: 0\n"
            f"judge: {{model: gpt-4, base_url: {base_url!r}, max_concurrency: 2, max_attempts: 1}}\n"
            "benchmarks:\n  mt_bench:\n"
            f"    questions: {folder}/question.jsonl\n    references: {folder}/reference.jsonl\n"
            f"    prompts: {folder}/judge_prompts.jsonl\n"
            f"    answers: {{strong: {folder}/strong.jsonl, weak: {folder}/weak.jsonl}}\n{keys}"
        )


def write_mt_bench(folder: Path, questions: tuple[int, ...] = QUESTIONS) -> MtBenchFiles:
    """Questions, references, prompts, answers of a strong and a weak model, and what the judge says of each."""
    rows = [{"question_id": id, "category": category_of(id), "turns": [f"Ask {id}?", f"And {id}?"]} for id in questions]
    lines(folder / "question.jsonl", rows)
    lines(folder / "reference.jsonl", [answer(id, "gpt-4", "right") for id in questions])
    prompts = [{"name": name, "type": "single", "system_prompt": f"You are {name}.", "prompt_template": text}
               for name, text in TEMPLATES.items()]  # fmt: skip
    templates = read_templates(lines(folder / "judge_prompts.jsonl", prompts))
    known, ratings = {}, {}
    for model, level in (("strong", 8), ("weak", 3)):
        path = lines(folder / f"{model}.jsonl", [answer(id, model, f"{model} says") for id in questions])
        answers, asked = read_answers(path), read_questions(folder / "question.jsonl")
        references = read_answers(folder / "reference.jsonl")
        ratings[model] = []
        for id in questions:
            for turn in (1, 2):
                prompt = judge_prompt(
                    asked[id], turn, answers[id].turns, reference=references[id].turns, templates=templates
                )
                ratings[model].append(level - (turn == 2) + id % 2)
                known[prompt.user] = f"Well.\nRating: [[{ratings[model][-1]}]]"
    return MtBenchFiles(folder, known, ratings)


def answer(id: int, model: str, text: str) -> dict:
    """A line of FastChat's answers."""
    turns = [f"{text} one to {id}.", f"{text} two to {id}."]
    return {"question_id": id, "answer_id": f"{model}{id}", "model_id": model, "tstamp": 1.0,
            "choices": [{"index": 0, "turns": turns}]}  # fmt: skip


def outputs(path: Path, generator: str, texts: list[str]) -> Path:
    """A file of AlpacaEval's outputs."""
    rows = [{"instruction": f"Do {n}", "output": text, "generator": generator, "dataset": "own"}
            for n, text in enumerate(texts)]  # fmt: skip
    path.write_text(json.dumps(rows))
    return path
