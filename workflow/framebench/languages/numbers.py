"""Ratios and intervals as text, alike on terminal, page and figures."""

MINUS = "−"


def ratio(value: float) -> str:
    """A ratio to two decimals, or to as many as show on which side of 1 it lies: 0.93, 0.997, 1.00."""
    texts = (f"{value:.{decimals}f}" for decimals in range(2, 17))
    return next((text for text in texts if float(text) != 1), f"{value:.2f}")


def interval(low: float, high: float) -> str:
    """The bounds of an interval of a ratio: 0.79–1.09."""
    return f"{ratio(low)}–{ratio(high)}"


def signed(value: float, decimals: int) -> str:
    """A number of any sign, with a minus that is as wide as a digit: −15.17."""
    return f"{value:,.{decimals}f}".replace("-", MINUS)


def between(low: float, high: float, decimals: int) -> str:
    """The bounds of an interval of any signs: 0.39–1.48, and −15.17 – 6.64 where a minus would run into the dash."""
    dash = " – " if low < 0 else "–"
    return f"{signed(low, decimals)}{dash}{signed(high, decimals)}"
