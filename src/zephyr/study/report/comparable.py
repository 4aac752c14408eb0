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
        said = list(_of_training(column, base.model, row.model))
    return f"{NOT_COMPARED}{said[0]}" if said else ""


def why_unlike(column: Column, rows: Iterable[RowOutcome]) -> str:
    """Why the figures of some rows are not on one scale; empty where all are."""
    for pairs in zip(*(row.cells for row in rows), strict=True):
        there = [each for each in pairs if _has(each, column)]
        said = (why_apart(column, there[0], each) for each in there[1:])
        if found := next(filter(None, said), ""):
            return found
    return ""


def _has(cell: CellOutcome, column: Column) -> bool:
    if column.benchmark is not None:
        return column.benchmark in cell.scores
    return cell.model is not None and column.key in cell.numbers


def _of_training(column: Column, a: Run, b: Run) -> Iterator[str]:
    """What differs between two training runs of that which their figure measures, the most telling first."""
    if a.stage != b.stage:
        yield "another stage's figure"
        return
    name, held_out = column.key.removeprefix("eval_"), column.key.startswith("eval_")
    loss, reward = name in ("loss", "train_loss"), name.startswith("rewards/") and not name.endswith("accuracies")
    if differing := _differing(OF_A_LOSS if loss else OF_A_REWARD if reward else (), a, b):
        values = "; ".join(f"{_shown(_value(a, key))}, {_shown(_value(b, key))}" for key in differing)
        yield f"another {listed([key.partition('.')[2] for key in differing], 'and').replace('`', '')} ({values})"
    if held_out and _held_out(a) != _held_out(b):
        yield "other held-out rows"
    if name == "train_loss" and a.recipe["data"]["train"] != b.recipe["data"]["train"]:
        yield "other training rows"
    if held_out and (loss or reward) and _tokens(a) != _tokens(b):
        yield "the held-out rows are other tokens"


def _differing(keys: Sequence[str], a: Run, b: Run) -> list[str]:
    return [key for key in keys if _value(a, key) != _value(b, key)]


def _value(run: Run, key: str) -> Any:
    section, _, name = key.partition(".")
    return (run.recipe.get(section) or {}).get(name)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)


def _held_out(run: Run) -> tuple[Any, Any]:
    """Where a run's held-out rows are from, and how many it used."""
    return run.recipe["data"]["eval"], _counted(run).get("rows_used")


def _tokens(run: Run) -> tuple[Any, Any]:
    """Held-out tokens: of the same rows more or less by another tokenizer, template or cut."""
    return _counted(run).get("tokens"), _counted(run).get("loss_tokens")


def _counted(run: Run) -> dict[str, Any]:
    return (run.result.get("data") or {}).get("eval") or {}
