"""The report as one HTML page that needs nothing but itself: no network, no script."""

import zephyr
from zephyr.report.contents import Contents, Evaluation, Section, paper_context
from zephyr.report.figures import READING_CURVES, Picture, category_picture, curves, score_picture
from zephyr.report.radar import radar_picture
from zephyr.report.templates import template


def page(report: Contents) -> str:
    """The whole report as HTML."""
    return template("zephyr.report", "page.html.jinja").render(
        report=report,
        score_pictures=_score_pictures,
        curves=_curves,
        reading_curves=READING_CURVES,
        paper_context=paper_context,
        version=zephyr.__version__,
    )


def _score_pictures(each: Evaluation) -> list[Picture]:
    draw = (score_picture, category_picture, radar_picture)
    drawn = [make(each.run, each.benchmark) for make in draw]
    return [picture for picture in drawn if picture]


def _curves(section: Section) -> tuple[Picture, ...]:
    return curves(section.run)
