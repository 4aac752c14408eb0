"""The `report` stage: one page and one table of several runs."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from zephyr.errors import UserError
from zephyr.report.contents import Contents, contents, report_data
from zephyr.report.markdown import markdown
from zephyr.report.read import read_chain, read_run
from zephyr.report.terminal import summary

if TYPE_CHECKING:
    from zephyr.recipe import ReportRecipe

FILES = ("report.html", "report.md", "report.json")


def run(recipe: "ReportRecipe", run_dir: Path) -> dict[str, Any]:
    """Writes report.html, report.md and report.json of the recipe's runs and all they were made from.

    Returns what result.json gets: how many runs and models were shown, and the runs' warnings.
    """
    report = write(recipe.title, [Path(each) for each in recipe.runs], run_dir)
    return {
        "numbers": {
            "runs": len(report.sections),
            "runs_finished": sum(section.run.finished for section in report.sections),
            "models_scored": sum(len(each.scores.rows) for each in report.evaluations),
        },
        "files": list(FILES),
        "warnings": [*report.notes, *_warnings(report)],
    }


def _warnings(report: Contents) -> list[str]:
    return [f"{section.run.name}: {warning}" for section in report.sections for warning in section.warnings]


def report_directory(directory: Path) -> Path:
    """Reports on any one run and all it was made from, into the run's own directory; returns the page's path.

    Raises:
        UserError: the directory is no run directory.
    """
    found = read_run(directory)
    title = found.recipe["title"] if found.stage == "report" else found.name
    write(title, [directory], found.directory)
    return found.directory / FILES[0]


def write(title: str, directories: Iterable[Path], target: Path) -> Contents:
    """Reads the runs, writes the report's three files into `target` and prints the summary."""
    chain = read_chain(directories)
    if not chain.runs:
        raise UserError("; ".join(["None of the runs to report on is there", *chain.notes]) + ".")
    report = contents(title, chain)
    target.mkdir(parents=True, exist_ok=True)
    texts = (_page(report), markdown(report), json.dumps(report_data(report), indent=1, ensure_ascii=False) + "\n")
    for name, text in zip(FILES, texts, strict=True):
        (target / name).write_text(text)
    page = target / FILES[0]
    summary(report, Console(), page.relative_to(Path.cwd()) if page.is_relative_to(Path.cwd()) else page)
    return report


def _page(report: Contents) -> str:
    try:
        from zephyr.report.page import page  # matplotlib: an extra
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise UserError("The report's pictures need matplotlib: pip install 'zephyr-recipes[report]'") from None
    return page(report)
