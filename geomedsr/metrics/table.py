"""The results of an evaluation, as a table, as CSV, as Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from geomedsr.metrics.case import Case
from geomedsr.metrics.figures import ABOUT, Figure, is_best
from geomedsr.providers import provider

#: Columns of the table besides scene and method; a column is shown if some method has the figure.
_COLUMNS = (
    "psnr",
    "ssim",
    "vgg",
    "sam",
    "fringe",
    "ergas",
    "drift",
    "improvement",
    "omission",
    "hallucination",
    "spectrum",
    "grid",
    "gain",
    "fitted",
)


@dataclass(frozen=True)
class Score:
    """The figures of one method on one scene: means over bands (and slices). ``vgg`` is None without VGG-19's weights.

    ``figures`` has these and all others of :data:`geomedsr.metrics.figures.ABOUT` by name, with intervals; undefined
    figures are left out. ``bands`` has the figures of each band, by its name. ``spectrum`` is the power spectrum
    divided by the reference's, mean over bands; position ``k`` stands for ``(k + 1) / (2 · length)`` cycles per pixel.
    """

    scene: str
    method: str
    psnr: float
    ssim: float
    vgg: float | None
    gain: float
    figures: Mapping[str, Figure] = field(default_factory=dict)
    bands: Mapping[str, Mapping[str, Figure]] = field(default_factory=dict)
    spectrum: tuple[float, ...] = ()
    units: str = ""

    def all(self) -> dict[str, Figure]:
        """All figures over bands, in their order."""
        known = {"psnr": self.psnr, "ssim": self.ssim, "vgg": self.vgg, "gain": self.gain}
        plain = {name: Figure(value) for name, value in known.items() if value is not None}
        found = plain | dict(self.figures)
        return {name: found[name] for name in ABOUT if name in found}

    def unit(self, name: str) -> str:
        """The unit of a figure; for drift, the scene's unit if it has one."""
        return self.units if name == "drift" else ABOUT[name].unit


@dataclass(frozen=True)
class Evaluation:
    """The scores, and a description of what was compared. ``cases`` hold the scenes and results, for pictures."""

    scores: tuple[Score, ...]
    words: tuple[str, ...] = field(default=())
    cases: tuple[Case, ...] = field(default=(), repr=False, compare=False)

    def csv(self) -> str:
        """Comma-separated values, full precision; one line for each figure of all bands together, and of each band."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(("scene", "method", "band", "figure", "unit", "value", "low", "high"))
        for s in self.scores:
            for band, figures in {"all": s.all(), **s.bands}.items():
                for name, f in figures.items():
                    ends = ("" if end is None else end for end in (f.low, f.high))
                    writer.writerow((s.scene, s.method, band, name, s.unit(name), f.value, *ends))
        return text.getvalue()

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"scores": [asdict(s) for s in self.scores], "compared": list(self.words)}

    def __repr__(self) -> str:
        width = max((len(f"{s.scene}, {s.method}") for s in self.scores), default=0)
        lines = [
            f"{f'{s.scene}, {s.method}':<{width}}  {s.psnr:6.2f} dB  SSIM {s.ssim:.4f}  {s.gain:+.2f} dB over bicubic"
            for s in self.scores
        ]
        return "\n".join(["<geomedsr evaluation>", *lines])

    def _repr_html_(self) -> str:
        return str(provider("evaluation.card")(self))

    def columns(self) -> list[str]:
        """The figures that some method has, in the table's order."""
        return [name for name in _COLUMNS if name in ("psnr", "ssim", "vgg", "gain") or self._any(name)]

    def headings(self) -> list[str]:
        """The columns' headings."""
        return [ABOUT[name].heading + (" (× bicubic's)" if name == "vgg" else "") for name in self.columns()]

    def _any(self, name: str) -> bool:
        return any(name in s.figures for s in self.scores)

    def base(self, score: Score) -> Score:
        """Bicubic's score on the same scene."""
        return next(s for s in self.scores if s.scene == score.scene)

    def cell(self, score: Score, name: str) -> str:
        """The text of a figure in a table."""
        figure = score.all().get(name)
        if figure is None:
            return ""
        text = f"{figure.value:{'+' if name in ('gain', 'fitted') else ''}.{ABOUT[name].digits}f}"
        if name == "vgg" and (vgg := self.base(score).vgg):
            return f"{text} ({figure.value / vgg:.2f} ×)"
        if (
            name in ("gain", "fitted")
            and figure.low is not None
            and figure.high is not None
            and score is not self.base(score)
        ):
            return f"{text} ({figure.low:+.2f} … {figure.high:+.2f})"
        return text

    def best(self, score: Score, name: str) -> bool:
        """Whether a figure is the best on its scene."""
        peers = [s.all().get(name) for s in self.scores if s.scene == score.scene]
        figure = score.all().get(name)
        return figure is not None and is_best(name, figure, peers)

    def markdown(self) -> str:
        """A table, and a description of what was compared."""
        columns = self.columns()
        lines = [f"| scene | method | {' | '.join(self.headings())} |", "|---" * (2 + len(columns)) + "|"]
        for s in self.scores:
            cells = " | ".join(self.cell(s, name) for name in columns)
            lines.append(f"| {s.scene} | {s.method} | {cells} |")
        return "\n".join([*lines, "", *self.words, ""])
