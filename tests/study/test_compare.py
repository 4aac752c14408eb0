"""Two runs of one model each are paired as the benchmark itself pairs two models of one run."""

import json
import random
from pathlib import Path

import pytest
from tests.made_study import PROMPTS

from zephyr.evaluate.alpaca_eval import score as alpaca_eval_score
from zephyr.evaluate.alpaca_eval.files import Annotation
from zephyr.evaluate.leaderboard import run as leaderboard
from zephyr.evaluate.mt_bench import score as mt_bench_score
from zephyr.evaluate.mt_bench.files import Judgment
from zephyr.report.read import Run
from zephyr.study.report.columns import Column
from zephyr.study.report.comparable import why_apart
from zephyr.study.report.compare import Compared, on_the_same_questions
from zephyr.study.report.outcome import CellOutcome


def cell(directory: Path, figures: dict, answers: list[dict]) -> CellOutcome:
    run = Run(
        directory=directory, recipe_text="", recipe={"stage": "evaluate"}, answers=tuple(answers),
        result={"status": "finished", "scores": {"model": figures}},
    )  # fmt: skip
    return CellOutcome(seed=None, state="finished", why="", model=None, training=None, evaluation=run)


def column(benchmark: str, part: str = "score") -> Column:
    return Column(key=f"{benchmark}/{part}", benchmark=benchmark, path=(part,))


def judgments(model: str, dice: random.Random) -> list[Judgment]:
    """Two turns of each question, some without a rating."""
    return [
        Judgment(question_id=question, model=model, judge="gpt-4", template="single-v1", turn=turn, user_prompt="",
                 text="", score=None if dice.random() < 0.1 else dice.randint(1, 10), time=0.0)
        for question in range(81, 81 + PROMPTS) for turn in (1, 2)
    ]  # fmt: skip


def mt_bench_rows(found: list[Judgment]) -> list[dict]:
    rated = {(each.question_id, each.turn): each.score for each in found}
    return [
        {"model": "model", "benchmark": "mt_bench", "id": str(id), "category": "writing", "turns": [],
         "score": None, "turn_scores": [rated[id, 1], rated[id, 2]]}
        for id in dict.fromkeys(each.question_id for each in found)
    ]  # fmt: skip


def test_mt_bench_is_paired_by_turn_and_drawn_by_question(tmp_path: Path) -> None:
    dice = random.Random(0)
    made = {name: judgments(name, dice) for name in ("a", "b")}
    wanted = mt_bench_score.compare(*(mt_bench_score.scores(each, None)[0] for each in made.values()))
    a, b = (cell(tmp_path, {"mt_bench": {"judge": "gpt-4"}}, mt_bench_rows(each)) for each in made.values())
    found = on_the_same_questions(column("mt_bench"), a, b, 0.0)
    assert (found.difference, found.n) == (pytest.approx(wanted.value), wanted.n)
    assert found.interval == pytest.approx(wanted.interval)
    first = on_the_same_questions(column("mt_bench", "turn_1"), a, b, 0.0)
    of_turn = [score for each in made.values() for score in each if score.turn == 1]
    both = {
        id
        for id in {each.question_id for each in of_turn}
        if all(each.score is not None for each in of_turn if each.question_id == id)
    }
    assert first.n == len(both) < PROMPTS


def test_alpaca_eval_is_paired_by_instruction(tmp_path: Path) -> None:
    dice = random.Random(0)
    made = {
        name: [
            Annotation(instruction=f"do {n}", output_1="x", generator_1="davinci", output_2="y", generator_2=name,
                       dataset="koala", annotator="gpt-4",
                       preference=None if dice.random() < 0.1 else dice.choice([1.0, 1.5, 2.0]))
            for n in range(PROMPTS)
        ]
        for name in ("a", "b")
    }  # fmt: skip
    wanted = alpaca_eval_score.compare(*(alpaca_eval_score.win_rates(each)[0] for each in made.values()))
    rows = [
        [{"model": "model", "benchmark": "alpaca_eval", "id": each.instruction, "turns": [],
          "score": None if each.preference is None else 100 * (each.preference - 1)} for each in of_one]
        for of_one in made.values()
    ]  # fmt: skip
    a, b = (cell(tmp_path, {"alpaca_eval": {"judge": "gpt-4", "baseline": "davinci"}}, each) for each in rows)
    found = on_the_same_questions(column("alpaca_eval"), a, b, 0.0)
    assert (found.difference, found.n) == (pytest.approx(wanted.value), wanted.n)
    assert found.interval == pytest.approx(wanted.interval)


def test_the_leaderboard_is_paired_as_it_pairs_itself(tmp_path: Path) -> None:
    dice, cells, files = random.Random(0), [], []
    for name in ("a", "b"):
        subjects = {
            f"mmlu_{subject}": {"metric": "acc", "questions": {str(n): float(dice.random() < 0.5) for n in range(9)}}
            for subject in ("law", "art")
        }
        file = tmp_path / name / "leaderboard" / "model" / "mmlu.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"tasks": subjects}))
        files.append({"tasks": subjects})
        cells.append(cell(tmp_path / name, {"mmlu": {}}, []))
    wanted = leaderboard.compare(*files)
    found = on_the_same_questions(column("mmlu"), *cells, 0.0)
    assert (found.difference, found.interval, found.n) == (wanted.value, wanted.interval, wanted.n)


def test_other_judges_are_not_compared(tmp_path: Path) -> None:
    a, b = (cell(tmp_path, {"mt_bench": {"judge": judge}}, []) for judge in ("gpt-4", "gpt-5"))
    assert why_apart(column("mt_bench"), a, b) == "not compared: another judge (gpt-4, gpt-5)"
    assert why_apart(column("mt_bench"), a, a) == ""


def trained(directory: Path, key: str, eval_counts: dict | None = None, **train: object) -> CellOutcome:
    """A dDPO run with a figure of 0.5, its training by `train`."""
    recipe = {"stage": "dpo", "train": {"beta": 0.1, "loss_type": "sigmoid", "label_smoothing": 0.0, **train},
              "data": {"train": [{"path": "a.jsonl"}], "eval": [{"path": "b.jsonl"}]}, "trl": {}}  # fmt: skip
    result = {"status": "finished", "numbers": {key: 0.5}, "data": {"eval": eval_counts or {"rows_used": 8}}}
    run = Run(directory=directory, recipe_text="", recipe=recipe, result=result)
    return CellOutcome(seed=None, state="finished", why="", model=run, training=run, evaluation=None)


@pytest.mark.parametrize(
    ("key", "train", "said"),
    [
        ("eval_loss", {"loss_type": "ipo"}, "not compared: another loss_type (sigmoid, ipo)"),
        ("train_loss", {"beta": 0.5}, "not compared: another beta (0.1, 0.5)"),
        ("eval_loss", {"loss_type": "ipo", "beta": 0.5},
         "not compared: another loss_type and beta (sigmoid, ipo; 0.1, 0.5)"),
        ("eval_loss", {"label_smoothing": 0.1}, "not compared: another label_smoothing (0, 0.1)"),
        ("eval_rewards/margins", {"beta": 0.5}, "not compared: another beta (0.1, 0.5)"),
        ("eval_rewards/margins", {"loss_type": "ipo"}, ""),
        ("eval_rewards/accuracies", {"beta": 0.5, "loss_type": "ipo"}, ""),
        ("eval_loss", {"learning_rate": 0.5}, ""),
    ],
)  # fmt: skip
def test_losses_of_other_objectives_are_not_compared(tmp_path: Path, key: str, train: dict, said: str) -> None:
    figure = Column(key=key, benchmark=None, path=(key,))
    assert why_apart(figure, trained(tmp_path, key), trained(tmp_path, key, **train)) == said


def test_figures_of_other_held_out_rows_or_tokens_are_not_compared(tmp_path: Path) -> None:
    counts = [{"rows_used": 8, "tokens": 90}, {"rows_used": 7, "tokens": 80}, {"rows_used": 8, "tokens": 80}]
    said = []
    for key in ("eval_loss", "eval_rewards/accuracies", "train_loss"):
        first, *others = (trained(tmp_path, key, each) for each in counts)
        figure = Column(key=key, benchmark=None, path=(key,))
        said.append([why_apart(figure, first, each).removeprefix("not compared: ") for each in others])
    assert said == [["other held-out rows", "the held-out rows are other tokens"], ["other held-out rows", ""],
                    ["", ""]]  # fmt: skip


def test_what_is_not_stored_by_question_has_a_difference_without_an_interval(tmp_path: Path) -> None:
    a, b = (cell(tmp_path, {"world": {}}, []) for _ in range(2))
    assert on_the_same_questions(column("world", "boilerplate"), a, b, 0.3) == Compared(
        difference=0.3, interval=None, n=1, why="not stored by question"
    )
