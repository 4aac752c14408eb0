"""Whether two figures measure the same thing, so that a difference of the two says something."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from zephyr.recipe.problems import listed
from zephyr.report.read import Run
from zephyr.study.report.columns import Column
from zephyr.study.report.outcome import CellOutcome, RowOutcome

OF_A_LOSS = (
    "train.loss_type", "train.beta", "train.label_smoothing", "trl.loss_type", "trl.loss_weights", "trl.ld_alpha",
    "trl.f_divergence_type", "trl.f_alpha_divergence_coef", "trl.use_weighting", "trl.discopop_tau",
    "trl.sync_ref_model", "trl.ref_model_mixup_alpha", "trl.ref_model_sync_steps", "trl.router_aux_loss_coef",
)  # fmt: skip
"""Settings that make a training's loss another function of the same log-probabilities."""
OF_A_REWARD = ("train.beta", "trl.ld_alpha")
"""Settings that scale dDPO's rewards, which an accuracy does not depend on."""
NOT_COMPARED = "not compared: "


def why_apart(column: Column, base: CellOutcome, row: CellOutcome) -> str:
    """Why a figure of one row with one seed measures something else than another's; empty where it does not.

    Both have the figure.
    """
    if column.benchmark is not None:
        a, b = base.scores[column.benchmark], row.scores[column.benchmark]
        said = [f"another {what} ({a.get(what)}, {b.get(what)})" for what in ("judge", "baseline")
                if a.get(what) != b.get(what)]  # fmt: skip
    else:
        assert base.model is not None and row.model is not None  # that is where the figure is from
        said = list(_of_training(column.key, base.model, row.model))
    return f"{NOT_COMPARED}{said[0]}" if said else ""


def why_unlike(column: Column, rows: Iterable[RowOutcome]) -> str:
    """Why the figures of some rows are not on one scale, as the end of a sentence; empty where all are."""
    for pairs in zip(*(row.cells for row in rows), strict=True):
        there = [each for each in pairs if _has(each, column)]
        said = (why_apart(column, there[0], each) for each in there[1:])
        if found := next(filter(None, said), ""):
            return f"not on one scale: {found.removeprefix(NOT_COMPARED)}."
    return ""


def why_unlike_curves(metric: str, runs: Sequence[Run]) -> str:
    """The same of what runs of one stage logged while training."""
    found = next((said for run in runs[1:] for said in _of_training(metric, runs[0], run)), "")
    return f"not on one scale: {found}." if found else ""


def _has(cell: CellOutcome, column: Column) -> bool:
    if column.benchmark is not None:
        return column.benchmark in cell.scores
    return cell.model is not None and column.key in cell.numbers


def _of_training(key: str, a: Run, b: Run) -> Iterator[str]:
    """What differs between two training runs of that which a figure of theirs measures, the most telling first."""
    if a.stage != b.stage:
        yield "another stage's figure"
        return
    name, held_out = key.removeprefix("eval_"), key.startswith("eval_")
    loss, reward = name in ("loss", "train_loss"), name.startswith("rewards/") and not name.endswith("accuracies")
    if differing := _differing(OF_A_LOSS if loss else OF_A_REWARD if reward else (), a, b):
        values = "; ".join(f"{_shown(_value(a, key))}, {_shown(_value(b, key))}" for key in differing)
        yield f"another {listed([key.partition('.')[2] for key in differing], 'and').replace('`', '')} ({values})"
    if held_out and (a.recipe["data"]["eval"] != b.recipe["data"]["eval"] or _counted(a, b, "rows_used")):
        yield "other held-out rows"
    if name == "train_loss" and a.recipe["data"]["train"] != b.recipe["data"]["train"]:
        yield "other training rows"
    if held_out and (loss or reward) and _counted(a, b, "tokens", "loss_tokens"):
        yield "the held-out rows are other tokens"  # by another tokenizer, template or cut


def _differing(keys: Sequence[str], a: Run, b: Run) -> list[str]:
    return [key for key in keys if _value(a, key) != _value(b, key)]


def _value(run: Run, key: str) -> Any:
    section, _, name = key.partition(".")
    return (run.recipe.get(section) or {}).get(name)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)


def _counted(a: Run, b: Run, *names: str) -> bool:
    """Whether two runs have counted their held-out data, and otherwise."""
    first, second = ((run.result.get("data") or {}).get("eval") or {} for run in (a, b))
    return bool(first and second) and any(first.get(name) != second.get(name) for name in names)
