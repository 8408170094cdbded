"""The provenance of what a model makes of a scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from geomedsr._version import __version__
from geomedsr.inference.intervals import Widening
from geomedsr.inference.prediction import Prediction
from geomedsr.models import Model
from geomedsr.models.descriptor import Descriptor
from geomedsr.scene.provenance import Agreement, IntervalRecord, ModelFacts, Provenance, RunFacts, Step, before
from geomedsr.scene.provenance.made_of import guesses
from geomedsr.scene.provenance.texts import Range
from geomedsr.scene.scene import Scene


def recorded(scene: Scene, model: Model, source: Prediction, widening: Widening | None) -> Provenance:
    """What a result of a prediction says of how it was made."""
    card, earlier = model.descriptor, before(scene)
    named = dict(zip(card.bands, (scene.bands[i].name for i in source.computed), strict=True)) if card.bands else None
    last = Step(card.name, card.version, model.sha256, card.scale)
    groups = None if earlier.groups is None else tuple(g.finer(last, card.operator) for g in earlier.groups)
    return replace(
        earlier,
        software=__version__,
        source=scene.name,
        model=ModelFacts(
            name=card.name,
            version=card.version,
            sha256=model.sha256,
            realism=model.realism,
            factor=card.scale,
            bands=named,
            neighbours=card.neighbours or None,
            frame_factor=card.frame_factor if card.frame_factor > 1 else None,
            inputs={name: other.name for name, other in source.beside} or None,
        ),
        interval=IntervalRecord()
        if widening is None
        else IntervalRecord(
            nominal=widening.nominal,
            rule=widening.rule,
            scale="self-test" if widening.tested else "typical",
            invented=widening.invented,
        ),
        agreement=_agreement(scene, source),
        run=RunFacts(source.runtime.words, source.runtime.precision, source.tile, model.tiling),
        ranges=_ranges(scene, card, source.computed),
        groups=groups,
        note=guesses(groups) if groups else source.operator.note(card.factors * earlier.earlier),
    )


def _agreement(scene: Scene, source: Prediction) -> Agreement:
    """What the operator records, and who says what slices see, where the network is told."""
    known = source.operator.record(source.conserve)
    if scene.profile is None or not source.model.module.knows_profile:
        return known
    return replace(known, profile_origin=scene.profile.origin)


def _ranges(scene: Scene, card: Descriptor, computed: tuple[int, ...]) -> tuple[Range, ...]:
    """The stored values that are 0 and 1 for the network, per band (and frame); None for bands carried over."""
    if scene.values.origin == "physical":
        return tuple(card.value_range if i in computed else None for i in range(len(scene.bands)))
    ends = np.stack([scene.values.low, scene.values.high], -1).tolist()  # (frame or 1, band, 2)
    bands = [tuple((low, high) for low, high in of) for of in zip(*ends, strict=True)]
    return tuple((of if len(of) > 1 else of[0]) if i in computed else None for i, of in enumerate(bands))
