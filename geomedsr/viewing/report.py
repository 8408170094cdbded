"""``report``: a source and its result on one self-contained page: viewer, figures, checks, histograms, provenance."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from dataclasses import dataclass

from geomedsr.checks import Check
from geomedsr.errors import GeomedsrError, InputError
from geomedsr.geometry.grid import Window
from geomedsr.io import open_pair, open_scene
from geomedsr.io.files import page_target, write_page
from geomedsr.metrics.evaluate import Evaluation, compare_with
from geomedsr.metrics.selftest import LIMITS, SelfTest, selftest
from geomedsr.models import load_model
from geomedsr.scene.provenance import PREFIX, provenance_of
from geomedsr.scene.ranges import physical_sample
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import cropping
from geomedsr.verification.groups import GroupOf, of_image
from geomedsr.verification.taken import grouped, taken
from geomedsr.verification.verify import verify
from geomedsr.viewing.card import evaluation_table, scene_card
from geomedsr.viewing.comparison import compare
from geomedsr.viewing.facts import unit
from geomedsr.viewing.histogram import histogram
from geomedsr.viewing.page import page
from geomedsr.viewing.stretch import Level
from geomedsr.viewing.swipe import Comparison
from geomedsr.viewing.widths import widths

#: The most bands whose histograms are drawn.
_DRAWN = 8


@dataclass(frozen=True)
class Report:
    """The findings of a report: the checks, the comparison with a reference if there is one, and the self-test of the
    source, or why there is none."""

    path: str
    checks: tuple[Check, ...]
    scores: Evaluation | None
    tested: SelfTest | str

    @property
    def broken(self) -> list[Check]:
        """The checks that failed."""
        return [check for check in self.checks if check.kept is False]


def report(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    reference: str | os.PathLike[str] | None = None,
    beside: Sequence[str | os.PathLike[str]] = (),
    series: str | None = None,
    nodata: float | str | None = None,
    window: Window | None = None,
    bands: str | int | Sequence[str | int] | None = None,
    level: Level | None = None,
    overwrite: bool = False,
) -> Report:
    """Write a page about a result.

    Args:
        src: the source.
        dst: the result.
        path: the page, ``.html``.
        reference: the true image at the result's resolution, if there is one: same size, same area.
        beside: files of half-widths or invented pixels of the result; half-widths that are bands of it are shown, too.
        series: the DICOM series in ``src``.
        nodata: the nodata value of ``src``, as for :func:`geomedsr.verify`.
        window: the viewer's region, in pixels of ``src``; by default the middle.
        bands: as for :func:`geomedsr.compare`.
        level: the initial CT window, as for :func:`geomedsr.compare`.
        overwrite: replace an existing page.

    Raises:
        InputError: a file cannot be opened, or the files do not belong together.
        OutputError: the page cannot be written.
    """
    target = page_target(path, (".html",), overwrite)  # checked before any computation
    whole, made_of_it = open_pair(src, dst, series, nodata)
    groups = grouped(whole, made_of_it)
    pairs = _pairs(whole, made_of_it, groups)
    source, result = pairs[0]
    truth = None
    if reference is not None:
        if groups:
            raise InputError(f"a reference for {result.name}, of bands made in different ways", "none", "leave it out")
        truth = open_scene(reference, force=True)
        if truth.shape != result.shape:
            raise InputError(
                f"a reference of {_shape(truth)} for a result of {_shape(result)}", "the same size", "crop it to that"
            )
    checks = tuple(verify(src, dst, series=series, nodata=nodata))
    windows = [None if window is None else _inside(window, source) for source, _ in pairs]
    viewers = []
    for pair, shown in zip(pairs, windows, strict=True):
        viewers += _viewers([*pair] if truth is None else [*pair, truth], shown, bands, level)
    wide = widths(made_of_it, result, beside, window=windows[0], bands=bands, level=level)
    scores = None if truth is None else compare_with(truth, source, {"result": result})
    made = Report(os.fspath(path), checks, scores, _tested(source, result))
    write_page(target, _page(pairs, truth, viewers, wide, made).encode())
    return made


def _pairs(source: Scene, result: Scene, groups: Sequence[GroupOf]) -> list[tuple[Scene, Scene]]:
    """What was made, beside what of the source it was made of: of a whole product, each group of bands that a model
    made, the finest first."""
    made = [(part.source, part.result) for part in groups if part.group.model is not None]
    image = of_image(result)
    return made or [(taken(source, image), image)]


def _viewers(
    scenes: list[Scene], window: Window | None, bands: str | int | Sequence[str | int] | None, level: Level | None
) -> list[Comparison]:
    """A source, its result and perhaps the truth; of new slices in three planes."""
    names = ["source", "result", "reference"][: len(scenes)]
    viewer = compare(*scenes, names=names, window=window, bands=bands, level=level, height=560)
    if window is not None or scenes[0].shape[0] == scenes[1].shape[0]:
        return [viewer]
    return [viewer, *_across(scenes, names, bands, level)]


def _across(
    scenes: list[Scene], names: list[str], bands: str | int | Sequence[str | int] | None, level: Level | None
) -> list[Comparison]:
    """The volumes cut across their new slices, in the middle."""
    return [
        compare(*scenes, names=names, plane=plane, bands=bands, level=level, height=420)
        for plane in ("coronal", "sagittal")
    ]


def _tested(source: Scene, result: Scene) -> SelfTest | str:
    """The self-test of a source by the model that made the result, or in words why there is none."""
    told = provenance_of(result).model
    try:
        if told.name is None:
            return "the result does not name its model"
        model = load_model(told.name, told.realism or None)
        if model.sha256 != told.sha256:
            return f"the model {told.name} {told.version or ''} that made the result is not the one installed here"
        return selftest(source, model)
    except GeomedsrError as error:
        return str(error)


def _inside(window: Window, source: Scene) -> Window:
    """A window of a source, in pixels of the part that was upscaled."""
    part = cropping(source.source)
    if part is None:
        return window
    if window.common(part) != window:
        raise InputError(
            f"the window {window} for a result of the window {part}",
            "one inside that",
            "give COL,ROW,W,H in pixels of the whole source, or leave it out",
        )
    return window.shifted(-part.col, -part.row)


def _shape(scene: Scene) -> str:
    frames, bands, height, width = scene.shape
    return f"{frames} × {bands} × {height} × {width} (frames, bands, rows, columns)"


def _page(
    pairs: list[tuple[Scene, Scene]],
    truth: Scene | None,
    viewers: list[Comparison],
    wide: list[str],
    made: Report,
) -> str:
    source, result = pairs[0]
    provenance = provenance_of(result)
    model = " and ".join(dict.fromkeys(_maker(result) for _, result in pairs))
    broken = len(made.broken)
    verdict = "every promise kept" if not broken else f"{broken} promise{'s' * (broken != 1)} broken"
    cards = [scene_card(scene) for scene in (*(scene for pair in pairs for scene in pair), truth) if scene is not None]
    parts = [
        f"<h1>{html.escape(result.name)}</h1>",
        f'<p class="lead">{html.escape(source.name)}, made finer by {html.escape(model)}: {verdict}.</p>',
        '<p class="warn">Detail finer than the source’s pixels is the model’s prediction, not a measurement.</p>',
        "<h2>Before and after</h2>",
        *(viewer.html() for viewer in viewers),
        *wide,
        "<h2>Source and result</h2>",
        f'<div class="cards">{"".join(cards)}</div>',
        "<h2>Promises</h2>",
        _promises(made.checks),
    ]
    if made.scores is not None:
        parts += ["<h2>How near to the reference</h2>", evaluation_table(made.scores)]
    parts += ["<h2>Self-test</h2>", *_self_test(made.tested)]
    parts += ["<h2>How values are spread</h2>", *(_histograms(*pair, truth) for pair in pairs)]
    parts += ["<h2>Where it comes from</h2>", _table([(k.removeprefix(PREFIX), v) for k, v in provenance.items()])]
    return page(result.name, parts)


def _maker(result: Scene) -> str:
    """The model that made a result."""
    model = provenance_of(result).model
    return f"{model.name or 'a model that it does not name'} {model.version or ''}".strip()


def _self_test(tested: SelfTest | str) -> list[str]:
    if isinstance(tested, str):
        return [f"<p>There is none: {html.escape(tested)}.</p>"]
    how = f"<p>{html.escape(tested.how)}.</p>"
    return [how, _table(tested.rows), f'<p class="warn">{html.escape(LIMITS)}</p>']


def _promises(checks: Sequence[Check]) -> str:
    words = {True: ("kept", "kept"), False: ("broken", "BROKEN"), None: ("open", "–")}
    rows = []
    for check in checks:
        style, word = words[check.kept]
        rows.append(
            f'<tr><td class="{style}">{word}</td><td>{html.escape(check.promise)}</td>'
            f"<td>{html.escape(check.detail)}</td></tr>"
        )
    return f'<table class="plain">{"".join(rows)}</table>'


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = (f"<tr><th>{html.escape(k.replace('_', ' ').lower())}</th><td>{html.escape(v)}</td></tr>" for k, v in rows)
    return f'<table class="plain">{"".join(cells)}</table>'


def _histograms(source: Scene, result: Scene, truth: Scene | None) -> str:
    named = {"source": source, "result": result} | ({} if truth is None else {"reference": truth})
    samples = {name: physical_sample(scene) for name, scene in named.items()}
    plots = []
    for index, band in enumerate(source.bands[:_DRAWN]):
        if band.kind == "nearest":
            continue
        values = {name: found[index] for name, found in samples.items()}
        title = band.name if len(source.bands) > 1 else "values"
        plots.append(histogram(values, title, band.units or unit(source)))
    left = len(source.bands) - _DRAWN
    more = f"<p>{left} more bands are not drawn.</p>" if left > 0 else ""
    return f'<div class="plots">{"".join(plots)}</div>{more}'
