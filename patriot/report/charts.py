"""Charts as inline SVG. Rule: colours are the page's CSS variables, so a chart reads in light and in dark.

Coordinates are computed to a tenth of a pixel; a curve of more points than pixels is thinned to the extremes of each
pixel, so no peak and no trough is lost.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

WIDTH, HALF = 960, 464
LEFT, RIGHT, TOP, BOTTOM = 72, 12, 10, 24
TICKS = 4

Format = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Frame:
    """The scale of one chart: data to pixels."""

    width: int
    height: int
    low: float
    high: float
    first: float
    last: float

    def x(self, value: float) -> float:
        share = (value - self.first) / ((self.last - self.first) or 1.0)
        return round(LEFT + share * (self.width - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return round(self.height - BOTTOM - share * (self.height - TOP - BOTTOM), 1)


def curve(
    times: Sequence[float],
    lines: Sequence[tuple[str, Sequence[float]]],
    form: Format,
    *,
    height: int = 260,
    filled_to: float | None = None,
) -> str:
    """Lines over UTC seconds; each is (css class, values). The first is filled down to `filled_to`, if given."""
    drawn = [(name, values) for name, values in lines if len(values) == len(times)]
    if len(times) < 2 or not drawn:
        return _empty(WIDTH, height)
    extremes = [extreme for _, values in drawn for extreme in (min(values), max(values))]
    ticks = nice_ticks(min(*extremes, *_given(filled_to)), max(*extremes, *_given(filled_to)))
    frame = Frame(WIDTH, height, ticks[0], ticks[-1], times[0], times[-1])
    parts = [_grid(frame, ticks, form), _time_axis(frame)]
    for number, (name, values) in enumerate(drawn):
        points = " ".join(f"{x},{y}" for x, y in _thinned(frame, times, values))
        if number == 0 and filled_to is not None:
            base, left, right = frame.y(filled_to), frame.x(times[0]), frame.x(times[-1])
            parts.append(f'<polygon class="{name} area" points="{left},{base} {points} {right},{base}"/>')
        parts.append(f'<polyline class="{name}" points="{points}"/>')
    return _svg(frame.width, height, parts)


def columns(bars: Sequence[tuple[str, float]], form: Format, *, height: int = 200) -> str:
    """One column per (label, value), green above zero and red below."""
    if not bars:
        return _empty(HALF, height)
    ticks = nice_ticks(min(0.0, *(value for _, value in bars)), max(0.0, *(value for _, value in bars)))
    frame = Frame(HALF, height, ticks[0], ticks[-1], 0, len(bars))
    step = max(1, math.ceil(len(bars) / 12))
    parts = [_grid(frame, ticks, form)]
    for number, (label, value) in enumerate(bars):
        left, right = frame.x(number + 0.12), frame.x(number + 0.88)
        top, bottom = sorted((frame.y(value), frame.y(0.0)))
        name = "gain" if value >= 0 else "loss"
        parts.append(_rectangle(name, (left, top), right - left, bottom - top, f"{label}: {form(value)}"))
        if number % step == 0:
            parts.append(f'<text class="tick mid" x="{(left + right) / 2:.1f}" y="{height - 8}">{escape(label)}</text>')
    return _svg(frame.width, height, parts)


def histogram(bins: Sequence[tuple[float, float, int]], form: Format, *, height: int = 200) -> str:
    """How many values lie in each (from, to, count)."""
    if not bins:
        return _empty(HALF, height)
    ticks = [tick for tick in nice_ticks(0.0, max(count for _, _, count in bins)) if tick == int(tick)]
    frame = Frame(HALF, height, 0.0, ticks[-1], bins[0][0], bins[-1][1])
    parts = [_grid(frame, ticks, lambda value: f"{value:g}")]
    for low, high, count in bins:
        left, right, top = frame.x(low), frame.x(high), frame.y(count)
        name = "loss" if high <= 0 else "gain"
        title = f"{form(low)} to {form(high)}: {count}"
        parts.append(_rectangle(name, (left + 1, top), max(right - left - 2, 1), frame.y(0) - top, title))
    parts += [
        f'<text class="tick mid" x="{frame.x(value)}" y="{height - 8}">{form(value)}</text>'
        for value in (bins[0][0], 0.0, bins[-1][1])
    ]
    return _svg(frame.width, height, parts)


def nice_ticks(low: float, high: float) -> list[float]:
    """Round numbers from below `low` to above `high`. Heckbert, Nice Numbers for Graph Labels, Graphics Gems (1990)."""
    span = (high - low) or abs(high) or 1.0
    rough = span / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(nice for nice in (1, 2, 2.5, 5, 10) if nice * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def _given(value: float | None) -> tuple[float, ...]:
    return () if value is None else (value,)


def _thinned(frame: Frame, times: Sequence[float], values: Sequence[float]) -> list[tuple[float, float]]:
    points = [(frame.x(time), frame.y(value)) for time, value in zip(times, values, strict=True)]
    if len(points) <= 2 * WIDTH:
        return points
    pixels: dict[int, list[tuple[float, float]]] = {}
    for point in points:
        pixels.setdefault(int(point[0]), []).append(point)
    kept = list[tuple[float, float]]()
    for inside in pixels.values():
        extremes = {min(inside, key=lambda point: point[1]), max(inside, key=lambda point: point[1])}
        kept += sorted({inside[0], *extremes, inside[-1]})
    return kept


def _grid(frame: Frame, ticks: Sequence[float], form: Format) -> str:
    return "".join(
        f'<line class="{"zero" if tick == 0 else "grid"}" x1="{LEFT}" x2="{frame.width - RIGHT}" y1="{y}" y2="{y}"/>'
        f'<text class="tick end" x="{LEFT - 8}" y="{y + 4}">{escape(form(tick))}</text>'
        for tick, y in ((tick, frame.y(tick)) for tick in ticks)
    )


def _time_axis(frame: Frame) -> str:
    span = frame.last - frame.first
    form = "%H:%M:%S" if span < 7_200 else "%d %b %H:%M" if span < 5 * 86_400 else "%d %b %Y"
    times = [frame.first + span * number / TICKS for number in range(TICKS + 1)]
    anchors = ["start", *["mid"] * (TICKS - 1), "end"]
    return "".join(
        f'<text class="tick {anchor}" x="{frame.x(time)}" y="{frame.height - 6}">'
        f"{datetime.fromtimestamp(time, UTC).strftime(form)}</text>"
        for time, anchor in zip(times, anchors, strict=True)
    )


def _rectangle(name: str, corner: tuple[float, float], width: float, height: float, title: str) -> str:
    place = f'x="{corner[0]:.1f}" y="{corner[1]:.1f}" width="{width:.1f}" height="{max(height, 0.5):.1f}"'
    return f'<rect class="{name}" {place} rx="1.5"><title>{escape(title)}</title></rect>'


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>'


def _empty(width: int, height: int) -> str:
    return _svg(width, height, [f'<text class="tick mid" x="{width / 2}" y="{height / 2}">nothing to show yet</text>'])
