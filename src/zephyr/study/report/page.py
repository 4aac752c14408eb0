"""A study's report as one HTML page that needs nothing but itself: no network, no script."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import zephyr
from zephyr.report.templates import template
from zephyr.study.report.contents import Report
from zephyr.study.report.outcome import WorkOutcome

if TYPE_CHECKING:
    from zephyr.report.figures import Picture

NO_PICTURES = "Pictures need matplotlib: pip install 'zephyr-recipes[report]', then the same command again."


def page(report: Report, directory: Path) -> str:
    """The page as HTML; `directory` is where it will lie, which links to runs' own reports start from."""
    pictures, note = _pictures(report)
    return template("zephyr.study.report", "study.html.jinja").render(
        report=report,
        pictures=pictures,
        picture_note=note,
        link=_linked(directory),
        version=zephyr.__version__,
    )


def _pictures(report: Report) -> tuple[dict[str, tuple["Picture", ...]], str]:
    """Heading -> pictures, and what to say in place of those that there can't be."""
    try:
        from zephyr.study.report.curves import curve_pictures  # matplotlib: an extra
        from zephyr.study.report.grid_pictures import grid_pictures
        from zephyr.study.report.pictures import score_pictures
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "matplotlib":
            raise
        return {}, NO_PICTURES
    of_grid, note = grid_pictures(report.tabled)
    found = {
        "The grid": of_grid,
        "Scores": score_pictures(report.tabled),
        "Training": curve_pictures(report.tabled.outcome),
    }
    return {heading: pictures for heading, pictures in found.items() if pictures}, note


def _linked(directory: Path) -> Callable[[WorkOutcome], str | None]:
    """Where a run's own report is, seen from the page; None where it has none."""

    def link(work: WorkOutcome) -> str | None:
        own = work.work.loaded.run_dir / "report.html"
        return os.path.relpath(own, directory) if own.is_file() else None

    return link
