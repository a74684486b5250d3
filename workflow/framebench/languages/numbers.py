"""Numbers in the form that readers see everywhere: ratios, intervals, and a minus sign."""

from collections.abc import Callable
from math import floor, isnan, log10


def number(value: float, form: str) -> str:
    """`value` in one of Python's formats, such as `+.1f`, with a minus sign."""
    return format(value, form).replace("-", "−")


def significant(value: float) -> str:
    """With three significant digits, or all digits before the point: `9.32`, `350`, `5,987`."""
    decimals = 2 - floor(log10(abs(value))) if value else 0
    return number(value, f",.{max(0, decimals)}f")


def ratio(value: float) -> str:
    """With two decimals, or as many as it takes to differ from 1 and from 0."""
    texts = (f"{value:.{decimals}f}" for decimals in range(2, 17))
    return next((text for text in texts if float(text) not in (0, 1)), f"{value:.2f}")


def interval(low: float, high: float, said: Callable[[float], str] = ratio) -> str:
    """Both ends and a dash, spaced if an end has a sign; `said` formats an end."""
    return (" – " if min(low, high) < 0 else "–").join([said(low), said(high)])


def bounded(value: float, low: float | None, high: float | None, said: Callable[[float], str] = ratio) -> str:
    """A value with its interval, if it has one: `0.62 (0.57–0.67)`."""
    if low is None or high is None or isnan(low):
        return said(value)
    return f"{said(value)} ({interval(low, high, said)})"
