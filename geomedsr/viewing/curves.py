"""Spectra of several results relative to the reference's, as one SVG."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np

#: The size of the plot, and the margins for its axes, in CSS pixels.
_WIDTH, _HEIGHT, _LEFT, _TOP, _FOOT = 560, 240, 46, 10, 40

#: The range of the plot, in dB relative to the reference's power.
_LOW, _HIGH = -40.0, 10.0

#: Colours that most eyes distinguish (Okabe and Ito 2008), in their order.
COLOURS = ("#999999", "#56b4e9", "#cc79a7", "#0072b2", "#d55e00", "#009e73")


def spectra(ratios: Mapping[str, Sequence[float]], scale: int) -> str:
    """Power relative to the reference's, in dB, by frequency in cycles per pixel of the reference.

    ``ratios`` are as in :attr:`geomedsr.metrics.table.Score.spectrum`. A dashed line marks the input's Nyquist
    frequency; the input has no detail to the right of it. Empty if there are no spectra.
    """
    known = {name: values for name, values in ratios.items() if values}
    if not known:
        return ""
    lines, legend = [], []
    for (name, values), colour in zip(known.items(), COLOURS * len(known), strict=False):
        share = np.arange(1, len(values) + 1) / len(values)
        with np.errstate(divide="ignore"):
            decibels = np.clip(10 * np.log10(np.asarray(values)), _LOW, _HIGH)
        points = " ".join(f"{_x(a):.1f},{_y(b):.1f}" for a, b in zip(share, decibels, strict=True))
        label = html.escape(name)
        line = f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}">'
        lines.append(f"{line}<title>{label}</title></polyline>")
        legend.append(f'<span style="color:{colour}">■</span> {label}')
    ticks = []
    for level in np.arange(_LOW, _HIGH + 1, 10):
        ticks.append(_line(_LEFT, _LEFT + _WIDTH, _y(level), _y(level), "#555" if level == 0 else "#e4e4e4"))
        ticks.append(f'<text x="{_LEFT - 6}" y="{_y(level) + 4:.1f}" text-anchor="end">{level:+.0f}</text>')
    for part in (0, 0.25, 0.5, 0.75, 1):
        ticks.append(f'<text x="{_x(part):.1f}" y="{_HEIGHT + 15}" text-anchor="middle">{part / 2:g}</text>')
    nyquist = _line(_x(1 / scale), _x(1 / scale), 0, _HEIGHT, "#222", ' stroke-dasharray="4 3"')
    nyquist += f'<text x="{_x(1 / scale) + 5:.1f}" y="13">finer than the input’s pixels →</text>'
    middle = f'x="{_LEFT + _WIDTH / 2}" y="{_HEIGHT + 33}"'
    axes = (
        f'<text {middle} text-anchor="middle">cycles per pixel of the reference</text>'
        f'<text transform="translate(11 {_HEIGHT / 2}) rotate(-90)" text-anchor="middle">dB of the reference’s</text>'
    )
    width = _LEFT + _WIDTH + 8
    return (
        f'<div><svg viewBox="0 {-_TOP} {width} {_TOP + _HEIGHT + _FOOT}" width="{width}" role="img" '
        f'font-size="11" fill="#555" font-family="system-ui, sans-serif"><title>power spectra</title>'
        f"{''.join(ticks)}{nyquist}{''.join(lines)}{axes}</svg>"
        f'<div style="font-size:12px;margin-left:{_LEFT}px">{"&ensp; ".join(legend)}</div></div>'
    )


def _line(left: float, right: float, top: float, bottom: float, colour: str, more: str = "") -> str:
    ends = f'x1="{left:.1f}" x2="{right:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"'
    return f'<line {ends} stroke="{colour}"{more}/>'


def _x(share: float) -> float:
    return _LEFT + share * _WIDTH


def _y(decibels: float) -> float:
    return (_HIGH - decibels) / (_HIGH - _LOW) * _HEIGHT
