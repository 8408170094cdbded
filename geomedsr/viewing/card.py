"""Compact HTML cards of scenes, models, recipes and evaluations, for notebooks. Styles are inline and follow the
colours of the page, light or dark; cards contain no script."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from geomedsr import operators
from geomedsr.errors import GeomedsrError
from geomedsr.scene.scene import Scene
from geomedsr.viewing import facts
from geomedsr.viewing.colours import view_of
from geomedsr.viewing.images import data_uri, png
from geomedsr.viewing.reduced import thumbnail
from geomedsr.viewing.stretch import limits, shades

if TYPE_CHECKING:
    from geomedsr.metrics.evaluate import Evaluation
    from geomedsr.models import Descriptor, Model
    from geomedsr.training.recipe import Recipe

#: The maximum side of a thumbnail, in pixels.
_SIDE = 160

_BOX = (
    "display:inline-flex;gap:14px;align-items:flex-start;border:1px solid rgba(128,128,128,.35);border-radius:6px;"
    "padding:10px 14px;font:13px/1.45 system-ui,sans-serif;max-width:100%"
)


def card(title: str, rows: Iterable[tuple[str, str | None]], *, kind: str, picture: str = "", more: str = "") -> str:
    """A card: a picture, a title, and a table of facts."""
    lines = "".join(
        f'<tr style="background:none"><td style="text-align:left;padding:0 12px 0 0;opacity:.65;white-space:nowrap;'
        f'vertical-align:top">{html.escape(name)}</td><td style="text-align:left;padding:0">'
        f"{html.escape(text)}</td></tr>"
        for name, text in rows
        if text
    )
    return (
        f'<div style="{_BOX}">{picture}<div><div style="margin-bottom:4px"><b>{html.escape(title)}</b> '
        f'<span style="opacity:.65">{html.escape(kind)}</span></div>'
        f'<table style="border-collapse:collapse;margin:0;font:inherit">{lines}</table>{more}</div></div>'
    )


def scene_card(scene: Scene) -> str:
    """A scene's card with a small picture; only the pixels for the picture are read."""
    rows = [
        ("size", facts.size(scene)),
        ("bands", facts.bands(scene)),
        ("pixel", facts.spacing(scene)),
        ("place", facts.place(scene)),
        ("values", ", ".join(t for t in (str(scene.dtype), facts.value_range(scene)) if t)),
        ("no data", _nodata(scene)),
        ("memory", f"{facts.memory(scene)}, if all of it were read"),
        ("made by", facts.made_by(scene)),
        ("interval", facts.interval(scene)),
        ("", facts.predicted_part(scene) if facts.made_by(scene) else None),
    ]
    return card(scene.name, rows, kind="geomedsr.Scene", picture=_thumbnail(scene))


def _nodata(scene: Scene) -> str | None:
    values = {str(b.nodata) for b in scene.bands if b.nodata is not None}
    parts = sorted(values) + ["by a mask"] * (scene.masked and not values)
    return ", ".join(parts) or None


def _thumbnail(scene: Scene) -> str:
    """An ``img`` of a scene's middle frame; a word if there is no picture."""
    frame, view = scene.shape[0] // 2, view_of(scene)
    try:
        small = thumbnail(scene, view.bands, frame, _SIDE, compute=False)
        if small is None:
            return _words("not read: its values are yet to be computed")
        ends = limits(scene)
        image = shades(small.values, small.valid, [ends[b] for b in view.bands])[facts.upright(scene.grid)]
    except GeomedsrError as error:
        return _words(f"cannot be read: {error.got}")
    parts = [view.name] if len(view.bands) == 3 else []
    parts += [f"slice {frame + 1}"] if scene.shape[0] > 1 else []
    parts += ["its middle"] if small.window.height < scene.shape[2] or small.window.width < scene.shape[3] else []
    style = f"width:{_SIDE}px;max-width:{_SIDE}px;margin:0;border-radius:3px;image-rendering:auto;display:block"
    caption = f'<div style="opacity:.65;text-align:center;font-size:11px">{html.escape(", ".join(parts))}</div>'
    alt = html.escape(f"{scene.name}, {', '.join(parts) or view.name}")
    return f'<div><img alt="{alt}" style="{style}" src="{data_uri(png(image))}">{caption if parts else ""}</div>'


def _words(text: str) -> str:
    style = f"width:{_SIDE}px;min-height:60px;opacity:.65;font-size:11px"
    return f'<div style="{style}">{html.escape(text)}</div>'


def model_card(model: Model) -> str:
    """A model's card."""
    d = model.descriptor
    count = sum(p.numel() for p in model.module.parameters())
    sees = f"sees {model.radius} pixels around each" if model.tiling == "exact" else model.tiling
    rows = [
        ("for", f"{d.domain}, {d.offered}, {d.sees}"),
        ("network", f"{d.architecture}, {count / 1e6:.3g} million weights, {sees}"),
        ("realism", f"{model.realism:g} of 0 … 1" if d.adversarial else "has no dial"),
        ("agreement", f"with its input, by {d.operator}" if operators.constrains(d.operator) else "none is promised"),
        ("runs in", f"{d.precision} or finer"),
        ("knows", f"what {d.usual.scenes} scenes are usually like" if d.usual.figures else None),
        ("interval", interval_words(d)),
        ("licence", d.licence or None),
        ("sha256", f"{model.sha256[:16]}…"),
    ]
    about = f'<div style="margin-top:6px;max-width:46em">{html.escape(d.description)}</div>' if d.description else ""
    return card(f"{d.name} {d.version}", rows, kind="geomedsr.Model", more=about)


def interval_words(card: Descriptor) -> str | None:
    """Whether a model makes half-widths, and on what they are calibrated."""
    if card.interval is None:
        return None
    count = len(card.interval.scores)
    return f"calibrated on {count} {card.interval.kind}" if count else "has a head that is not calibrated"


def recipe_card(recipe: Recipe) -> str:
    """A recipe's card."""
    g = recipe.generator
    rows = [
        ("for", f"{recipe.domain}, ×{g.scale}"),
        ("generator", f"{g.architecture} {_options(g.options)}".strip()),
        ("operator", recipe.operator),
        ("low resolution", "real pairs" if recipe.data.pairs else " → ".join(step.kind for step in recipe.chain)),
    ]
    for name, stage in recipe.stages:
        losses = ", ".join(f"{loss.weight:g} {loss.kind}" for loss in stage.losses)
        rows.append((name, f"{stage.steps} steps of {stage.batch} × {stage.patch}²; {losses}"))
    if recipe.adversarial is not None:
        d = recipe.adversarial.discriminator
        rows.append(("discriminator", f"{d.architecture} {_options(d.options)}".strip()))
    about = f'<div style="margin-top:6px;max-width:46em">{html.escape(recipe.description)}</div>'
    return card(f"{recipe.name} {recipe.version}", rows, kind="recipe", more=about if recipe.description else "")


def _options(options: Mapping[str, int]) -> str:
    return f"({', '.join(f'{k} {v}' for k, v in options.items())})" if options else ""


def evaluation_card(evaluation: Evaluation) -> str:
    """An evaluation's table in a card."""
    return f'<div style="{_BOX}">{evaluation_table(evaluation)}</div>'


def evaluation_table(evaluation: Evaluation) -> str:
    """The same table as in Markdown, and a description of what was compared; the best value of each figure is bold."""
    head = _line("th", [(name, True) for name in ("scene", "method", *evaluation.headings())])
    lines = []
    for s in evaluation.scores:
        figures = [(evaluation.cell(s, name), evaluation.best(s, name)) for name in evaluation.columns()]
        lines.append(_line("td", [(s.scene, False), (s.method, False), *figures]))
    notes = "".join(f"<div>{html.escape(words)}</div>" for words in evaluation.words)
    return (
        '<div style="min-width:0;overflow-x:auto;font-size:11px">'
        '<table style="border-collapse:collapse;margin:0;font:inherit">'
        f"<thead>{head}</thead><tbody>{''.join(lines)}</tbody></table>"
        f'<div style="opacity:.65;margin-top:6px;font-size:11px;max-width:60em">{notes}</div></div>'
    )


def _line(tag: str, cells: Sequence[tuple[str, bool]]) -> str:
    """A row of a table: texts, and whether each is bold; the first two are words, the others figures."""
    parts = "".join(
        f'<{tag} style="padding:1px 6px 1px 0;text-align:{"left" if i < 2 else "right"};vertical-align:top;'
        f'font-weight:{600 if bold else 400}">{_unbroken(html.escape(text))}</{tag}>'
        for i, (text, bold) in enumerate(cells)
    )
    return f'<tr style="background:none">{parts}</tr>'


def _unbroken(text: str) -> str:
    """A text without line breaks inside brackets, so that an interval stays in one line."""
    return re.sub(r"\([^)]*\)", lambda found: found[0].replace(" ", "&nbsp;"), text)
