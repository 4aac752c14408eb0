"""Draws with matplotlib into SVG that lives inside the page: its colours and typeface are the page's, light or dark."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator

from zephyr.report.wording import short

# Stand-ins that become the page's CSS variables, so that one picture reads well on light and on dark.
COLOURS = {
    "ink": "#010101",
    "quiet": "#020202",
    "grid": "#030303",
    "paper": "#040404",
    "series-1": "#050505",
    "series-2": "#060606",
    "series-3": "#070707",
    "series-4": "#080808",
    "series-5": "#090909",
}
SERIES = tuple(name for name in COLOURS if name.startswith("series"))
STYLE = {
    "svg.fonttype": "none",  # text stays text, set in the page's typeface
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    "text.parse_math": False,  # a model's name may have a dollar sign
    "text.color": COLOURS["ink"],
    "axes.edgecolor": COLOURS["grid"],
    "axes.labelcolor": COLOURS["quiet"],
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 0.6,
    "xtick.color": COLOURS["grid"],
    "ytick.color": COLOURS["grid"],
    "xtick.labelcolor": COLOURS["quiet"],
    "ytick.labelcolor": COLOURS["quiet"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.solid_capstyle": "round",
    "path.simplify_threshold": 0.3,
}


class Drawing:
    """A picture being drawn: axes, and the SVG it became once its `with` block ended."""

    def __init__(self, figure: Figure, projection: str = "rectilinear") -> None:
        self.axes: Axes = figure.add_subplot(projection=projection)
        self.svg = ""


@contextmanager
def drawing(id: str, alt: str, *, width: float, height: float) -> Iterator[Drawing]:
    """Gives axes to draw on (size in inches); afterwards `.svg` is the element to put into the page.

    The same drawing gives the same bytes: no date, and ids salted with the figure's own.
    """
    with rc_context({**STYLE, "svg.hashsalt": id}):
        figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02))
        picture = Drawing(figure)
        picture.axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        picture.axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        picture.axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
        picture.axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        yield picture
        picture.svg = _written(figure, alt)


@contextmanager
def polar_drawing(id: str, alt: str, *, width: float, height: float) -> Iterator[Drawing]:
    """As `drawing`, with polar axes whose ticks are left to the one who draws."""
    with rc_context({**STYLE, "svg.hashsalt": id}):
        figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02))
        picture = Drawing(figure, "polar")
        yield picture
        picture.svg = _written(figure, alt)


def _written(figure: Figure, alt: str) -> str:
    written = io.StringIO()
    figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    return for_the_page(written.getvalue(), alt)


def for_the_page(svg: str, alt: str) -> str:
    """matplotlib's SVG file as an element of a page: no prolog, size or style of its own, and only the ids it needs."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    view = re.search(r'viewBox="([^"]+)"', svg)
    assert view is not None  # matplotlib always writes it
    used = set(re.findall(r"url\(#([^)]+)\)", svg)) | set(re.findall(r'href="#([^"]+)"', svg))
    svg = re.sub(r' id="([^"]+)"', lambda found: found.group(0) if found.group(1) in used else "", svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = re.sub(r"<[^>]*>", lambda found: _rounded(found.group(0)), svg)
    for name, stand_in in COLOURS.items():
        svg = svg.replace(stand_in, f"var(--{name})")
    opening = f'<svg viewBox="{view.group(1)}" role="img" aria-label="{escape(alt)}">'
    svg = re.sub(r"<svg[^>]*>", lambda _: opening, svg, count=1)
    return re.sub(r"\n\s*", "\n", svg).strip()


def _rounded(tag: str) -> str:
    """Coordinates to a hundredth of a point, finer than any screen; text between tags is left as it is."""
    return re.sub(r"(\d\.\d\d)\d+", r"\1", tag)
