"""What is refused of a study once its rows are read, beside the mistakes of the rows themselves."""

from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from pathlib import Path

from zephyr.recipe import Loaded, Origin, Problem, RecipeError
from zephyr.recipe.overrides import key_of, unknown
from zephyr.recipe.problems import Problems, dotted, shown
from zephyr.recipe.schema import MAKES_A_MODEL
from zephyr.recipe.study import StudyRecipe
from zephyr.recipe.variant import Change
from zephyr.study.keys import chain
from zephyr.study.rows import Wanted


def check_evaluate(loaded: Loaded, recipe: StudyRecipe, read: Callable[..., Loaded]) -> None:
    """RecipeError for an `evaluate` that measures nothing, and for a seed that is there twice."""
    problems = Problems()
    origin = loaded.origins.get("evaluate") or Origin(file=loaded.file)
    if recipe.evaluate is not None:
        stage = read(recipe.evaluate).recipe.stage
        if stage != "evaluate":
            problems.add(origin, "evaluate", f"found a recipe of stage {stage}; one of stage evaluate is expected")
    if recipe.seeds and len(set(recipe.seeds)) < len(recipe.seeds):
        problems.add(loaded.origins.get("seeds[0]") or origin, "seeds", "a seed stands there twice")
    problems.refuse()


def of_rows(loaded: Loaded, problem: Problem, rows: Sequence[Wanted]) -> Problem:
    """A mistake, with the rows that have it where it stands in a recipe: neither in the study's file nor typed."""
    if problem.origin.file == loaded.file or problem.origin.override is not None:
        return problem
    few = [f"`{each.name}`" for each in rows[:2]]
    whose = f"row {few[0]}" if len(rows) == 1 else f"rows {' and '.join(few)}"
    if len(rows) > len(few):
        whose = f"rows {', '.join(few)} and {len(rows) - len(few)} more"
    return replace(problem, text=f"{problem.text} ({whose}, {rows[0].origin.place()})")


def takes_effect(run: Loaded, override: str) -> bool:
    """Whether a value of a run is the override's: what a row sets itself comes after it."""
    return any(each.override == override for each in run.origins.values())


def refuse_unused(loaded: Loaded, recipe: StudyRecipe, everywhere: Sequence[str], runs: Sequence[Loaded]) -> None:
    """RecipeError for an `--everywhere` that no run has a key for, and a recipe in `keep` that none is of."""
    known = {override for each in runs for override in each.overrides}
    trained = [each.recipe.stage for each in runs if each.recipe.stage in MAKES_A_MODEL]
    problems = Problems()
    last = {key_of(each): each for each in everywhere}  # of a key that is said twice the last counts
    for each in everywhere if runs else ():
        if each not in known:
            problems.extend([unknown((trained or [runs[-1].recipe.stage])[-1], each)])
        elif each in last.values() and not any(takes_effect(run, each) for run in runs):
            text = "changes nothing: every row that has this key sets it itself"
            problems.add(Origin(override=each), key_of(each), text)
    files = {each.file for each in runs}
    for n, each in enumerate(recipe.keep):
        if Path(each) not in files:
            text = f"no row is made from {shown(Path(each))}; name a recipe that one is made from, or take it away"
            problems.add(loaded.origins.get(f"keep[{n}]") or Origin(file=loaded.file), f"keep[{n}]", text)
    problems.refuse()


def refuse_unreached(wanted: Wanted, changes: Sequence[Change], loaded: Loaded, keep: Set[Path]) -> None:
    """RecipeError for a change to a recipe that the row's model, as the row says it, is not made from."""
    reached = chain(loaded, keep)
    problems = [
        Problem(origin=each.origin, key=wanted.name, text=f"sets `{dotted(each.parts)}` of {shown(each.file)}, which "
                "this row's model is not made from, or which `keep` keeps")
        for each in changes if each.file not in reached
    ]  # fmt: skip
    if problems:
        raise RecipeError(problems)
