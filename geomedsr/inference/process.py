"""``process``: scenes in, lazy scenes out; the computation is in ``prediction``."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from geomedsr import operators
from geomedsr.errors import InputError, ModelError, SceneWarning
from geomedsr.geometry import Box
from geomedsr.geometry.grid import Grid
from geomedsr.inference import memory as budget
from geomedsr.inference.intervals import Widening, check_nominal, check_type
from geomedsr.inference.kept import KeptFrames
from geomedsr.inference.output import Output
from geomedsr.inference.prediction import Prediction, need_of, whole_frames
from geomedsr.inference.record import recorded
from geomedsr.inference.runtime import Runtime
from geomedsr.models import Model, load_model
from geomedsr.models.descriptor import Descriptor
from geomedsr.models.ports import IMAGE, Port
from geomedsr.providers import provider
from geomedsr.scene.alpha import doubt
from geomedsr.scene.bands import joint
from geomedsr.scene.context import descended
from geomedsr.scene.nodata import same_nodata, unified
from geomedsr.scene.provenance import foreign
from geomedsr.scene.sampling import sample
from geomedsr.scene.scaling import few
from geomedsr.scene.scene import Band, Scene

#: The most different values in a volume that may be labels, such as the regions of a brain.
LABELS = 64


def process(
    model: str | os.PathLike[str] | Model,
    *,
    image: Scene,
    realism: float | None = None,
    factors: Iterable[int] | None = None,
    tile: int | None = None,
    memory: int | str | None = None,
    device: str = "auto",
    precision: str | None = None,
    conserve: bool = True,
    interval: float | None = None,
    conservative: bool = False,
    **others: Scene,
) -> dict[str, Scene]:
    """All outputs of a model, as lazy scenes by name: nothing is computed until they are read or written.

    Args:
        model: a shipped model's name, a model file, or a loaded model. Its card describes its inputs and outputs.
        image: the scene whose bands go through the model.
        realism: see :func:`geomedsr.upscale`, also for ``tile``, ``memory``, ``device``, ``precision`` and
            ``conserve``.
        factors: how many times finer along ``(frame, y, x)``, for models with several heads: a Factors, or three whole
            numbers; by default the first on the card, or the choice of a loaded model.
        tile: side of a tile in pixels of the image.
        memory: how much memory writing the results may take.
        device: the device for the network.
        precision: the precision of the network.
        conserve: make the resulting image agree with the input.
        interval: the share of pixels, 0.5 … 0.99, that ``"halfwidth"`` is to cover: half-widths of an interval around
            the most faithful result (realism 0), in stored units, rounded up (:mod:`geomedsr.metrics.coverage`). A
            self-test of the image is made for it now.
        conservative: take the largest score of calibration instead of the median one.
        others: the model's other inputs, by the names of its ports: they cover the same area as the image, on grids
            finer by the ports' factors.

    Returns:
        ``"image"``, and the model's other outputs by the names of their ports, on the same grid, with the bands that
        the model makes. With an interval: ``"halfwidth"``, and at a realism above 0 ``"invented"``, 1 where the image
        leaves the interval of realism 0. Pixels that are no data in the image are no data in them.

    Raises:
        InputError: inputs that the model does not have, missing inputs, or inputs that are not on the right grids;
            factors that the model does not offer; new slices from a scene without contiguous slices; an interval
            outside its range, or of a type too narrow for it; and all that ``upscale`` raises.
        ModelError: no such model, or a broken file; an interval of a model that has no head for it, or that is not
            calibrated.
        DeviceError: no such device, or precision.
    """
    if not isinstance(model, Model):
        model = load_model(model, realism)
    elif realism is not None:
        model = model.with_realism(realism)
    if factors is not None:
        model = model.with_factors(factors)
    if tile is not None and tile < 1:
        raise InputError(f"a tile of {tile} pixels", "a side of at least 1", "leave --tile out, or use 256")
    model = model.with_profile(image.profile.width if image.profile else 0.0)
    computed, grid = _computed(image, model), _grid(image, model.descriptor)
    beside = _beside(image, computed, model, others)
    _tell_few(image, computed)
    if (doubtful := doubt(image)) is not None:
        warnings.warn(doubtful, SceneWarning, stacklevel=3)
    card = model.descriptor
    if card.value_scale == "physical":
        image = image.with_physical_range(*card.value_range)
    _tell_shared(image)
    _tell_unified(image)
    runtime = Runtime.choose(model, device, precision, image.dtype.itemsize)
    operator = _bound(image, computed, beside, model)
    conserve = conserve and operator.constrains
    most = budget.DEFAULT if memory is None else budget.size(memory)
    if tile is None:  # the same with an interval as without, so that the image is, too
        tile = _tile(image, beside, model, runtime, most, conserve)
    widening = None
    if interval is not None:
        check_nominal(interval)
        plain, model = model, model.with_interval()
        check_type(image)
        widening = _widening(image, plain, computed, interval, conservative)
        card = model.descriptor
    source = Prediction(
        scene=image,
        beside=beside,
        model=model,
        computed=computed,
        nodata=unified(image.bands),
        tile=tile,
        memory=most,
        runtime=runtime,
        conserve=conserve,
        values=image.values.select(computed),
        operator=operator,
        kept=_kept(image, computed, model, operator, conserve),
        widening=() if widening is None else widening.factors,
    )
    made = Scene(
        source=source,
        grid=grid,
        bands=tuple(replace(b, nodata=n) for b, n in zip(image.bands, source.nodata, strict=True)),
        name=f"{image.name} {card.factors.words if card.factors.volume > 1 else f'by {card.name}'}",
        files=tuple(dict.fromkeys([*image.files, *(file for _, scene in beside for file in scene.files)])),
        tags={namespace: foreign(tags) for namespace, tags in image.tags.items()},
        provenance=recorded(image, model, source, widening),
        scale=image.values.repeated(card.frame_factor),
        domain=image.domain,
        rescale=tuple(line for line in image.rescale for _ in range(card.frame_factor)),
        headers=image.headers,
        frames=image.frames,
        lineage=descended(
            image.lineage,
            image.shape[0],
            image.grid.planes,
            card.frame_factor,
            card.neighbours + (operator.frames_beside(card.factors) if conserve else 0),
        ),
    )
    return {IMAGE: made, **{port.name: _output(made, source, port) for port in card.ports.outputs}}


def _computed(scene: Scene, model: Model) -> tuple[int, ...]:
    """Positions of the bands that go through the model, in its order.

    Raises:
        InputError: the bands do not fit the model, or must not be interpolated.
        ModelError: the operator is unknown.
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
        if others:  # bands are never dropped silently
            own = ",".join(f"{word}={scene.bands[i].name}" for i, word in sorted(zip(places, card.bands, strict=True)))
            raise InputError(
                f"band{'s' * (len(others) != 1)} {', '.join(others[:20])}, which the model {card.name} does not make",
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


def _grid(image: Scene, card: Descriptor) -> Grid:
    """The grid of the results.

    Raises:
        InputError: new slices are needed, but the frames are no slices, or have no positions.
    """
    if card.frame_factor > 1 and not image.grid.planes:
        raise InputError(
            f"{image.name}, whose frames have no position in space, for new slices by the model {card.name}",
            "a series or a volume",
            "use a model that leaves frames as they are",
        )
    return image.grid.refined(card.factors)


def _beside(
    image: Scene, computed: tuple[int, ...], model: Model, others: Mapping[str, Scene]
) -> tuple[tuple[str, Scene], ...]:
    """The model's other inputs in the order of its ports.

    Raises:
        InputError: an input is missing, unknown to the model, or does not fit.
    """
    ports, name = model.descriptor.ports.inputs, model.descriptor.name
    known = ", ".join(port.name for port in ports) or "none"
    if strange := sorted(others.keys() - {port.name for port in ports}):
        raise InputError(f"the input {strange[0]} for the model {name}", f"image, and besides {known}", "leave it out")
    if missing := [port.name for port in ports if port.name not in others]:
        raise InputError(f"no {missing[0]} for the model {name}", f"image, and besides {known}", f"give {missing[0]}=…")
    for port in ports:
        scene, (ff, fy, fx) = others[port.name], port.factors
        frames, _, height, width = image.shape
        wanted = frames * ff, len(port.bands) or len(computed), height * fy, width * fx
        if scene.shape != wanted:
            raise InputError(
                f"{scene.name} of shape {scene.shape} as {port.name} of the model {name}",
                f"{wanted}: frames, bands, rows and columns beside {image.name}",
                "choose bands, and a window that fits the image's grid",
            )
    return tuple((port.name, others[port.name]) for port in ports)


def _tell_few(scene: Scene, computed: tuple[int, ...]) -> None:
    """Warn about bands that may be classes although nothing says so; a CT or MR series is not read for it."""
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
            stacklevel=4,
        )


def _tell_shared(scene: Scene) -> None:
    """Warn that dates share a value scale, unless the user chose one; slices of CT and MR are meant to share one."""
    frames = scene.shape[0]
    dates = frames > 1 and not scene.grid.planes and scene.domain not in ("CT", "MR")
    if dates and (scene.scale is None or scene.scale.origin == "percentiles"):
        warnings.warn(
            f"{scene.name}: its {frames} frames are seen on one value scale, so each comes out a little different than "
            "alone; scene.with_values_per_frame(), or --values-per-frame, gives each its own",
            SceneWarning,
            stacklevel=4,
        )


def _tell_unified(scene: Scene) -> None:
    """Warn that bands with different nodata values get a single one, as in GeoTIFF."""
    own = [b.nodata for b in scene.bands]
    if not same_nodata(own, one := unified(scene.bands)):
        values = ", ".join("none" if value is None else f"{value:g}" for value in dict.fromkeys(own))
        warnings.warn(
            f"{scene.name} has bands of different nodata values ({values}): pixels without data have {one[0]:g} in all "
            "bands of the result",
            SceneWarning,
            stacklevel=4,
        )


def _bound(
    image: Scene, computed: tuple[int, ...], beside: tuple[tuple[str, Scene], ...], model: Model
) -> operators.Operator:
    """The model's operator, bound to the inputs.

    Raises:
        ModelError: the model lacks an input that the operator needs.
        InputError: inputs that the operator cannot work with.
    """
    card = model.descriptor
    operator, given = operators.get(card.operator), dict(beside)
    if lacking := [name for name in operator.needs if name not in given]:
        raise ModelError(
            f"the model {card.name} of the operator {card.operator}, without an input {lacking[0]}",
            f"{lacking[0]} among the ports on its card",
            "use another model",
        )
    if not computed:
        return operator
    return operator.bind({IMAGE: image.select([i + 1 for i in computed]), **given})


def _tile(
    scene: Scene, beside: Sequence[tuple[str, Scene]], model: Model, runtime: Runtime, memory: int, conserve: bool
) -> int:
    """The default side of a tile, in pixels of the image, for a job that may take ``memory`` bytes."""
    frame = scene.shape[2:] if whole_frames(scene, model) else None
    reads = scene.source, *(other.source for _, other in beside)
    tile, _ = need_of(scene, model, runtime, conserve, reads, frame).choose(scene.shape[2:], memory)
    if scene.grid.planes:  # each slice is divided into equal parts
        side = max(scene.shape[2:])
        tile = -(-side // -(-side // tile))
    return tile


def _kept(
    image: Scene, computed: tuple[int, ...], model: Model, operator: operators.Operator, conserve: bool
) -> KeptFrames:
    """Room for predictions of frames that are used again, where agreement looks at frames on both sides."""
    if not conserve or operator.slab == 1:
        return KeptFrames()
    whole = Box.whole(image.shape)
    frame = Box((0, *whole.start[1:]), (1, *whole.stop[1:]))
    depth = operator.slab + 2 * (operator.support(frame, image.shape).shape[0] - 1)
    return KeptFrames(4 * depth * frame.pixels * len(computed) * model.descriptor.factors.volume)


def _widening(
    image: Scene, model: Model, computed: tuple[int, ...], nominal: float, conservative: bool
) -> Widening | None:
    """By which factors half-widths are stored; nothing if no band goes through the model."""
    if not computed:
        return None
    seen = replace(image.select([band + 1 for band in computed]), scale=image.values.select(computed))
    found: Widening = provider("interval.widening")(seen, model, nominal, conservative)
    return found


def _output(image: Scene, prediction: Prediction, port: Port) -> Scene:
    """An output besides the image, with the image's grid and those of its bands that the model makes."""
    source = Output(prediction, tuple(range(len(prediction.computed))), port)
    bands = [image.bands[i] for i in prediction.computed]
    if port.meaning == "mask":
        named = [f"{band.name}_{port.name}" for band in bands]
        bands = [Band(name, "nearest", description=name) for name in named]
    elif port.meaning == "half-width":
        named = [f"{band.name}_{port.name}" for band in bands]
        bands = [
            replace(band, name=name, description=name, offset=0.0, role=None, interpretation="undefined")
            for band, name in zip(bands, named, strict=True)
        ]
    lines = {"half-width": tuple((slope, 0.0) for slope, _ in image.rescale), "mask": ()}
    provenance = image.provenance
    return replace(
        image,
        source=source,
        bands=tuple(bands),
        name=f"{image.name} {port.name}",
        rescale=lines.get(port.meaning, image.rescale),
        scale=None,
        provenance=replace(
            provenance,
            model=replace(provenance.model, output=port.name),
            agreement=replace(provenance.agreement, conserved="no"),
        ),
    )
