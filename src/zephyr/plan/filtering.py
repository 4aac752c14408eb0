"""What the plan says of a `filter` recipe: what is read, which filters run, in their order, and what comes of it."""

from dataclasses import fields
from pathlib import Path
from typing import Any, cast

from zephyr.recipe.filter import FilterRecipe
from zephyr.recipe.sections import Source

CORE_HOURS_PER_GB = 0.11
"""Of raw dialogues with all filters of zephyr-7b-beta/filter, measured (benchmarks/README.md)."""


def outline(recipe: FilterRecipe) -> list[tuple[str, str]]:
    """Label and text of each line; only local files are looked at, nothing is asked of the Hub."""
    on = [each.name for each in fields(cast(Any, recipe.filters)) if getattr(recipe.filters, each.name) is not None]
    lines = [("reads", ", ".join(_source(each) for each in (*recipe.data.eval, *recipe.data.train)))]
    lines.append(("filters", " -> ".join(on) or "none"))
    if recipe.filters.decontaminate:
        lines.append(("benchmarks", ", ".join(recipe.filters.decontaminate.benchmarks)))
    size = sum(bytes_of(Path(each.path)) for each in (*recipe.data.train, *recipe.data.eval))
    if size:
        lines.append(("takes", f"about {size / 1e9 * CORE_HOURS_PER_GB:.2g} core hours for {size / 1e9:.2g} GB here"))
    splits = ["train"] + ["eval"] * bool(recipe.data.eval or recipe.data.eval_share)
    most = f" (at most {recipe.filters.subset.rows:,} in train)" if recipe.filters.subset else ""
    lines.append(("makes", " and ".join(f"{each}.jsonl" for each in splits) + most))
    return lines


def _source(source: Source) -> str:
    path = Path(source.path)
    taken = f"{source.rows:,} of " if source.rows else f"{source.fraction:.0%} of " if source.fraction else ""
    return f"{taken}{path.name if path.exists() else source.path}{'' if path.exists() else ' (not on this machine)'}"


def bytes_of(path: Path) -> int:
    """Bytes of a local file or directory, 0 for what isn't here."""
    if path.is_dir():
        return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    return path.stat().st_size if path.exists() else 0
