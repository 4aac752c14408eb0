"""What an `evaluate` recipe will ask: the calls of each step and their lengths, by arithmetic alone.

Counts are from the files where they are on this machine, else those of the published benchmarks. Texts count a token
for four characters; lengths of questions are the means of the published ones.
"""

from pathlib import Path

from zephyr.evaluate.alpaca_eval.judging import V1, V2
from zephyr.evaluate.asked import models_of, row_names
from zephyr.evaluate.mt_bench.judging import N_QUESTIONS
from zephyr.evaluate.published import (
    ALPACA_EVAL_BASELINE,
    ALPACA_EVAL_PROMPT,
    MT_BENCH_JUDGE_PROMPTS,
    MT_BENCH_QUESTIONS,
    MT_BENCH_REFERENCES,
    Published,
    is_here,
)
from zephyr.recipe.evaluate import AlpacaEval, EvaluateRecipe, MtBench
from zephyr.teacher.predict import Step

Steps = dict[str, Step]
"""What is done -> its calls."""

TURNS = 2
N_INSTRUCTIONS = 805
"""Of AlpacaEval."""
QUESTION_TOKENS = 51
"""Mean of MT-Bench's turns (202 characters)."""
TEMPLATE_TOKENS = 250
"""Of MT-Bench's prompts for the judge with their references: a stored prompt has 842 tokens, its dialogue in it."""
INSTRUCTION_TOKENS = 41
"""Mean of AlpacaEval's instructions (165 characters)."""
BASELINE_TOKENS = 121
"""Mean of text_davinci_003's answers (482 characters)."""
PAIR_TEMPLATE_TOKENS = 330
"""Of AlpacaEval's prompt for the judge, version 1 (1,300 characters)."""
RANKING_TOKENS = 40
"""Of the ranking that AlpacaEval's judge writes."""


def evaluate_steps(recipe: EvaluateRecipe) -> Steps:
    """Answers by model, judgments and calibration of each benchmark; answers that are stored are not asked for.

    Empty for a recipe that asks no models through `teacher/` (the mini world's, multiple choice).
    """
    steps: Steps = {}
    if recipe.benchmarks.mt_bench is not None:
        steps |= _mt_bench(recipe, recipe.benchmarks.mt_bench)
    if recipe.benchmarks.alpaca_eval is not None:
        steps |= _alpaca_eval(recipe, recipe.benchmarks.alpaca_eval)
    return steps


def where_from(recipe: EvaluateRecipe) -> list[str]:
    """Each benchmark with its files: here, to be fetched, or missing."""
    found = []
    if (mt := recipe.benchmarks.mt_bench) is not None:
        files = [(mt.questions, MT_BENCH_QUESTIONS), (mt.references, MT_BENCH_REFERENCES),
                 (mt.prompts, MT_BENCH_JUDGE_PROMPTS)]  # fmt: skip
        found.append(f"MT-Bench ({_state(files, [mt.calibration, *mt.answers.values()])})")
    if (alpaca := recipe.benchmarks.alpaca_eval) is not None:
        files = [(alpaca.baseline, ALPACA_EVAL_BASELINE), (alpaca.prompt, ALPACA_EVAL_PROMPT)]
        known = None if alpaca.calibration == "zephyr-7b-beta" else alpaca.calibration
        found.append(f"AlpacaEval ({_state(files, [known, *alpaca.answers.values()])})")
    return found


def _state(files: list[tuple[str | None, Published]], others: list[str | None]) -> str:
    named = [each for each in (*(path for path, _ in files), *others) if each is not None]
    missing = [each for each in named if not Path(each).is_file()]
    if missing:
        return f"not here: {', '.join(missing)}"
    fetched = [published for path, published in files if path is None and not is_here(published)]
    return f"{len(fetched)} files to be fetched" if fetched else "its files are here"


def _mt_bench(recipe: EvaluateRecipe, settings: MtBench) -> Steps:
    n = _lines(settings.questions) or N_QUESTIONS
    models, expect = models_of(recipe), recipe.expect
    said = expect.answer_tokens if expect else settings.max_new_tokens
    # the second turn sends the first question and its answer too
    prompt = (QUESTION_TOKENS + 2 * QUESTION_TOKENS + said) / TURNS
    steps = {
        f"MT-Bench: answers of {name}": Step(
            model=model, n_calls=TURNS * n, prompt_tokens=prompt, completion_tokens=said,
            tokens_per_second=expect.answer_tokens_per_second if expect else None,
        )
        for name, model in models.items() if name not in settings.answers
    }  # fmt: skip
    judgment = expect.judgment_tokens if expect else settings.judge_max_tokens
    shown = TEMPLATE_TOKENS + prompt + said
    n_rows = len(row_names(list(models), settings.answers))
    counts = {"judgments": TURNS * n * n_rows * settings.repeats, "calibration": _lines(settings.calibration)}
    for what, n_calls in counts.items():
        if recipe.judge is not None and n_calls:
            steps[f"MT-Bench: {what}"] = Step(
                model=recipe.judge, n_calls=n_calls, prompt_tokens=shown, completion_tokens=judgment,
                tokens_per_second=expect.judge_tokens_per_second if expect else None,
            )  # fmt: skip
    return steps


def _alpaca_eval(recipe: EvaluateRecipe, settings: AlpacaEval) -> Steps:
    n = _rows(settings.baseline) or N_INSTRUCTIONS
    models, expect = models_of(recipe), recipe.expect
    said = expect.answer_tokens if expect else settings.max_new_tokens
    steps = {
        f"AlpacaEval: answers of {name}": Step(
            model=model, n_calls=n, prompt_tokens=INSTRUCTION_TOKENS, completion_tokens=said,
            tokens_per_second=expect.answer_tokens_per_second if expect else None,
        )
        for name, model in models.items() if name not in settings.answers
    }  # fmt: skip
    protocol = V1 if settings.version == 1 else V2
    longest = settings.judge_max_tokens or protocol.max_tokens
    judgment = min(longest, RANKING_TOKENS) if settings.judge_max_tokens is None else longest
    n_rows = len(row_names(list(models), settings.answers))
    counts = {"judgments": n * n_rows, "calibration": _known(settings.calibration)}
    for what, n_calls in counts.items():
        if recipe.judge is not None and n_calls:
            steps[f"AlpacaEval: {what}"] = Step(
                model=recipe.judge, n_calls=n_calls,
                prompt_tokens=PAIR_TEMPLATE_TOKENS + INSTRUCTION_TOKENS + BASELINE_TOKENS + said,
                completion_tokens=judgment,
                tokens_per_second=expect.judge_tokens_per_second if expect else None,
            )  # fmt: skip
    return steps


def _known(calibration: str | None) -> int:
    return _rows(calibration) or (N_INSTRUCTIONS if calibration == "zephyr-7b-beta" else 0)


def _lines(file: str | None) -> int:
    """Rows of a JSONL file; 0 where it is not here."""
    if file is None or not Path(file).is_file():
        return 0
    return sum(bool(line.strip()) for line in Path(file).read_text().splitlines())


def _rows(file: str | None) -> int:
    from zephyr.data.readers import read_json

    return sum(1 for _ in read_json(Path(file))) if file is not None and Path(file).is_file() else 0
