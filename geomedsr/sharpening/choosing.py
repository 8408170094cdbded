"""Which model sharpens a scene by a guide where the user names none, and which of the guide's bands it sees."""

from __future__ import annotations

from geomedsr.errors import InputError, ModelError
from geomedsr.models import Model, available
from geomedsr.models.ports import Port
from geomedsr.scene.bands import continuous, find, select_joint
from geomedsr.scene.scene import Scene
from geomedsr.sharpening.regression import REGRESSION

#: The port that a guide enters by.
GUIDE = "guide"

#: What names of a guide's bands begin with in a result whose own bands have these names, too.
APART = f"{GUIDE}_"

#: The model of Sentinel-2's bands of 20 m, and those that it makes and sees.
SENTINEL2 = "sentinel2-20m-x2"
SENTINEL2_COARSE = ("B05", "B06", "B07", "B8A", "B11", "B12")
SENTINEL2_FINE = ("B02", "B03", "B04", "B08")

#: What bands show through which the ground does not.
_SKY = ("cirrus",)

#: How files call a panchromatic band; Landsat 7 to 9 have it as their eighth.
_PAN = ("pan", "panchromatic", "b8")


def default_name(coarse: Scene, guide: Scene, factor: int) -> str:
    """The name of the model for such a factor and such a guide.

    Raises:
        ModelError: none is made for these, or it is not shipped.
    """
    own = [band.name for band in coarse.bands if band.kind == "continuous"]
    named = len(find(guide.bands, SENTINEL2_FINE)) == len(SENTINEL2_FINE)
    if factor == 2 and named and sorted(own) == sorted(SENTINEL2_COARSE):
        name = SENTINEL2
    elif len(continuous(guide).bands) == 1 or pan(guide) is not None:
        name = f"pan-x{factor}"
    else:
        name = ""
    if name in available():
        return name
    count = len(continuous(guide).bands)
    missing = f"no model {name}" if name else "no model of its own"
    raise ModelError(
        f"{coarse.name} of bands {', '.join(own[:12])} and a guide of {count} band{'s' * (count != 1)} {factor} times "
        f"finer, for which geomedsr ships {missing}",
        f"one of {', '.join(_shipped()) or 'those that you have'}, or a file of one",
        f"name it with --model; --model {REGRESSION} takes any guide, and is estimated on the scene",
    )


def _shipped() -> list[str]:
    """The shipped models that take a guide."""
    return [name for name in sorted(available()) if name == SENTINEL2 or name.startswith("pan-x")]


def pan(guide: Scene) -> str | None:
    """The band of a guide whose name says that it is panchromatic; None where none or several are."""
    found = [b.name for b in guide.bands if {b.name.casefold(), (b.role or "").casefold()} & set(_PAN)]
    return found[0] if len(found) == 1 else None


def carried_over(scene: Scene) -> Scene:
    """A scene whose bands that show the sky are carried over as classes are, not made finer: no guide tells of them."""
    sky = [band.name for band in scene.bands if band.role in _SKY]
    return scene.with_nearest(sky)


def port_of(model: Model) -> Port:
    """The port by which a guide enters.

    Raises:
        ModelError: the model has none, or others beside.
    """
    card = model.descriptor
    if [port.name for port in card.ports.inputs] != [GUIDE]:
        takes = ", ".join(port.name for port in card.ports.inputs) or "nothing"
        raise ModelError(
            f"the model {card.name}, which takes {takes} beside the image",
            f"one that takes a {GUIDE}",
            f"use one of {', '.join([*_shipped(), REGRESSION])}; `geomedsr upscale` runs models without a guide",
        )
    port = card.ports.inputs[0]
    if port.factors[1] != port.factors[2] or card.scale % port.factors[1] or card.frame_factor > 1:
        raise ModelError(f"the model {card.name}, whose guide is no finer image", "one for sharpening", "use another")
    return port


def seen(guide: Scene, port: Port, name: str) -> Scene:
    """The bands of a guide that a model sees, in its order: by name, or the one that there is.

    Raises:
        InputError: names do not say which they are.
    """
    usable = continuous(guide)
    if len(port.bands) == 1:
        if len(usable.bands) == 1:
            return usable
        only = pan(guide)
        if only is not None:
            return guide.select([only])
        raise InputError(
            f"the guide {guide.name} of bands {', '.join(b.name for b in usable.bands[:20])}, for {name}",
            f"one band, {port.bands[0]}",
            "choose it with --guide-bands",
        )
    if not port.bands:
        raise InputError(f"the model {name}, whose guide has no bands of its own", "named ones", "use another model")
    try:
        return select_joint(usable, port.bands, f"the guide of the model {name}")
    except InputError as error:
        remedy = error.remedy.replace("--bands", "--guide-bands")
        raise InputError(error.got, error.expected, remedy) from error
