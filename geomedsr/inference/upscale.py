"""``upscale``: a scene in, a finer lazy scene out: the image of :func:`geomedsr.process`."""

from __future__ import annotations

import os

from geomedsr.inference.process import process
from geomedsr.models import Model, default_model
from geomedsr.models.ports import IMAGE
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
            none is given, and the number of workers follow from it. Writing warns where it is too little.
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
    return process(
        default_model(scene.domain) if model is None else model,
        image=scene,
        realism=realism,
        tile=tile,
        memory=memory,
        device=device,
        precision=precision,
        conserve=conserve,
    )[IMAGE]
