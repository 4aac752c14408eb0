"""The report as one HTML page that needs nothing but itself: no network, no script."""

from importlib import resources

from jinja2 import Environment, StrictUndefined

import zephyr
from zephyr.report.contents import Contents, Evaluation, Section, paper_context
from zephyr.report.figures import READING_CURVES, Picture, category_picture, curves, score_picture
from zephyr.report.radar import radar_picture
from zephyr.report.wording import number


def page(report: Contents) -> str:
    """The whole report as HTML."""
    source = (resources.files("zephyr.report") / "page.html.jinja").read_text()
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters["score"] = number
    return environment.from_string(source).render(
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
