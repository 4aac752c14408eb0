"""What the plan says of a `binarize` recipe: what is read, by which rules, and what comes of it."""

from pathlib import Path

from zephyr.data.binarize.strategies import STRATEGIES
from zephyr.data.sources import read
from zephyr.plan.filtering import bytes_of
from zephyr.recipe.binarize import BinarizeRecipe
from zephyr.recipe.sections import Source

COUNTED_AT_ONCE_BYTES = 50_000_000
"""Rows of local data up to this size are counted by `plan` itself."""


def outline(recipe: BinarizeRecipe) -> list[tuple[str, str]]:
    """Label and text of each line; only local files are looked at, nothing is asked of the Hub."""
    rules = recipe.binarize
    lines = [("reads", ", ".join(_rows(each, recipe.seed) for each in (*recipe.data.eval, *recipe.data.train)))]
    score = rules.score or STRATEGIES[rules.strategy].score
    lines.append(("pairs", f"{rules.strategy} on {score} scores"))
    splits = ["train"] + ["eval"] * bool(recipe.data.eval or recipe.data.eval_share)
    lines.append(("makes", f"{' and '.join(f'{each}.jsonl' for each in splits)}, and a label report"))
    return lines


def _rows(source: Source, seed: int) -> str:
    path = Path(source.path)
    if not path.exists():
        return f"{source.path} (not on this machine)"
    size = bytes_of(path)
    if size > COUNTED_AT_ONCE_BYTES:
        return f"{path.name} ({size / 1e6:,.0f} MB, rows not counted)"
    return f"{sum(1 for _ in read(source, seed)):,} rows of {path.name}"
