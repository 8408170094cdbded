"""``upscale``: a scene in, a finer lazy scene out; the image of :func:`geomedsr.process`."""

from __future__ import annotations

import os
import warnings

from geomedsr.errors import InputError, SceneWarning
from geomedsr.fitness.judging import unlike
from geomedsr.inference.adapting import Adapting
from geomedsr.inference.intervals import beside
from geomedsr.inference.process import process
from geomedsr.inference.slices import upscale_slices
from geomedsr.models import Model, default_model, load_model
from geomedsr.models.half_width import PORT
from geomedsr.models.ports import IMAGE
from geomedsr.models.store import default_slices
from geomedsr.scene.lazy import root
from geomedsr.scene.scene import Scene


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
    slices: int | str | None = None,
    in_plane: int = 1,
    in_plane_model: str | os.PathLike[str] | Model | None = None,
    profile: str | float | None = None,
    interval: float | None = None,
    conservative: bool = False,
    adapt: Adapting | None = None,
    fitness: bool = True,
) -> Scene:
    """The super-resolved scene, ``scale`` times finer, as a lazy scene: it is computed when it is read or written.

    Args:
        scene: any scene. Bands of kind ``"nearest"`` (classes, flags, alpha) are repeated; the others go
            through the model on the scene's own value scale. A model of named bands finds them in any order. A 2.5-D
            model sees each slice of a series with its context slices.
        model: a shipped model's name, a model file, or a loaded model; without one, the model shipped for such
            scenes (rasters, CT, MR).
        realism: 0, the most faithful, … 1, the most lifelike, for models that have adversarial weights; by default the
            value on the model's card.
        tile: side of a tile in input pixels. It affects memory and speed, not the result, unless the model's tiling is
            approximate (third-party networks).
        memory: how much memory writing the result may take, in bytes or as text such as ``"2GiB"``; 1.5 GiB by default.
            It determines the number of workers, and the tile if none is given. Writing warns if it is not enough.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``"float32"`` or ``"bfloat16"``; by default bfloat16 if the model's card says that nothing is lost
            and the device supports it natively.
        conserve: make the result agree with the input. For models with the block mean as operator, the mean of each
            ``s × s`` block equals the input pixel exactly; for the crop of k-space, the central k-space of each frame
            is the input's before values are rounded.
        interval: the share of pixels, 0.5 … 0.99, that an interval around the most faithful result is to cover; its
            half-widths are further bands, behind the image's, such as ``B04_halfwidth``. See
            :func:`geomedsr.process`, which returns them as a scene of their own, as series need it.
        conservative: see :func:`geomedsr.process`.
        adapt: with ``slices``: let the model go on training on the series itself first, which takes its time now, and
            leaves a model file.
        fitness: measure a sample of the scene now, and warn in one line if it is unlike what the model knows
            (:mod:`geomedsr.fitness`); not for what a model has made, or dask is to compute.
        slices: make so many slices from each slice of a series; ``"isotropic"`` makes them as near to each other as
            pixels are. ``model`` is then one for slices, and pixels stay as they are, unless ``in_plane`` is 2.
        in_plane: 2 makes the new slices twice as fine in plane, too.
        in_plane_model: by which model; by default the one shipped for such scenes.
        profile: how slices see what lies along their normal: ``"box"``; the full width at half the height of a bell, in
            mm; ``"header"`` or ``"estimate"``. By default what the header tells, and where that tells nothing the
            estimate (:mod:`geomedsr.scene.profiles`). With a box the mean of new slices is the old one exactly; with a
            bell slices agree as the bell sees the new ones, but for rounding and clipping.

    Raises:
        InputError: a palette image, bands that do not fit the model, or no model given for a scene of unknown domain.
        ModelError: no such model, or a broken file.
        DeviceError: no such device, or precision.
    """
    if fitness:
        _tell_unlike(scene, model, slices is not None)
    if slices is not None:
        if interval is not None:
            raise InputError("an interval of new slices", "one of the two", "leave interval, or slices, out")
        return upscale_slices(
            scene,
            slices,
            model,
            in_plane=in_plane,
            in_plane_model=in_plane_model,
            profile=profile,
            realism=realism,
            adapt=adapt,
            tile=tile,
            memory=memory,
            device=device,
            precision=precision,
            conserve=conserve,
        )
    if in_plane != 1 or in_plane_model is not None or profile is not None or adapt is not None:
        raise InputError(
            "in_plane, in_plane_model, profile or adapt without slices",
            "all for new slices",
            "add --slices, or leave it out",
        )
    made = process(
        default_model(scene.domain) if model is None else model,
        image=scene,
        realism=realism,
        tile=tile,
        memory=memory,
        device=device,
        precision=precision,
        conserve=conserve,
        interval=interval,
        conservative=conservative,
    )
    return made[IMAGE] if interval is None else beside(made[IMAGE], made[PORT.name])


def _tell_unlike(scene: Scene, model: str | os.PathLike[str] | Model | None, slices: bool) -> None:
    if model is None:
        model = (default_slices if slices else default_model)(scene.domain)
    card = (model if isinstance(model, Model) else load_model(model)).descriptor
    found = None if scene.provenance.made or root(scene.source) is not None else unlike(scene, card)
    if found is not None and found.warning is not None:
        warnings.warn(found.warning, SceneWarning, stacklevel=3)
