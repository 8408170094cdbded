"""The bands that a model of named colours wants, in its order."""

from __future__ import annotations

import json
from dataclasses import replace

from geomedsr.errors import InputError
from geomedsr.models import Descriptor
from geomedsr.scene import Scene


def in_order(scene: Scene, card: Descriptor) -> Scene:
    """The scene's bands that a model's card names, in the card's order, and after them the classes and flags.

    What was taken is added to the provenance, so that a result can be checked against its source.
    The scene as it is where the card names none. Colours are told by the file's colour interpretation or by band names;
    where they are not, just as many bands as the card names are taken as they come.

    Raises:
        InputError: neither tells which bands are meant.
    """
    from geomedsr.viewing.colours import colours  # which imports this package

    if not card.bands:
        return scene
    found = colours(scene.bands)
    continuous = [i for i, band in enumerate(scene.bands) if band.kind == "continuous"]
    if all(colour in found for colour in card.bands):
        picks = [found[colour] for colour in card.bands]
    elif len(continuous) == len(card.bands):
        picks = continuous
    else:
        names = ", ".join(scene.bands[i].name for i in continuous[:20]) or "no bands of values"
        raise InputError(
            f"{scene.name} with {names} for the model {card.name}",
            f"bands that tell {', '.join(card.bands)}, or just {len(card.bands)}, in that order",
            "choose them with --bands",
        )
    picks += [i for i in range(len(scene.bands)) if i not in continuous]
    if picks == list(range(len(scene.bands))):
        return scene
    taken = json.dumps([scene.bands[i].name for i in picks])
    chosen = scene.select([i + 1 for i in picks])
    return replace(chosen, provenance={**scene.provenance, "GEOMEDSR_BANDS": taken})
