"""``evaluate``: compare a model with interpolation and other upscalers, on reduced references or on real pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from geomedsr.errors import InputError, ModelError
from geomedsr.metrics.case import Case
from geomedsr.metrics.consistency import drift
from geomedsr.metrics.methods import USUAL, Method, check_peers, peers, results
from geomedsr.metrics.protocol import Protocol
from geomedsr.metrics.reduced import reduced
from geomedsr.metrics.regions import Region, count_regions, divisible, regions
from geomedsr.metrics.spectrum import mean_ratio
from geomedsr.metrics.table import Evaluation, Score
from geomedsr.metrics.tally import Tally
from geomedsr.models import Descriptor, Model
from geomedsr.operators import get as operator_named
from geomedsr.pairs.common import on_common_pixels
from geomedsr.scene.bands import continuous, select_joint
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array

__all__ = ["Evaluation", "Protocol", "Score", "compare_with", "evaluate"]

_Named = TypeVar("_Named", Scene, Method)

#: Slices with a smaller share of foreground are left out.
_LEAST = 0.02

#: Number of places in each scene that are shown as pictures.
_PLACES = 2


def evaluate(
    model: Model,
    scenes: Sequence[Scene],
    *,
    reference: Scene | None = None,
    realism: Sequence[float] = (),
    against: Sequence[str] = USUAL,
    operator: str | None = None,
    value_range: tuple[float, float] | None = None,
    above: float | None = None,
    vgg_file: str | None = None,
) -> Evaluation:
    """Reduce references, super-resolve them with each method, round to their type, and compare.

    Args:
        model: the model.
        scenes: references that the model was not trained on; with ``reference``, one real input. For a model of named
            bands, only these bands are compared.
        reference: an image at the model's resolution from another sensor; nothing is reduced then. Scene and reference
            are cropped to the area that they share. Values are compared without adjustment, so that differences between
            the sensors count as error.
        realism: the values of realism to measure; by default 0, and also 1 for models with adversarial weights.
        against: other methods to measure: torch's ``bicubic`` (a = −0.75; always, since gains are relative to it),
            ``lanczos`` (three lobes), ``realesrgan`` (only ×4 and only red, green and blue; means are then over these).
        operator: the operator that reduces references and measures drift; by default the model's (block means for
            models without one).
        value_range: values are clipped to this range, in physical units, and it is PSNR's peak; see :class:`Protocol`.
        above: only pixels above this physical value count.
        vgg_file: a torchvision state dict of VGG-19 instead of the extra ``vgg``.

    docs/metrics.md defines each figure.

    Raises:
        InputError: a scene that is too small, a scene without pixels to compare, a pair that does not match, or a
            method that does not support the scene.
        ModelError: the bands do not fit, or the model does not support the realism.
        GeomedsrError: a method that is not installed.
    """
    card = model.descriptor
    if card.ports.inputs:
        guided = card.ports.inputs[0].meaning == "value"
        how = "measure it by Wald's protocol, with benchmarks/sharpen.py DATA" if guided else "compare results by hand"
        raise ModelError(
            f"the model {card.name}, which needs {card.ports.inputs[0].name} beside the image",
            "a model of the image alone",
            how,
        )
    against = check_peers(against)
    amounts = list(realism) or ([0.0, 1.0] if card.adversarial else [])
    models = [model.with_realism(amount) for amount in amounts] or [model]
    down_by = operator_named(operator or card.operator).reduction
    if reference is not None and len(scenes) != 1:
        raise InputError(f"{len(scenes)} inputs for one reference", "one", "evaluate them one by one")
    found: list[Evaluation] = []
    for scene in _named_apart(scenes):
        if reference is None:
            fine = divisible(_seen(scene, card), card.scale)
            how = f"reduced {card.scale} × by {down_by}, rounded to {fine.dtype}"
        else:
            fine, coarse = on_common_pixels(_seen(reference, card), _seen(scene, card), card.scale)
            how = f"a real input, compared with {reference.name} as it is: what sensors see otherwise counts as error"
        if card.value_scale == "physical":
            fine = fine.with_physical_range(*card.value_range)
        protocol = Protocol.of(fine, value_range, above)
        if reference is None:
            coarse = reduced(fine, card.scale, down_by)
        methods = tuple(_named_apart(peers(against, coarse, card.scale) + results(models, coarse)))
        case = Case(scene.name, fine, coarse, card.scale, methods, ())
        words = f"{scene.name}: {how}; {protocol.words}"
        found.append(_compared(case, protocol, down_by, vgg_file, words, reference is not None))
    return _joined(found)


def compare_with(
    reference: Scene, source: Scene, results: Mapping[str, Scene], *, vgg_file: str | None = None
) -> Evaluation:
    """Compare results from a source, and its interpolation, with a reference of the results' size.

    See :func:`evaluate`. Drift is measured by block means.

    Raises:
        InputError: sizes do not match, or there are no pixels to compare.
    """
    scale = reference.shape[2] // source.shape[2]
    grown = tuple(n * scale for n in source.shape[2:])
    if scale < 2 or any(scene.shape[2:] != grown for scene in (reference, *results.values())):
        _, _, height, width = reference.shape
        raise InputError(
            f"a reference of {width} × {height} pixels for a source of {source.shape[3]} × {source.shape[2]}",
            "a whole multiple of it, as large as the results",
            "crop it to the same ground",
        )
    fine, coarse = continuous(reference), continuous(source)
    protocol = Protocol.of(fine, None, None)
    ours = {name: continuous(scene) for name, scene in results.items()}
    made = [Method(name, scene.source.read, scene, scene=scene) for name, scene in ours.items()]
    methods = tuple(_named_apart(peers(USUAL, coarse, scale) + made))
    case = Case(fine.name, fine, coarse, scale, methods, ())
    return _compared(case, protocol, "block-mean", vgg_file, f"Compared with {reference.name}; {protocol.words}")


def _compared(
    case: Case, protocol: Protocol, operator: str, vgg_file: str | None, words: str, pair: bool = False
) -> Evaluation:
    """The methods' scores on one scene, against its reference."""
    fine, scale, bands = case.fine, case.scale, len(case.fine.bands)
    served = {m.name: range(bands) if m.bands is None else m.bands for m in case.methods}
    common = tuple(b for b in range(bands) if all(b in some for some in served.values()))
    pieces = count_regions(fine, scale, operator)
    tallies = {
        m.name: Tally(protocol, bands, common, scale, fine.shape[0] > 1, fine.domain != "CT", pieces, vgg_file, pair)
        for m in case.methods
    }
    for region in regions(fine, case.coarse, scale, operator):
        seen = region.data if protocol.above is None else region.data & (region.truth > protocol.above)
        if seen[:, list(common)][(..., *region.inner)].mean() < (_LEAST if fine.shape[0] > 1 else 1e-9):
            continue
        base = None
        for method in case.methods:
            result = _made(method, region)
            away = _drift(result, region, scale, operator)
            result = protocol.clip(result)
            base = result if base is None else base  # bicubic comes first
            tallies[method.name].add(region, result, base, away, seen)
    first = next(iter(tallies.values()))
    if not first.parts:
        raise InputError(f"{fine.name}, in which no pixel counts", "data, and foreground", "leave it out")
    scores = tuple(_score(case, method, tallies[method.name], first, served[method.name]) for method in case.methods)
    notes = "".join(f". {m.note}" for m in case.methods if m.note)
    return Evaluation(scores, (f"{words}{notes}.",), (replace(case, places=tuple(first.hardest(_PLACES))),))


def _made(method: Method, region: Region) -> Array:
    """A method's result over a region and its surroundings, as it would be stored, physical, ``(1, band, y, x)``.

    Bands that the method does not make, and unknown pixels, take the reference's values, so that they show no error.
    """
    made = region.truth.copy()
    made[:, slice(None) if method.bands is None else list(method.bands)] = method.physical(region.around)
    return np.where(region.known, made, region.truth)


def _drift(result: Array, region: Region, scale: int, operator: str) -> Array:
    """The drift of a result; NaN where the operator needs whole frames and some pixels are missing."""
    inside = (..., *region.inner)
    if operator_named(operator).whole_frames and not region.data[inside].all():
        return np.full(region.coarse.shape, np.nan)
    with np.errstate(invalid="ignore", over="ignore"):
        return drift(result[inside], region.coarse, scale, operator)


def _score(case: Case, method: Method, tally: Tally, base: Tally, served: Sequence[int]) -> Score:
    measured, by_band = tally.figures(served, base)
    names = [band.name for band in case.fine.bands]
    units = {band.units for band in case.coarse.bands}  # drift is from the input
    return Score(
        case.name,
        method.name,
        measured["psnr"].value,
        measured["ssim"].value,
        tally.vgg(),
        measured["gain"].value,
        measured,
        {names[band]: figures for band, figures in by_band.items()},
        mean_ratio([tally.spectra(band) for band in tally.common]),
        (units.pop() or "") if len(units) == 1 else "",
    )


def _joined(found: Sequence[Evaluation]) -> Evaluation:
    scores = tuple(score for one in found for score in one.scores)
    words = tuple(text for one in found for text in one.words)
    return Evaluation(scores, words, tuple(case for one in found for case in one.cases))


def _seen(scene: Scene, card: Descriptor) -> Scene:
    """The bands that a model of named bands makes; for other models all bands."""
    return select_joint(scene, card.bands, f"the model {card.name}") if card.bands else scene


def _named_apart(named: Sequence[_Named]) -> Iterator[_Named]:
    """Scenes or methods; a number is added to names that occur again."""
    taken: dict[str, int] = {}
    for one in named:
        taken[one.name] = taken.get(one.name, 0) + 1
        yield one if taken[one.name] == 1 else replace(one, name=f"{one.name} ({taken[one.name]})")
