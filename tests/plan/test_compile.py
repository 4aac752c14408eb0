"""When torch.compile pays."""

from dataclasses import replace
from pathlib import Path

from zephyr.plan.compile import compile_verdict
from zephyr.plan.plan import make_plan
from zephyr.recipe import load

ZEPHYR = Path(__file__).parents[2] / "recipes" / "zephyr-7b-beta"


def test_it_pays_on_packed_rows_alone_and_where_it_saves_more_than_it_takes():
    job = make_plan(load(ZEPHYR / "sft.yaml", ["launch.strategy=zero2"])).reckoning.job  # type: ignore[union-attr]
    assert compile_verdict(job, 2.0) == "pays: about 0.27 to 0.43 h of 2.00 (published runs on packed rows)"
    assert compile_verdict(job, 0.2).startswith("does not pay: it would save 0.04 h")
    assert "ZeRO-3" in compile_verdict(replace(job, strategy="zero3"), 2.0)
    assert compile_verdict(replace(job, differing=True), 2.0).startswith("does not pay: rows differ in length")


def test_the_plan_says_so():
    dpo = make_plan(load(ZEPHYR / "dpo.yaml")).reckoning
    assert dpo is not None and dpo.as_json()["torch_compile"].startswith("does not pay: rows differ")
