"""Histograms of several scenes as one SVG."""

from __future__ import annotations

import html
from collections.abc import Mapping

import numpy as np

from geomedsr.scene.sources import Array

#: The number of bins, and the size of the plot in CSS pixels.
_BINS, _WIDTH, _HEIGHT, _FOOT = 96, 420, 120, 34

#: Colours that most eyes distinguish (Okabe and Ito 2008), in their order.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


def histogram(values: Mapping[str, Array], title: str, unit: str = "") -> str:
    """The outlines of several histograms by name, on one axis from the 0.1th to the 99.9th percentile.

    ``values`` are 1-D arrays of physical values. Names without values are left out.
    """
    known = {name: v for name, v in values.items() if v.size}
    if not known:
        return ""
    low = min(float(np.percentile(v, 0.1)) for v in known.values())
    high = max(float(np.percentile(v, 99.9)) for v in known.values())
    high = high if high > low else low + 1
    shares = {name: np.histogram(np.clip(v, low, high), _BINS, (low, high))[0] / v.size for name, v in known.items()}
    top = max(float(s.max()) for s in shares.values())
    lines = []
    for (name, share), colour in zip(shares.items(), COLOURS, strict=False):
        x = np.repeat(np.linspace(0, _WIDTH, _BINS + 1), 2)[1:-1]
        y = np.repeat(_HEIGHT - share / top * (_HEIGHT - 8), 2)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        lines.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{points}">'
            f"<title>{html.escape(name)}</title></polyline>"
        )
    legend = "  ".join(
        f'<tspan fill="{colour}">{html.escape(name)}</tspan>' for name, colour in zip(shares, COLOURS, strict=False)
    )
    ends = f"{low:.5g}", f"{high:.5g} {unit}".strip()
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + _FOOT}" width="{_WIDTH}" role="img" font-size="11" '
        f'font-family="system-ui, sans-serif"><title>{html.escape(title)}</title>{"".join(lines)}'
        f'<line x1="0" x2="{_WIDTH}" y1="{_HEIGHT}" y2="{_HEIGHT}" stroke="#888"/>'
        f'<text x="0" y="{_HEIGHT + 13}" fill="#555">{ends[0]}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 13}" fill="#555" text-anchor="end">{html.escape(ends[1])}</text>'
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT + 13}" fill="#222" text-anchor="middle">{html.escape(title)}</text>'
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT + 29}" text-anchor="middle" xml:space="preserve">{legend}</text></svg>'
    )
