"""Who judged a benchmark, where and when, and how another judge's scores relate to known ones."""

from typing import Any

from zephyr.report.read import Run, anchor
from zephyr.report.table import Cell, Column, Table, words
from zephyr.report.wording import MISSING, count, interval, number, percent, signed

CALIBRATION_NOTE = (
    "The same answers, judged by both. Offset: ours minus known, in points. Same: share with the same rating (rounded) "
    "or winner. It says what kind of judge this is; it does not turn its scores into the other's."
)


def judge_table(run: Run, benchmark: str) -> Table | None:
    """The judge's name, endpoint, dates and failures; None for a benchmark without a judge."""
    found = (run.result.get("judging") or {}).get(benchmark)
    if not found:
        return None
    dates = " to ".join(dict.fromkeys(str(found[key])[:10] for key in ("from", "to") if found.get(key)))
    told = {
        "judge": found["model"],
        "endpoint": found["base_url"] or "in this process",
        "served": ", ".join(f"{name} ({count(n)})" for name, n in found["served"].items()) or MISSING,
        "judged": dates or MISSING,
        "failed": _failed(found["failed"]),
    }
    rows = tuple((words(key), words(value)) for key, value in told.items())
    columns = (Column("judging"), Column(""))
    return Table(id=f"judge-{benchmark}-{anchor(run)}", title="Who judged", columns=columns, rows=rows, note="")


def _failed(failed: list[dict[str, Any]]) -> str:
    reasons: dict[str, int] = {}
    for each in failed:
        reasons[each["reason"]] = reasons.get(each["reason"], 0) + 1
    return ", ".join(f"{count(n)} {reason}" for reason, n in reasons.items()) or "none"


def calibration_table(run: Run, benchmark: str) -> Table | None:
    """The judge beside one whose ratings are known; None where it was not calibrated."""
    found = ((run.result.get("judging") or {}).get(benchmark) or {}).get("calibration")
    if not found:
        return None
    row = (
        words(f"{found['judge']} beside {found['known_judge']}"),
        Cell(found["offset"], signed(found["offset"])),
        Cell(found["interval"], interval(found["interval"])),
        Cell(found["rank_correlation"], number(found["rank_correlation"])),
        Cell(found["same"], percent(found["same"])),
        Cell(found["n"], count(found["n"])),
        Cell(found["n_failed"], count(found["n_failed"])),
    )
    names = ("offset", "95 % interval", "rank correlation", "same", "n", "failed")
    columns = (Column("calibration"), *(Column(name, True) for name in names))
    note = CALIBRATION_NOTE
    if models := found.get("models"):
        means = (f"{each['model']} {number(each['known'])} known, {number(each['ours'])} ours" for each in models)
        note += f" Means: {'; '.join(means)}."
    return Table(id=f"calibration-{benchmark}-{anchor(run)}", title="The judge, calibrated", columns=columns,
                 rows=(row,), note=note)  # fmt: skip
