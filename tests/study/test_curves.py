"""Training curves of a study: seeds laid over each other."""

from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")

from zephyr.report.read import Run
from zephyr.study.report.curves import band


def run(values: list[tuple[float, float]], metric: str = "loss", *, finished: bool = True, margin: float = 1.0) -> Run:
    prefix = "eval_" if metric.startswith("eval_") else ""
    rows = [{"step": step, f"{prefix}loss": value, metric: value,
             f"{prefix}rewards/margins": margin if step else 0.0} for step, value in values]  # fmt: skip
    return Run(directory=Path("run"), recipe_text="", recipe={"stage": "dpo"}, metrics=tuple(rows),
               result={"status": "finished"} if finished else {})  # fmt: skip


def test_one_run_is_as_it_logged() -> None:
    assert band([run([(1, 0.7), (5, 0.5)])], "loss") == [(1, 0.7, 0.7, 0.7), (5, 0.5, 0.5, 0.5)]


def test_seeds_of_other_lengths_end_together() -> None:
    """Else the last points were of one seed each, and the mean would jump between them."""
    found = band([run([(0, 1.0), (90, 0.4)]), run([(0, 1.2), (110, 0.6)])], "loss")
    assert found == [(0, pytest.approx(1.1), 1.0, 1.2), (100, pytest.approx(0.5), 0.4, 0.6)]


def test_a_run_that_goes_on_counts_as_far_as_it_has_come() -> None:
    done, running = run([(0, 1.0), (50, 0.8), (100, 0.6)]), run([(0, 2.0), (50, 1.8)], finished=False)
    assert [each[1] for each in band([done, running], "loss")] == pytest.approx([1.5, 1.3, 0.6])


def test_accuracy_begins_where_rewards_differ() -> None:
    found = band([run([(0, 0.0), (10, 0.8)], "eval_rewards/accuracies")], "eval_rewards/accuracies")
    assert found == [(10, 0.8, 0.8, 0.8)]


def test_nothing_logged_is_no_curve() -> None:
    assert band([run([(1, 0.7)])], "eval_loss") == [] == band([run([(1, float("nan"))])], "loss")
