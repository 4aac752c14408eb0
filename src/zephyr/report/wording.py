"""Numbers as a reader meets them, the same on the page, in Markdown and on the terminal."""

import math
from collections.abc import Sequence

MISSING = "–"
MINUS = "−"


def number(value: float | None, digits: int = 2) -> str:
    """A number with a fixed count of decimals; a dash when there is none."""
    if value is None:
        return MISSING
    if not math.isfinite(value):
        return str(value)
    shown = f"{value:,.{digits}f}"
    shown = shown.lstrip("-") if float(shown.replace(",", "")) == 0 else shown
    return shown.replace("-", MINUS)


def signed(value: float | None, digits: int = 2) -> str:
    """A difference, with its sign."""
    shown = number(value, digits)
    return shown if value is None or shown.startswith(MINUS) or not math.isfinite(value) else f"+{shown}"


def count(value: float | None) -> str:
    """A whole number with thousands separated."""
    return MISSING if value is None else number(value, 0)


def percent(share: float | None) -> str:
    """A share in percent."""
    return MISSING if share is None else f"{number(100 * share, 0)} %"


def interval(bounds: Sequence[float] | None, digits: int = 2) -> str:
    """A confidence interval: `6.71 to 7.25`."""
    return MISSING if not bounds else f"{number(bounds[0], digits)} to {number(bounds[1], digits)}"


def significant(value: float | None, digits: int = 3) -> str:
    """A number of any size with so many significant digits: `0.0002`, `1.23e−7`, `4,321`."""
    if value is None:
        return MISSING
    if isinstance(value, int) or (math.isfinite(value) and value == int(value) and abs(value) < 1e15):
        return count(value)
    decimals = digits - 1 - math.floor(math.log10(abs(value))) if math.isfinite(value) else 0
    if decimals > 6:
        return scientific(value, digits - 1)
    return number(value, max(decimals, 0))


def scientific(value: float, decimals: int) -> str:
    """`5.00e−7`."""
    digits, exponent = f"{value:.{decimals}e}".split("e")
    return f"{digits}e{int(exponent)}".replace("-", MINUS)


def short(value: float) -> str:
    """A setting or a number at an axis, no longer than it must be: `0.002`, `4e−5`, `1,200`."""
    if value and abs(value) < 1e-3:
        return scientific(value, 1).replace(".0e", "e")
    return f"{value:,.10g}".replace("-", MINUS)


def duration(seconds: float | None) -> str:
    """A time span: `8.4 s`, `3 min 24 s`, `6 h 38 min`."""
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def times(value: float, singular: str, plural: str | None = None) -> str:
    """A count with its noun: `1 process`, `16 sequences`."""
    return f"{count(value)} {singular if value == 1 else plural or singular + 's'}"
