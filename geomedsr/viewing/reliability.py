"""Coverage of intervals against what they promise, as one SVG."""

from __future__ import annotations

import html
from collections.abc import Sequence

from geomedsr.metrics.interval_figures import IntervalFigures
from geomedsr.models.descriptor import NOMINALS
from geomedsr.viewing.curves import COLOURS

#: The side of the plot, and the margins for its axes, in CSS pixels.
_SIDE, _LEFT, _TOP, _FOOT = 300, 46, 10, 40

#: Both axes begin here.
_LOW = 0.4


def reliability(figures: Sequence[IntervalFigures]) -> str:
    """A line for each scene, over all its bands: the coverage found at each nominal share; on the diagonal both agree.

    Above it intervals are wider than they need to be, below it too narrow.
    """
    lines, legend = [_line(_LOW, _LOW, 1, 1, "#555", ' stroke-dasharray="4 3"')], []
    shown = [each for each in figures if each.band == "all"]
    for each, colour in zip(shown, COLOURS * len(shown), strict=False):
        pairs = zip(NOMINALS, each.reliability, strict=True)
        points = " ".join(f"{_x(a):.1f},{_y(max(b, _LOW)):.1f}" for a, b in pairs)
        label = html.escape(each.scene)
        line = f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}">'
        lines.append(f"{line}<title>{label}</title></polyline>")
        legend.append(f'<span style="color:{colour}">■</span> {label}')
    ticks = []
    for level in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        ticks.append(_line(_LOW, level, 1, level, "#e4e4e4"))
        ticks.append(f'<text x="{_LEFT - 6}" y="{_y(level) + 4:.1f}" text-anchor="end">{level:.1f}</text>')
        ticks.append(f'<text x="{_x(level):.1f}" y="{_SIDE + 15}" text-anchor="middle">{level:.1f}</text>')
    axes = (
        f'<text x="{_LEFT + _SIDE / 2}" y="{_SIDE + 33}" text-anchor="middle">nominal share</text>'
        f'<text transform="translate(11 {_SIDE / 2}) rotate(-90)" text-anchor="middle">share that is covered</text>'
    )
    width = _LEFT + _SIDE + 12
    return (
        f'<div><svg viewBox="0 {-_TOP} {width} {_TOP + _SIDE + _FOOT}" width="{width}" role="img" '
        f'font-size="11" fill="#555" font-family="system-ui, sans-serif"><title>reliability of intervals</title>'
        f"{''.join(ticks)}{''.join(lines)}{axes}</svg>"
        f'<div style="font-size:12px;margin-left:{_LEFT}px">{"&ensp; ".join(legend)}</div></div>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> str:
    ends = f'x1="{_x(x1):.1f}" x2="{_x(x2):.1f}" y1="{_y(y1):.1f}" y2="{_y(y2):.1f}"'
    return f'<line {ends} stroke="{colour}"{more}/>'


def _x(share: float) -> float:
    return _LEFT + (share - _LOW) / (1 - _LOW) * _SIDE


def _y(share: float) -> float:
    return (1 - share) / (1 - _LOW) * _SIDE
