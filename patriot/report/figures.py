"""How figures read in a report. Rule: what is not told is a dash, and a loss has a sign."""

from collections.abc import Callable, Mapping
from typing import Any

UNTOLD = "–"
NEUTRAL = frozenset({"count", "seconds"})


def money(value: float) -> str:
    """1,234.50; small sums keep their digits."""
    if value and abs(value) < 0.01:
        return f"{value:.3g}".replace("-", "−")
    decimals = 0 if abs(value) >= 1e6 else 2
    return f"{value:,.{decimals}f}".replace("-", "−")


def percent(value: float) -> str:
    if value and abs(value) < 0.0001:
        return f"{value * 100:.4f}%".replace("-", "−")
    return f"{value * 100:,.2f}%".replace("-", "−")


def ratio(value: float) -> str:
    return (f"{value:,.2f}" if abs(value) >= 0.01 or not value else f"{value:.3g}").replace("-", "−")


def count(value: float) -> str:
    return f"{value:,.0f}".replace("-", "−")


def duration(seconds: float) -> str:
    """The two largest units: 3 d 4 h."""
    parts = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        whole, seconds = divmod(seconds, length)
        parts += [f"{whole:,.0f} {unit}"] if whole else []
    parts += [f"{seconds:.3g} s"] if seconds or not parts else []
    return " ".join(parts[:2])


SHORT: Mapping[str, Callable[[float], str]] = {
    "money": money, "percent": percent, "ratio": ratio, "count": count, "seconds": duration,
}  # fmt: skip


def cell(figure: Mapping[str, Any]) -> str:
    """A `FigureView` as text."""
    value = figure["value"]
    return UNTOLD if value is None else SHORT[figure["unit"]](value)


def tone(figure: Mapping[str, Any]) -> str:
    """The CSS class of a figure: up, down, or none where the sign means nothing."""
    value = figure["value"]
    if value is None or not value or figure["unit"] in NEUTRAL or figure["name"] == "total_fees":
        return ""
    return "down" if value < 0 else "up" if figure["unit"] == "money" else ""
