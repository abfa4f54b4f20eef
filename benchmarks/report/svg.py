"""Plots as SVG text: bars, lines, distributions. Colours are CSS variables of the page, which is light or dark."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 560
_LEFT: Final = 64
_RIGHT: Final = 16
_TOP: Final = 12
_HEIGHT: Final = 240
_BOTTOM: Final = 42
_BAR: Final = 26
_LABEL: Final = 150
_VALUE: Final = 260
COLOURS: Final = 10
"""How many `--c0`, `--c1`, ... the page defines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A line: its name, its points with rising x, and which of the page's colours it has."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar; `note` stands behind its value."""

    name: str
    value: float
    colour: int
    note: str = ""


def short(value: float) -> str:
    """A number in a few characters: 1.2 M, 34 k, 5.6."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def duration(seconds: float) -> str:
    """A time in a few characters: 350 µs, 1.2 ms, 3 s."""
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


def bars(rows: Sequence[Bar], unit: str) -> str:
    """Horizontal bars, in the order given."""
    height = len(rows) * _BAR + 8
    longest = max((row.value for row in rows), default=0) or 1
    room = WIDTH - _LABEL - _VALUE
    parts = [_open(height, f"bars, {unit}")]
    for number, row in enumerate(rows):
        y = number * _BAR + 4
        size = max(1.5, row.value / longest * room)
        text = f"{short(row.value)} {unit}".strip()
        parts.append(
            f"<g><title>{escape(row.name)}: {escape(text)} {escape(row.note)}</title>"
            f'<text class="label" x="{_LABEL - 8}" y="{y + 16}" text-anchor="end">{escape(row.name)}</text>'
            f'<rect x="{_LABEL}" y="{y + 3}" width="{size:.1f}" height="{_BAR - 8}" rx="3" '
            f'fill="var(--c{row.colour})"/>'
            f'<text class="value" x="{_LABEL + size + 6:.1f}" y="{y + 16}">{escape(text)}'
            f'<tspan class="note" dx="8">{escape(row.note)}</tspan></text></g>'
        )
    return "".join([*parts, "</svg>"])


def lines(series: Sequence[Series], *, x_unit: str, y_unit: str) -> str:
    """Lines over a linear axis that starts at 0."""
    right = max((x for each in series for x, _ in each.points), default=1) or 1
    ticks = [(tick, short(tick)) for tick in _linear_ticks(right)]
    return _plot(series, ticks=ticks, place=lambda x: x / right, x_unit=x_unit, y_unit=y_unit, filled=False)


def distribution(series: Sequence[Series], *, y_unit: str) -> str:
    """Shares over a logarithmic axis of times in seconds."""
    times = [x for each in series for x, _ in each.points if x > 0]
    if not times:
        return ""
    low, high = math.log10(min(times)) - 0.05, math.log10(max(times)) + 0.05
    ticks = [
        (scale * 10.0**power, duration(scale * 10.0**power))
        for power in range(math.floor(low), math.ceil(high) + 1)
        for scale in ((1, 2, 5) if high - low < 2.2 else (1,))
        if low <= math.log10(scale * 10.0**power) <= high
    ]

    def place(x: float) -> float:
        return (math.log10(x) - low) / (high - low)

    return _plot(series, ticks=ticks, place=place, x_unit="", y_unit=y_unit, filled=True)


def _plot(
    series: Sequence[Series],
    *,
    ticks: Sequence[tuple[float, str]],
    place: Callable[[float], float],
    x_unit: str,
    y_unit: str,
    filled: bool,
) -> str:
    width, height = WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    top = max((y for each in series for _, y in each.points), default=1) or 1
    base = _TOP + height
    parts = [_open(_HEIGHT, f"{y_unit} by {x_unit or 'time'}")]
    for tick in _linear_ticks(top):
        y = base - tick / top * height
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + width}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{short(tick)}</text>'
        )
    for tick, text in ticks:
        x = _LEFT + place(tick) * width
        parts.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{base}"/>'
            f'<text class="tick" x="{x:.1f}" y="{base + 16}" text-anchor="middle">{escape(text)}</text>'
        )
    for each in series:
        points = [(_LEFT + place(x) * width, base - y / top * height) for x, y in each.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        colour = f"var(--c{each.colour})"
        parts.append(f"<g><title>{escape(each.name)}</title>")
        if filled and points:
            closed = f"{points[0][0]:.1f},{base} {path} {points[-1][0]:.1f},{base}"
            parts.append(f'<polygon points="{closed}" fill="{colour}" fill-opacity="0.12"/>')
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/></g>')
    caption = " · ".join(text for text in (y_unit, x_unit) if text)
    parts.append(f'<text class="axis" x="{_LEFT}" y="{_HEIGHT - 6}">{escape(caption)}</text></svg>')
    return "".join(parts)


def legend(names: Sequence[tuple[str, int]]) -> str:
    """What colour is what, as HTML."""
    items = "".join(f'<span><i style="background:var(--c{colour})"></i>{escape(name)}</span>' for name, colour in names)
    return f'<p class="legend">{items}</p>'


def _open(height: int, label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">'


def _linear_ticks(top: float) -> list[float]:
    """Up to six round numbers from 0 to `top`."""
    if top <= 0:
        return [0.0]
    rough = top / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * power for scale in (1, 2, 5, 10) if scale * power >= rough)
    return [number * step for number in range(int(top / step + 1e-9) + 1)]
