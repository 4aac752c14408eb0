"""What AlpacaEval is made of in an `evaluate` run: prompt and baseline, the rows, their answers."""

from dataclasses import dataclass
from pathlib import Path

from zephyr.data.readers import read_json
from zephyr.errors import UserError
from zephyr.evaluate.alpaca_eval.files import (
    V1_BASELINE,
    Output,
    baseline_of,
    fingerprint,
    read_annotations,
    read_outputs,
)
from zephyr.evaluate.alpaca_eval.judging import (
    V1,
    V2,
    Protocol,
)
from zephyr.evaluate.asked import (
    file_of,
)
from zephyr.evaluate.published import ALPACA_EVAL_BASELINE, ALPACA_EVAL_PROMPT, obtain, sha256_of
from zephyr.recipe.evaluate import AlpacaEval, EvaluateRecipe
from zephyr.recipe.teacher import LanguageModel

PUBLISHED = "zephyr-7b-beta"
"""Whose published annotations `calibration` may name instead of a file."""


@dataclass(frozen=True, kw_only=True)
class Files:
    """What AlpacaEval is made of."""

    baseline: list[Output]
    prompt: str
    official: bool
    """Whether prompt and baseline are those that published figures of version 1 were made with."""
    hashes: dict[str, str]
    """What -> SHA-256 of its file."""


def read_files(settings: AlpacaEval) -> Files:
    """The baseline's answers and the judge's prompt.

    Raises:
        UserError: one can't be had or is something else.
    """
    prompt = Path(settings.prompt) if settings.prompt is not None else obtain(ALPACA_EVAL_PROMPT)
    if not prompt.is_file():
        raise UserError(f"{prompt}: there is no such file. Expected AlpacaEval's prompt for the judge.")
    baseline = read_baseline(Path(settings.baseline) if settings.baseline else obtain(ALPACA_EVAL_BASELINE))
    hashes = {"prompt": sha256_of(prompt), "baseline": fingerprint(baseline)}
    official = hashes == {"prompt": ALPACA_EVAL_PROMPT.sha256, "baseline": V1_BASELINE}
    return Files(baseline=baseline, prompt=prompt.read_text(), official=official, hashes=hashes)


def read_baseline(path: Path) -> list[Output]:
    """The baseline's answers from its outputs, or from annotations of any model."""
    if path.is_file() and (first := next(iter(read_json(path)), None)) and "output_1" in (first.fields or {}):
        return baseline_of(read_annotations(path))
    return read_outputs(path)


def outputs_of(recipe: EvaluateRecipe, run_dir: Path, name: str) -> list[Output]:
    """A row's answers: those stored by others, or those that this run generated."""
    stored = settings_of(recipe).answers
    return read_outputs(Path(stored[name]) if name in stored else outputs_file(run_dir, name))


def annotator(recipe: EvaluateRecipe, files: Files) -> str:
    """AlpacaEval's name of the judge where judge, prompt and baseline are its own; else the judge's name."""
    protocol, judge = protocol_of(recipe), judge_of(recipe).model
    same = judge == protocol.judge and (files.official or protocol.weighted)
    return protocol.annotator if same else judge


def known_file(calibration: str) -> Path:
    """The file with known preferences."""
    return obtain(ALPACA_EVAL_BASELINE) if calibration == PUBLISHED else Path(calibration)


def outputs_file(run_dir: Path, name: str) -> Path:
    """Where a row's generated answers are."""
    return file_of(run_dir / "alpaca_eval" / "outputs", name, ".json")


def protocol_of(recipe: EvaluateRecipe) -> Protocol:
    """The judge with its baseline, by the recipe's version."""
    return V1 if settings_of(recipe).version == 1 else V2


def settings_of(recipe: EvaluateRecipe) -> AlpacaEval:
    """The recipe's section, which is there."""
    assert recipe.benchmarks.alpaca_eval is not None
    return recipe.benchmarks.alpaca_eval


def judge_of(recipe: EvaluateRecipe) -> LanguageModel:
    """The recipe's judge, which is there."""
    assert recipe.judge is not None  # checked when the recipe was read
    return recipe.judge
