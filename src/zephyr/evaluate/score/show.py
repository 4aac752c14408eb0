"""The figures of `zephyr score` on the terminal, for someone who has not seen them before."""

from collections.abc import Sequence
from itertools import pairwise

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from zephyr.evaluate.alpaca_eval.score import WinRate
from zephyr.evaluate.mt_bench.score import MtBenchScore
from zephyr.evaluate.score.read import Comparison, Scored, comparisons
from zephyr.evaluate.statistics import Difference, Mean
from zephyr.report.table import Cell, Column, Table, words
from zephyr.report.terminal import drawn
from zephyr.report.wording import count, interval, number, signed

MOST_PAIRS = 10
"""Differences listed; of more models only neighbours are compared, the JSON having all."""
MT_BENCH_NOTE = (
    "Score: mean of all ratings, 1 to 10, over both turns. n: ratings; failed: judgments without one, in no mean and "
    "never a zero. Intervals are 95 %: how far the mean would move with other questions (drawn again by question, as "
    "its turns go together). Only scores by the same judge can be compared; the Zephyr paper's is GPT-4 of October "
    "2023."
)
ALPACA_EVAL_NOTE = (
    "Won: answers preferred to the baseline's, in percent with the standard error; a draw is a half. n: judged pairs; "
    "failed: pairs whose judgment could not be read, in no mean. Intervals are 95 %, by drawing instructions again. "
    "Length: mean characters of an answer (the baseline's: {length}); judges tend to prefer the longer one."
)
PAIRED_NOTE = (
    "Both answered the same questions; the difference is taken question by question. Not separable: the interval "
    "includes zero, so these judgments do not show which is better."
)


def show(groups: Sequence[Sequence[Scored]], console: Console) -> None:
    """Prints each group's table, categories, differences and notes."""
    for at, group in enumerate(groups):
        if at:
            console.print()
        console.print(Text(title(group), style="bold"))
        for table in tables(group):
            console.print()
            console.print(drawn(table))
            if table.note:
                console.print()
                console.print(Padding(Text(table.note, style="dim"), (0, 2)))
        for each in group:
            for note in each.figures.notes:
                console.print()
                console.print(Padding(Text(f"{each.label}: {note}."), (0, 2)))


def title(group: Sequence[Scored]) -> str:
    """What was judged, by whom, and where it stands."""
    figures = group[0].figures
    files = ", ".join(dict.fromkeys(str(each.file) for each in group))
    if isinstance(figures, MtBenchScore):
        return f"MT-Bench, single answers rated by {figures.judge}: {files}"
    judge, baseline = figures.annotator or "an unnamed judge", figures.baseline or "an unnamed baseline"
    return f"AlpacaEval against {baseline}, judged by {judge}: {files}"


def tables(group: Sequence[Scored]) -> list[Table]:
    """Scores, categories and differences of comparable models."""
    first = group[0].figures
    scores = [_mt_bench(group), _categories(group)] if isinstance(first, MtBenchScore) else [_alpaca_eval(group)]
    return [table for table in [*scores, _differences(comparisons(group), group)] if table]


def _mt_bench(group: Sequence[Scored]) -> Table:
    rows = []
    for each in group:
        if isinstance(found := each.figures, MtBenchScore):
            turns = (_cell(found.by_turn.get(1)), _cell(found.by_turn.get(2)))
            rows.append((words(each.label), *_scored(found.average), *turns, *_counts(found.n, found.n_failed)))
    numbers = ("score", "95 % interval", "turn 1", "turn 2", "n", "failed")
    columns = (Column("model"), *(Column(name, True) for name in numbers))
    return Table(id="mt-bench", title="Scores", columns=columns, rows=tuple(rows), note=MT_BENCH_NOTE)


def _categories(group: Sequence[Scored]) -> Table | None:
    found = [(each.label, each.figures) for each in group if isinstance(each.figures, MtBenchScore)]
    names = tuple(dict.fromkeys(name for _, figures in found for name in figures.by_category))
    if not names:
        return None
    rows = []
    for name in names:
        means = [figures.by_category.get(name) for _, figures in found]
        rows.append((words(name), *(Cell(mean.value, _with_interval(mean)) if mean else words("–") for mean in means)))
    columns = (Column("category"), *(Column(label, True) for label, _ in found))
    sizes = sorted({mean.n for _, figures in found for mean in figures.by_category.values()})
    size = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    note = f"In brackets 95 % intervals; n is {size} ratings in a category, so they are wide."
    return Table(id="mt-bench-categories", title="Categories", columns=columns, rows=tuple(rows), note=note)


def _alpaca_eval(group: Sequence[Scored]) -> Table:
    rows, lengths = [], set()
    for each in group:
        if isinstance(found := each.figures, WinRate):
            error = "" if found.standard_error is None else f"±{number(found.standard_error)}"
            won = Cell(found.rate and found.rate.value, _cell(found.rate).text + error)
            bounds = Cell(found.rate and found.rate.bounds, _range(found.rate))
            outcome = words(f"{found.wins}/{found.losses}/{found.draws}")
            length = Cell(found.length, count(found.length))
            rows.append((words(each.label), won, bounds, outcome, *_counts(found.n, found.n_failed), length))
            lengths.add(count(found.baseline_length))
    numbers = ("won, %", "95 % interval", "won/lost /drawn", "n", "failed", "length")
    columns = (Column("model"), *(Column(name, True) for name in numbers))
    note = ALPACA_EVAL_NOTE.format(length=" or ".join(sorted(lengths)))
    return Table(id="alpaca-eval", title="Win rates", columns=columns, rows=tuple(rows), note=note)


def _scored(mean: Mean | None) -> tuple[Cell, Cell]:
    bounds = mean.bounds if mean else None
    return _cell(mean), Cell(bounds, interval(bounds))


def _cell(mean: Mean | None) -> Cell:
    value = mean.value if mean else None
    return Cell(value, number(value))


def _counts(n: int, n_failed: int) -> tuple[Cell, Cell]:
    return Cell(n, count(n)), Cell(n_failed, count(n_failed))


def _with_interval(mean: Mean) -> str:
    return f"{number(mean.value)} ({_range(mean)})"


def _range(mean: Mean | None) -> str:
    return "–".join(number(bound, 1) for bound in mean.bounds) if mean and mean.bounds else "–"


def _differences(compared: Sequence[Comparison], group: Sequence[Scored]) -> Table | None:
    neighbours = {(a.label, b.label) for b, a in pairwise(group)}
    listed = [each for each in compared if len(compared) <= MOST_PAIRS or (each.a, each.b) in neighbours]
    if not listed:
        return None
    rows = []
    for each in listed:
        name = words(f"{each.b} over {each.a}")
        if isinstance(found := each.difference, Difference):
            verdict = words("separable" if found.separable else "not separable")
            bounds = Cell(found.interval, interval(found.interval))
            rows.append((name, Cell(found.value, signed(found.value)), bounds, Cell(found.n, count(found.n)), verdict))
        else:
            rows.append((name, words("–"), words("–"), words("0"), words(f"not compared: {found}")))
    columns = (
        Column("difference"),
        Column("points", True),
        Column("95 % interval", True),
        Column("questions", True),
        Column("verdict"),
    )
    note = PAIRED_NOTE
    if len(listed) < len(compared):
        note += f" Neighbours only; --json has all {len(compared)} pairs."
    return Table(id="differences", title="Paired differences", columns=columns, rows=tuple(rows), note=note)
