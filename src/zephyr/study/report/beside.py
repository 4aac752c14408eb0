"""The paper's figures beside a study's, with its differences beside ours; only numbers that the paper printed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from zephyr.recipe import DpoRecipe, SftRecipe
from zephyr.report.against import BENCHMARKS
from zephyr.report.contents import paper_context
from zephyr.report.paper import ablation_row, published
from zephyr.report.table import Cell, Table, words
from zephyr.report.table import Column as Heading
from zephyr.report.wording import MISSING, number, signed
from zephyr.study.expand import STARTS_FROM, Study
from zephyr.study.report.columns import Column
from zephyr.study.report.outcome import RowOutcome
from zephyr.study.report.table import DIFFERENCE, Tabled, difference_cell, figure_cell, over, over_base


@dataclass(frozen=True, kw_only=True)
class Printed:
    """A row of the paper's with ours."""

    name: str
    what: str
    """What it is, or where the paper prints it."""
    mt_bench: float
    alpaca_eval: tuple[float, float]
    """Percent won and its standard error."""
    ours: RowOutcome | None
    """None: this study has no such row."""


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What stands beside the study's table."""

    table: Table
    context: str
    """What can be compared."""
    shape: tuple[str, ...]
    """Of each difference whether ours goes the way of the paper's."""
    caveats: tuple[str, ...]


def beside_the_paper(found: Tabled, between: str = "\n") -> Beside | None:
    """The paper's figures that the study asks for, ours beside them; None where it asks for none or shows no score.

    Args:
        found: our figures.
        between: as for `main_table`.
    """
    study = found.outcome.study
    columns = [each for each in found.columns if each.benchmark is not None]
    if study.recipe.paper is None or not columns:
        return None
    table_3 = study.recipe.paper == "table 3"
    printed = _of_table_3(found) if table_3 else _of_figure_3(found)
    source = published()["ablation" if table_3 else "epochs"]
    base = next((each for each in printed if each.ours and each.ours.name == found.outcome.base.name), None)
    told = "; ".join(f"{each.name}: {each.what}" for each in printed)
    first = next((each.benchmark for each in columns if each.benchmark in BENCHMARKS), columns[0].benchmark)
    context, caveats = paper_context(first or "")
    rows = tuple(_row(each, base, columns, found, between) for each in printed)
    others = [each for each in printed if base and each.ours and each is not base]
    return Beside(
        table=Table(
            id="paper", title="Beside the paper",
            columns=_headings(base, columns, found), rows=rows,
            note=f"{told}. {_separable(base)}Source: {source['source']}. {source['note']}",
        ),
        context=context,
        shape=tuple(_shape(each, base, columns[0], found) for each in others if base),
        caveats=caveats if table_3 else (*source["caveats"], *caveats[1:]),
    )  # fmt: skip


def _shape(each: Printed, base: Printed, column: Column, found: Tabled) -> str:
    assert each.ours is not None  # those that we have
    compared, paper = found.of(each.ours, column).compared, each.mt_bench - base.mt_bench
    told = f"{each.name} over {base.name}: {signed(paper)} on the paper's MT-Bench"
    if isinstance(compared, str):
        return f"{told}; here {compared}."
    if compared is None:
        return f"{told}; here there is no difference yet."
    if compared.same:
        return f"{told}; here the two are the same run."
    here = f"{column.shown_difference(compared.difference)} here ({column.title})"
    if compared.separable is False:
        return f"{told}, {here}, not separable from zero."
    same = compared.difference * paper > 0
    return f"{told}, {here}: {'the same way' if same else 'the other way round'}."


def _separable(base: Printed | None) -> str:
    return (
        "Whether the paper's AlpacaEval differences are separable is reckoned from its standard errors, as of separate "
        "samples; it prints none for MT-Bench. "
        if base
        else "The paper has no row like the one that ours are set against, so it has no differences here. "
    )


def _of_table_3(found: Tabled) -> tuple[Printed, ...]:
    ours: dict[str, RowOutcome] = {}
    for row in found.outcome.rows:
        if same := ablation_row(row.name):
            ours.setdefault(same["name"], row)
    return tuple(
        Printed(name=each["name"], what=each["is"], mt_bench=each["mt_bench"], alpaca_eval=tuple(each["alpaca_eval"]),
                ours=ours.get(each["name"]))
        for each in published()["ablation"]["rows"]
    )  # fmt: skip


def _of_figure_3(found: Tabled) -> tuple[Printed, ...]:
    ours: dict[tuple[float, float] | None, RowOutcome] = {}
    for row in found.outcome.rows:
        ours.setdefault(epochs_of(found.outcome.study, row.name), row)
    return tuple(
        Printed(name=each["name"], what=each["source"], mt_bench=each["mt_bench"],
                alpaca_eval=tuple(each["alpaca_eval"]), ours=ours.get((each["dsft"], each["ddpo"])))
        for each in published()["epochs"]["points"]
    )  # fmt: skip


def epochs_of(study: Study, row: str) -> tuple[float, float] | None:
    """Epochs of dSFT and of dDPO that made a row's model; None for one that is not made so."""
    loaded = next(each for each in study.rows if each.name == row).cells[0].model
    epochs: dict[str, list[float]] = {"sft": [], "dpo": []}
    while loaded is not None:
        if isinstance(loaded.recipe, SftRecipe | DpoRecipe):
            epochs[loaded.recipe.stage].append(loaded.recipe.train.num_train_epochs)
        loaded = next((each.loaded for each in loaded.inputs if each.field == STARTS_FROM), None)
    if len(epochs["sft"]) != 1 or len(epochs["dpo"]) > 1:
        return None
    return epochs["sft"][0], sum(epochs["dpo"])


def _headings(base: Printed | None, columns: Sequence[Column], found: Tabled) -> tuple[Heading, ...]:
    theirs = over(base.name) if base else DIFFERENCE
    headings = [Heading("the paper's row")]
    for title in ("paper: MT-Bench", "paper: AlpacaEval, % ± SE"):
        headings += [Heading(title, True), Heading(theirs, True)]
    for column in columns:
        headings += [Heading(f"here: {column.title}", True), Heading(over_base(found), True)]
    return tuple(headings)


def _row(
    each: Printed, base: Printed | None, columns: Sequence[Column], found: Tabled, between: str
) -> tuple[Cell, ...]:
    mean, error = each.alpaca_eval
    cells = [
        words(each.name),
        Cell(each.mt_bench, number(each.mt_bench)),
        _mt_bench(each, base),
        Cell([mean, error], f"{number(mean)} ± {number(error)}"),
        _alpaca_eval(each, base, between),
    ]
    for column in columns:
        if each.ours is None:
            cells += [Cell(None, MISSING), Cell(None, MISSING)]
        else:
            entry = found.of(each.ours, column)
            cells += [figure_cell(entry, between), difference_cell(entry, between)]
    return tuple(cells)


def _mt_bench(each: Printed, base: Printed | None) -> Cell:
    if base is None or each is base:
        return Cell(None, MISSING)
    difference = round(each.mt_bench - base.mt_bench, 2)
    return Cell(difference, signed(difference))


def _alpaca_eval(each: Printed, base: Printed | None, between: str) -> Cell:
    if base is None or each is base:
        return Cell(None, MISSING)
    (a, error_a), (b, error_b) = base.alpaca_eval, each.alpaca_eval
    difference = round(b - a, 2)
    separable = abs(difference) > 1.96 * math.hypot(error_a, error_b)
    verdict = "separable" if separable else "not separable"
    text = signed(difference) + (f"\n{verdict}" if between == "\n" else f" ({verdict})")
    return Cell([difference, separable], text)
