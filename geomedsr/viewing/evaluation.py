"""``evaluate --html``: an evaluation as one self-contained page: tables, pictures, spectra, and explanations."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace

from geomedsr.geometry.grid import Window
from geomedsr.metrics.case import Case
from geomedsr.metrics.figures import ABOUT, Figure, is_best
from geomedsr.metrics.interval_figures import IntervalFigures
from geomedsr.metrics.table import Evaluation, Score
from geomedsr.models import Model
from geomedsr.viewing.comparison import compare
from geomedsr.viewing.curves import spectra
from geomedsr.viewing.page import page
from geomedsr.viewing.panels import DARKEST, panels
from geomedsr.viewing.reliability import reliability

#: Rows and columns of the viewer's region, in pixels of the input.
_VIEWED = 48, 104

_STYLE = """
h3 { font-size: 15px; margin: 22px 0 6px; }
table.figures { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
table.figures th { font-weight: 600; vertical-align: bottom; font-size: 12px; }
table.figures td, table.figures th { text-align: right; vertical-align: top; padding: 3px 0 3px 14px;
  border-bottom: 1px solid #e4e4e4; }
table.figures td:first-child, table.figures th:first-child { text-align: left; padding-left: 0; white-space: nowrap; }
table.figures .best { font-weight: 700; }
table.figures small { display: block; color: #777; font-weight: 400; font-size: 11px; white-space: nowrap; }
.wide { overflow-x: auto; }
.panels { display: flex; gap: 8px; overflow-x: auto; margin: 6px 0 16px; }
.panels figure { margin: 0; flex: none; }
.panels figcaption { font-size: 12px; color: #444; margin-bottom: 2px; }
.panels img { display: block; margin-bottom: 6px; image-rendering: pixelated; outline: 1px solid #ddd; }
.note { color: #555; font-size: 13px; max-width: 62em; }
dl { font-size: 13px; display: grid; grid-template-columns: max-content 1fr; gap: 3px 16px; }
dt { font-weight: 600; }
dd { margin: 0; }
"""


def evaluation_page(evaluation: Evaluation, model: Model, intervals: Sequence[IntervalFigures] = ()) -> str:
    """The complete page of an evaluation, without external resources; with the figures of intervals, if there are any.

    Raises:
        InputError: a scene cannot be read for the pictures.
    """
    card = model.descriptor
    title = f"{card.name} {card.version}, measured"
    scenes = list(dict.fromkeys(s.scene for s in evaluation.scores))
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="lead">×{card.scale}, on {len(scenes)} scene{"s" * (len(scenes) != 1)}: '
        f"{html.escape(', '.join(scenes))}.</p>",
        '<p class="warn">Detail finer than the input’s pixels is a model’s prediction, not a measurement. '
        "This page says how good the prediction was where the truth is known.</p>",
        "<h2>In short</h2>",
        _summary(evaluation),
    ]
    for i, name in enumerate(scenes):
        scores = [s for s in evaluation.scores if s.scene == name]
        case = next((c for c in evaluation.cases if c.name == name), None)
        parts += [f"<h2>{html.escape(name)}</h2>", _table(evaluation, scores)]
        if case is not None:
            parts += _pictures(case, viewer=i == 0)
            plot = spectra({s.method: s.spectrum for s in scores}, case.scale)
            parts += ["<h3>How much detail of each fineness</h3>", _SPECTRA, plot] if plot else []
        if len(scores[0].bands) > 1:
            parts += ["<h3>Band by band</h3>", _bands(scores)]
    parts += _intervals(intervals, model) if intervals else []
    parts += ["<h2>What the figures mean</h2>", _meanings(evaluation), "<h2>What was compared</h2>"]
    parts += [f'<p class="note">{html.escape(words)}</p>' for words in evaluation.words]
    parts.append(_INTERVALS)
    return page(title, parts, style=_STYLE, width=1240)


def _intervals(figures: Sequence[IntervalFigures], model: Model) -> list[str]:
    """How intervals cover the truth: a table, and a reliability plot."""
    facts = model.descriptor.interval
    assert facts is not None
    head = ("scene", "band", "nominal", "coverage", "worst quarter", "mean half-width", "AURC", "Spearman")
    rows = ["".join(f"<th>{name}</th>" for name in head)]
    for f in figures:
        numbers = (f"{f.nominal:g}", f"{f.coverage:.3f}", f"{f.worst:.3f}", f"{f.width:.4g}")
        cells = (html.escape(f.scene), html.escape(f.band), *numbers, f"{f.aurc:.2f}", f"{f.spearman:.2f}")
        rows.append("".join(f"<td>{cell}</td>" for cell in cells))
    table = "".join(f"<tr>{row}</tr>" for row in rows)
    return [
        "<h2>Intervals</h2>",
        f'<p class="note">Around the result at realism 0, calibrated on {len(facts.scores)} {html.escape(facts.kind)}. '
        "Coverage: the share of pixels whose truth lies within. Worst quarter: the least coverage among the quarters "
        "of the pixels by width. Half-widths are in stored values. AURC: how the mean error falls if the pixels with "
        "the widest intervals are left out, from 1 (widths tell nothing) down. Spearman: rank correlation of width "
        "and error.</p>",
        f'<div class="wide"><table class="figures">{table}</table></div>',
        reliability(figures),
    ]


def _summary(evaluation: Evaluation) -> str:
    """A sentence for each method that is not a baseline."""
    lines = []
    for s in evaluation.scores:
        gain = s.all()["gain"]
        if s is evaluation.base(s):
            continue
        ends = "" if gain.low is None else f" (95 %: {gain.low:+.2f} … {gain.high:+.2f})"
        more = ""
        if {"improvement", "hallucination"} <= s.figures.keys():
            improved, wrong = (s.figures[name].value for name in ("improvement", "hallucination"))
            more = f"; of the detail that differs {improved:.0f} % came nearest to the truth, {wrong:.0f} % went astray"
        text = f"{s.method} on {s.scene}: {gain.value:+.2f} dB over bicubic{ends}{more}."
        lines.append(f"<li>{html.escape(text)}</li>")
    return f"<ul>{''.join(lines)}</ul>"


def _table(evaluation: Evaluation, scores: Sequence[Score]) -> str:
    columns = evaluation.columns()
    head = "".join(f"<th>{html.escape(_heading(scores[0], name))}</th>" for name in columns)
    rows = []
    for s in scores:
        figures = s.all()
        cells = "".join(_cell(name, figures.get(name), [p.all().get(name) for p in scores]) for name in columns)
        rows.append(f"<tr><td>{html.escape(s.method)}</td>{cells}</tr>")
    return f'<div class="wide"><table class="figures"><tr><th>method</th>{head}</tr>{"".join(rows)}</table></div>'


def _bands(scores: Sequence[Score]) -> str:
    names = [n for n in ABOUT if any(n in figures for s in scores for figures in s.bands.values())]
    head = "".join(f"<th>{html.escape(_heading(scores[0], name))}</th>" for name in names)
    rows = []
    for band in dict.fromkeys(band for s in scores for band in s.bands):
        peers = [s.bands[band] for s in scores if band in s.bands]
        for s in scores:
            if band in s.bands:
                cells = "".join(_cell(n, s.bands[band].get(n), [p.get(n) for p in peers]) for n in names)
                rows.append(f"<tr><td>{html.escape(f'{band}, {s.method}')}</td>{cells}</tr>")
    return f'<div class="wide"><table class="figures"><tr><th>band, method</th>{head}</tr>{"".join(rows)}</table></div>'


def _heading(score: Score, name: str) -> str:
    unit = score.unit(name)
    return f"{ABOUT[name].title}, {unit}" if unit else ABOUT[name].title


def _cell(name: str, figure: Figure | None, peers: Sequence[Figure | None]) -> str:
    if figure is None:
        return "<td></td>"
    about = ABOUT[name]
    sign = "+" if name == "gain" else ""
    ends = ""
    if figure.low is not None and figure.high is not None and figure.low < figure.high:
        ends = f"<small>{figure.low:{sign}.{about.digits}f} … {figure.high:{sign}.{about.digits}f}</small>"
    style = ' class="best"' if is_best(name, figure, peers) else ""
    return f"<td{style}>{figure.value:{sign}.{about.digits}f}{ends}</td>"


def _pictures(case: Case, *, viewer: bool) -> list[str]:
    if not case.places:
        return []
    parts = [
        "<h3>Where bicubic errs most</h3>",
        '<p class="note">The hardest squares of the scene, chosen by bicubic’s error, not by how well a model does. '
        f"Below each result its error: white is none, black {DARKEST:.0%} of the range shown or more.</p>".replace(
            "%", " %"
        ),
    ]
    for frame, window in case.places:
        where = f"columns {window.col}–{window.stop[1] - 1}, rows {window.row}–{window.stop[0] - 1}"
        where += f", slice {frame + 1}" if case.fine.shape[0] > 1 else ""
        parts += [f'<div class="note">{where}</div>', panels(case, frame, window)]
    made = [m for m in case.methods if m.scene is not None]
    if viewer and made:
        frame, window = case.places[0]
        truth = replace(case.fine, grid=case.coarse.grid.scaled(case.scale))  # a reduced scene has no position
        scenes = [case.coarse, *(m.scene for m in made if m.scene is not None), truth]
        names = ["input", *(m.name for m in made), "reference"]
        shown = compare(*scenes, names=names, window=_around(window, case), frames=frame, height=460)
        parts += ["<h3>Swipe</h3>", shown.html()]
    return parts


def _around(window: Window, case: Case) -> Window:
    """The viewer's window of the input around a place."""
    _, _, height, width = case.coarse.shape
    rows, columns = min(_VIEWED[0], height), min(_VIEWED[1], width)
    inner = window.coarser(case.scale)
    row = min(max(inner.row + inner.height // 2 - rows // 2, 0), height - rows)
    col = min(max(inner.col + inner.width // 2 - columns // 2, 0), width - columns)
    return Window(col, row, columns, rows)


_INTERVALS = (
    '<p class="note">Ranges below values are 95 % bootstrap intervals: 1000 times, as many squares of the scene (of a '
    "series: slices) were drawn with replacement. They tell how much a figure depends on which of this ground was "
    "looked at, not how another region or season would do. Of VGG-19 there is none: its distance is one ratio over all "
    "that was seen.</p>"
)

_SPECTRA = (
    '<p class="note">The line at 0 dB is the reference. Below it an image is too smooth at that fineness, above it too '
    "rough. It tells sharpness, not truth: detail in the wrong place counts too.</p>"
)


def _meanings(evaluation: Evaluation) -> str:
    rows = []
    for name in evaluation.columns():
        about = ABOUT[name]
        has_best = name != "omission" and about.best
        better = f" ({'more' if has_best == 'high' else 'less'} is better)" if has_best else ""
        rows.append(f"<dt>{html.escape(about.title)}</dt><dd>{html.escape(about.meaning + better)}</dd>")
    return f"<dl>{''.join(rows)}</dl>"
