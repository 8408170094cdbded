"""``upscale``: a scene in, a finer lazy scene out; its source is in ``source``."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import replace

import numpy as np

from geomedsr import operators
from geomedsr._version import __version__
from geomedsr.alpha import doubt
from geomedsr.bands import joint
from geomedsr.errors import InputError, SceneWarning
from geomedsr.inference import memory as budget
from geomedsr.inference.runtime import Runtime
from geomedsr.inference.source import UpscaledSource, whole_frames
from geomedsr.models import Model, default_model, load_model
from geomedsr.provenance import before, finer, foreign
from geomedsr.scene import Scene
from geomedsr.sources import sample
from geomedsr.values import few

#: As many different values a volume of labels may have, such as the parts of a brain.
LABELS = 64


def upscale(
    scene: Scene,
    model: str | os.PathLike[str] | Model | None = None,
    *,
    realism: float | None = None,
    tile: int | None = None,
    memory: int | str | None = None,
    device: str = "auto",
    precision: str | None = None,
    conserve: bool = True,
) -> Scene:
    """The scene ``scale`` times finer, lazily: nothing is computed until it is read or written.

    Args:
        scene: any scene. Bands of kind ``"nearest"`` (classes, flags, alpha) are repeated; the others go
            through the model on the scene's own value scale. A model of named bands finds them wherever they are; each
            slice of a series is seen with its neighbours by models made for that.
        model: a shipped model's name, a model file, or a loaded model; without one, the model shipped for such
            scenes (rasters, CT, MR).
        realism: 0, the most faithful, … 1, the most lifelike, for models that have adversarial weights; by default, as
            the model's card says.
        tile: side of a tile in input pixels. It changes memory and speed, not the result, unless the model's tiling is
            approximate (networks of others).
        memory: what writing the result may take, in bytes or such as ``"2GiB"``; 1.5 GiB by default. The tile, where
            none is given, and the number of workers follow from it. A warning tells where it is too little.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``"float32"`` or ``"bfloat16"``; by default the latter where the model's card says it loses nothing
            and the device computes in it by itself.
        conserve: make the result agree with the input: for models whose observation operator is the block mean,
            the mean of each ``s × s`` block equals the input pixel, exactly; for the crop of k-space, the central
            k-space of each frame is the input's before values are rounded.

    Raises:
        InputError: a palette image, bands the model does not fit, or a scene of no known domain and no model.
        ModelError: no such model, or a broken file.
        DeviceError: no such device, or precision.
    """
    if model is None:
        model = default_model(scene.domain)
    if not isinstance(model, Model):
        model = load_model(model, realism)
    elif realism is not None:
        model = load_model(model.path, realism)
    if tile is not None and tile < 1:
        raise InputError(f"a tile of {tile} pixels", "a side of at least 1", "leave --tile out, or use 256")
    computed = _computed(scene, model)
    _tell_few(scene, computed)
    if (told := doubt(scene)) is not None:
        warnings.warn(told, SceneWarning, stacklevel=2)
    card = model.descriptor
    if card.value_scale == "physical":
        scene = scene.with_physical_range(*card.value_range)
    _tell_shared(scene)
    runtime = Runtime.choose(model, device, precision, scene.dtype.itemsize)
    conserve = conserve and operators.get(card.operator).constrains
    tile, workers = _plan(scene, model, runtime, tile, memory, conserve)
    source = UpscaledSource(
        scene=scene,
        model=model,
        computed=computed,
        nodata=output_nodata(scene),
        tile=tile,
        workers=workers,
        runtime=runtime,
        conserve=conserve,
        values=scene.values.select(computed),
    )
    return Scene(
        source=source,
        grid=scene.grid.scaled(card.scale),
        bands=tuple(replace(b, nodata=n) for b, n in zip(scene.bands, source.nodata, strict=True)),
        name=f"{scene.name} ×{card.scale}",
        files=scene.files,
        masked=scene.masked,
        tags={namespace: foreign(tags) for namespace, tags in scene.tags.items()},
        provenance=_provenance(scene, model, source),
        scale=scene.values,
        domain=scene.domain,
        rescale=scene.rescale,
        headers=scene.headers,
        frames=scene.frames,
    )


def _tell_shared(scene: Scene) -> None:
    """That dates share a value scale, unless the user said how; slices of CT and MR are to, in place or not."""
    frames = scene.shape[0]
    dates = frames > 1 and not scene.grid.planes and scene.domain not in ("CT", "MR")
    if dates and (scene.scale is None or scene.scale.origin == "percentiles"):
        warnings.warn(
            f"{scene.name}: its {frames} frames are seen on one value scale, so each comes out a little different than "
            "alone; scene.with_values_per_frame(), or --values-per-frame, gives each its own",
            SceneWarning,
            stacklevel=3,
        )


def _plan(
    scene: Scene, model: Model, runtime: Runtime, tile: int | None, asked: int | str | None, conserve: bool
) -> tuple[int, int]:
    """The side of a tile and the number of workers that memory allows."""
    most = budget.DEFAULT if asked is None else budget.size(asked)
    frame = scene.shape[2:] if whole_frames(scene, model) else None
    need = budget.Need.of(model, runtime, len(scene.bands), scene.dtype.itemsize, frame, conserve)
    if tile is not None:
        workers = need.workers(tile, most)
    else:
        tile, workers = need.choose(scene.shape[2:], most)
        if scene.grid.planes:  # each slice in equal parts
            side = max(scene.shape[2:])
            tile = -(-side // -(-side // tile))
    least = need.least(tile, scene.shape[2:])
    if least > most:
        warnings.warn(
            f"{scene.name} takes about {least / 2**20:.0f} MiB in tiles of {tile} pixels, one at a time: "
            f"more than the {most / 2**20:.0f} MiB of --memory",
            SceneWarning,
            stacklevel=3,
        )
    return tile, workers


def output_nodata(scene: Scene) -> tuple[float | int | None, ...]:
    """The nodata value of each output band: one for all, as GeoTIFF has it.

    It is the first band's that has one.
    """
    declared = [b.nodata for b in scene.bands if b.nodata is not None]
    value = declared[0] if declared else None
    return (value,) * len(scene.bands)


def _computed(scene: Scene, model: Model) -> tuple[int, ...]:
    """Positions of the bands that go through the model, in its order.

    Raises:
        InputError: bands that it does not fit, or that must not be interpolated.
        ModelError: an operator that is not known.
    """
    palette = [b.name for b in scene.bands if b.interpretation == "palette" and b.kind == "continuous"]
    if palette:
        raise InputError(
            f"band {palette[0]} of {scene.name}, whose values are palette indices",
            "values that can be interpolated",
            f"expand a picture first (`gdal_translate -expand rgb`), or carry classes over with --nearest {palette[0]}",
        )
    card = model.descriptor
    continuous = tuple(i for i, b in enumerate(scene.bands) if b.kind == "continuous")
    operators.get(card.operator)
    if card.bands:
        places = joint(scene, card.bands, f"the model {card.name}")
        others = [scene.bands[i].name for i in continuous if i not in places]
        if others:  # never dropped in silence
            own = ",".join(f"{word}={scene.bands[i].name}" for i, word in sorted(zip(places, card.bands, strict=True)))
            raise InputError(
                f"band{'s' * (len(others) != 1)} {', '.join(others[:20])}, of which the model {card.name} makes none",
                f"its bands alone: {', '.join(card.bands)}",
                f"choose them with --bands {own}, or use a band-agnostic model",
            )
        return places
    if card.channels > 1 and len(continuous) != card.channels:
        count = f"{len(continuous)} band{'s' * (len(continuous) != 1)}"
        raise InputError(
            f"{count} for the model {card.name} of {card.channels} channels",
            f"exactly {card.channels} bands",
            "choose them with --bands, or use a band-agnostic model",
        )
    return continuous


def _tell_few(scene: Scene, computed: tuple[int, ...]) -> None:
    """Tell of bands that may be classes, though nothing says so; slices of a series are not read for it."""
    if scene.grid.planes and (scene.domain or not computed):
        return
    counts = tuple(few(found, LABELS) for found in sample(scene.source)) if scene.grid.planes else scene.few
    bands = [i for i in computed if counts[i] is not None and scene.bands[i].role is None]
    if bands:
        names = ",".join(scene.bands[i].name for i in bands)
        most = max(counts[i] or 0 for i in bands)
        warnings.warn(
            f"{scene.name} holds at most {most} different whole numbers in band{'s' * (len(bands) > 1)} {names}: if "
            f"these are classes or flags, carry them over with --nearest {names} or scene.with_nearest",
            SceneWarning,
            stacklevel=3,
        )


def _provenance(scene: Scene, model: Model, source: UpscaledSource) -> dict[str, str]:
    card = model.descriptor
    table = np.stack([scene.values.low, scene.values.high], -1).tolist()  # (frame or 1, band, 2)
    lines = table[0] if len(table) == 1 else [list(of) for of in zip(*table, strict=True)]
    ranges = [line if i in source.computed else None for i, line in enumerate(lines)]
    if scene.values.origin == "physical":
        ranges = [list(card.value_range) if i in source.computed else None for i in range(len(scene.bands))]
    more, earlier = {}, before(scene)
    guessed = card.scale * finer(earlier)
    if card.bands:
        named = zip(card.bands, (scene.bands[i].name for i in source.computed), strict=True)
        more["GEOMEDSR_MODEL_BANDS"] = json.dumps(dict(named))
    if card.neighbours:
        more["GEOMEDSR_NEIGHBOURS"] = str(card.neighbours)
    return {
        **earlier,
        "GEOMEDSR_VERSION": __version__,
        "GEOMEDSR_SOURCE": scene.name,
        "GEOMEDSR_MODEL": card.name,
        "GEOMEDSR_MODEL_VERSION": card.version,
        "GEOMEDSR_MODEL_SHA256": model.sha256,
        "GEOMEDSR_REALISM": f"{model.realism:g}",
        "GEOMEDSR_FACTOR": str(card.scale),
        **more,
        "GEOMEDSR_OPERATOR": card.operator,
        "GEOMEDSR_CONSERVED": "yes" if source.conserve else "no",
        "GEOMEDSR_RUNTIME": source.runtime.words,
        "GEOMEDSR_PRECISION": source.runtime.precision,
        "GEOMEDSR_TILE": str(source.tile),
        "GEOMEDSR_TILING": model.tiling,
        "GEOMEDSR_VALUE_RANGE": json.dumps(ranges),
        "GEOMEDSR_NOTE": f"Detail finer than {guessed} pixels of this image is a model's guess, not a measurement",
    }
