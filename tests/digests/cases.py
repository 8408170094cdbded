"""The results whose pixels and words are pinned: small inputs through every way that a result can be made.

Models are pinned, too: those that shipped when the digests were recorded lie in ``weights``, so that training them
again changes nothing here. Their last bits follow from the processor's kernels (:func:`kernels`). The tiny models'
weights are multiples of ½, and their inputs multiples of 8 on a scale of 256, so that all of their arithmetic is exact
in float32: their pixels are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import SimpleITK as sitk  # noqa: N813
import torch
import torch.nn.functional as F
from affine import Affine
from conftest import save_tiny, texture
from dicom.conftest import enhanced, pixels, save, save_medical, slice_of
from digests.facts import digest
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS

import geomedsr
from geomedsr import Band, Grid, Model, Scene, Window
from geomedsr.geometry.grid import Plane
from geomedsr.models import load_model, save_model

WEIGHTS = Path(__file__).parent / "weights"
EXAMPLES = Path(__file__).parents[2] / "examples"

#: Makes a result in an empty folder and says where it lies.
Make = Callable[[Path], Path]


@dataclass(frozen=True)
class Case:
    """A result; ``exact`` says that its pixels do not depend on the processor."""

    make: Make
    exact: bool


def kernels() -> str:
    """A digest of what this machine's convolutions give in both precisions: their last bits differ by processor."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 48, 60, 60, generator=generator).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(48, 48, 3, 3, generator=generator)
    found = []
    for kind in (torch.float32, torch.bfloat16):
        for image in (x, x.contiguous(), x[..., :37, :41]):
            found.append(F.conv2d(image.to(kind), weight.to(kind)).float().numpy())
    return digest(*found)


def pinned(name: str, realism: float = 0.0) -> Model:
    """A release model as it was when the digests were recorded."""
    return load_model(WEIGHTS / f"{name}.safetensors", realism)


def exact_model(folder: Path, **card: Any) -> Model:
    """A ×2 model of sparse weights of ±½: sums of few inputs, without rounding."""
    path = save_tiny(folder / "model.safetensors", 2, **{"options": {"width": 4, "blocks": 1}, "name": "exact", **card})
    content = load_model(path)
    rng = np.random.default_rng(7)
    with torch.no_grad():
        for parameter in content.module.parameters():
            values = np.zeros(parameter.shape, np.float32)
            flat = values.reshape(len(values), -1)
            for row in flat:
                row[rng.choice(flat.shape[1], min(3, flat.shape[1]), replace=False)] = rng.choice([-0.5, 0.5])
            parameter.copy_(torch.from_numpy(values))
    save_model(content.module, content.descriptor, path)
    return load_model(path)


def steps_of_eight(bands: int, height: int, width: int, dtype: str = "uint16", seed: int = 0) -> np.ndarray:
    """A texture of multiples of 8 within 8 … 240."""
    return (texture(bands, height, width, "float64", seed, 1, 30).round() * 8).astype(dtype)


def raster(path: Path, array: np.ndarray, edit: Callable[[Any], None] | None = None, **profile: Any) -> Path:
    """A GeoTIFF of an array ``(band, y, x)``."""
    facts = {"count": len(array), "height": array.shape[1], "width": array.shape[2], "dtype": array.dtype}
    place = {"crs": "EPSG:32618", "transform": Affine(10, 0, 435730, 0, -10, 4179460)}
    with rasterio.open(path, "w", driver="GTiff", **(facts | place | profile)) as dataset:
        if edit:
            edit(dataset)
        dataset.write(array)
    return path


def series_of(
    folder: Path, count: int = 3, edit: Callable[[Any, int], None] | None = None, modality: str = "CT"
) -> Path:
    """A folder of slices."""
    for index in range(count):
        ds = slice_of(pixels(seed=index), index, modality)
        if edit:
            edit(ds, index)
        save(ds, folder / f"{index:03d}.dcm")
    return folder


def volume_of(path: Path, dtype: str = "int16") -> Path:
    """An oblique volume of four slices."""
    image = sitk.GetImageFromArray(np.stack([pixels(seed=i) for i in range(4)]).astype(dtype))
    image.SetSpacing((0.7, 0.8, 3.0))
    image.SetOrigin((-10.25, 20.5, 30.125))
    turn = sitk.Euler3DTransform()
    turn.SetRotation(0.3, -0.2, 0.4)
    image.SetDirection(turn.GetMatrix())
    sitk.WriteImage(image, str(path))
    return path


def _written(scene: Scene, path: Path, **options: Any) -> Path:
    geomedsr.write(scene, path, progress=False, **options)
    return path


def _release(name: str, source: str, part: Window, realism: float, precision: str) -> Make:
    """A part of a sample, in pixels of the source, by a release model, in more tiles than one."""

    def make(folder: Path) -> Path:
        scene = geomedsr.open(EXAMPLES / source).crop(part)
        sr = geomedsr.upscale(scene, pinned(name, realism), precision=precision, tile=64)
        return _written(sr, folder / ("sr" if scene.grid.planes else "sr.tif"))

    return make


def _of_scene(scene: Callable[[], Scene], suffix: str, **options: Any) -> Make:
    """An in-memory scene by the exact model."""

    def make(folder: Path) -> Path:
        sr = geomedsr.upscale(scene().with_range(0, 256), exact_model(folder), precision="float32", **options)
        return _written(sr, folder / f"sr{suffix}")

    return make


def _of_file(write_source: Callable[[Path], Path], out: str, window: Window | None = None, **how: Any) -> Make:
    """A file by the exact model; ``how`` goes to ``write``, but for ``card``, ``bands`` and ``nearest``."""
    card, bands, nearest = how.pop("card", {}), how.pop("bands", None), how.pop("nearest", None)
    upscaling = {key: how.pop(key) for key in ("conserve", "tile") if key in how}

    def make(folder: Path) -> Path:
        source = write_source(folder)
        scene = geomedsr.open(source)
        scene = scene.with_nearest(nearest) if nearest else scene
        scene = (scene.select(bands) if bands else scene).with_range(0, 256)
        sr = geomedsr.upscale(scene, exact_model(folder, **card), precision="float32", **upscaling)
        return _written(sr.crop(window) if window else sr, folder / out, **how)

    return make


def _plain_source(folder: Path) -> Path:
    def edit(dataset: Any) -> None:
        dataset.update_tags(PLACE="coast")
        dataset.update_tags(ns="SENSOR", LOOK="left")
        dataset.update_tags(2, MEANING="green")
        dataset.descriptions = ("B02", "B03", "B04")
        dataset.scales, dataset.offsets = (1e-4,) * 3, (-0.1,) * 3

    return raster(folder / "in.tif", steps_of_eight(3, 60, 52), edit)


def _nodata_source(folder: Path) -> Path:
    array = steps_of_eight(2, 50, 61)
    array[:, 10:22, 13:40] = 0
    array[0, 44:] = 0
    return raster(folder / "in.tif", array, nodata=0)


def _masked_source(folder: Path) -> Path:
    mask = np.full((41, 50), 255, np.uint8)
    mask[5:20, 30:] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        return raster(folder / "in.tif", steps_of_eight(2, 41, 50, "uint8"), lambda dataset: dataset.write_mask(mask))


def _float_source(folder: Path) -> Path:
    array = steps_of_eight(1, 40, 44, "float32")
    array[0, 7:12, 20:31] = np.nan
    return raster(folder / "in.tif", array, nodata=np.nan, transform=Affine(8, 3, 500000, 2, -9, 4000000))


def _classes_source(folder: Path) -> Path:
    array = steps_of_eight(2, 44, 40, "uint8")
    array[1] //= 64
    return raster(folder / "in.tif", array)


def _gcp_source(folder: Path) -> Path:
    def edit(dataset: Any) -> None:
        points = [(0, 0, 10, 50), (0, 30, 10.4, 50), (40, 0, 10, 49.5), (40, 30, 10.4, 49.4)]
        gcps = [GroundControlPoint(row=r, col=c, x=x, y=y, z=3.0) for r, c, x, y in points]
        dataset.gcps = (gcps, CRS.from_epsg(4326))

    return raster(folder / "in.tif", steps_of_eight(1, 40, 30), edit, crs=None, transform=None)


def _joint_source(folder: Path) -> Path:
    def edit(dataset: Any) -> None:
        dataset.descriptions = ("B02", "B03", "B04", "B08")

    return raster(folder / "in.tif", steps_of_eight(4, 40, 36), edit)


def _cluster(folder: Path) -> Path:
    sr = geomedsr.upscale(
        geomedsr.open(raster(folder / "in.tif", steps_of_eight(2, 700, 600))).with_range(0, 256),
        exact_model(folder),
        precision="float32",
        tile=128,
    )
    return _written(sr, folder / "sr.tif", cluster="local:2")


def _large(folder: Path) -> Path:
    sr = geomedsr.upscale(
        geomedsr.open(raster(folder / "in.tif", steps_of_eight(2, 700, 600))).with_range(0, 256),
        exact_model(folder),
        precision="float32",
        tile=100,
    )
    return _written(sr, folder / "sr.tif")


def _twice(folder: Path) -> Path:
    model = exact_model(folder)
    first = geomedsr.upscale(geomedsr.open(_plain_source(folder)).with_range(0, 256), model, precision="float32")
    once = _written(first.crop(Window(20, 10, 60, 70)), folder / "once.tif")
    second = geomedsr.upscale(geomedsr.open(once, force=True).with_range(0, 256), model, precision="float32")
    return _written(second, folder / "twice.tif")


def _neighbours(folder: Path) -> Path:
    planes = tuple(Plane((0, 0, 3 * i), (1, 0, 0), (0, 1, 0), (1, 1)) for i in range(5))
    values = np.stack([steps_of_eight(1, 30, 26, seed=i) for i in range(5)])
    scene = Scene.from_array(values, grid=Grid((30, 26), planes=planes), bands=[Band("MR")], domain="MR")
    model = exact_model(folder, neighbours=1, name="three")
    return _written(geomedsr.upscale(scene.with_range(0, 256), model, precision="float32"), folder / "sr.nrrd")


def _with_padding(ds: Any, index: int) -> None:
    values = pixels(seed=index)
    values[:3] = -2000
    ds.PixelData = values.tobytes()
    ds.PixelPaddingValue = -2000


def _enhanced(folder: Path) -> Path:
    source = save(enhanced([pixels(seed=i) for i in range(3)]), folder / "in" / "0.dcm")
    return _tiny_series(source.parent, folder)


def _tiny_series(source: Path, folder: Path, modality: str = "CT", **options: Any) -> Path:
    model = load_model(
        save_medical(folder / "model.safetensors", "block-mean" if modality == "CT" else "k-space-crop", modality)
    )
    sr = geomedsr.upscale(geomedsr.open(source), model, precision="float32")
    return _written(sr, folder / f"sr{options.pop('suffix', '')}", uid_seed="digests", **options)


def _memory_scene(dtype: str) -> Callable[[], Scene]:
    return lambda: Scene.from_array(steps_of_eight(2, 37, 45, dtype), name="memory")


def cases() -> dict[str, Case]:
    """All of them, by name."""
    found: dict[str, Case] = {}
    for name, source, part in [
        ("satellite-x4", "sentinel2_coast/input.tif", Window(0, 0, 72, 40)),
        ("satellite-x2", "sentinel2_coast/input.tif", Window(0, 0, 72, 40)),
        ("ct-x2", "ct_abdomen", Window(150, 170, 100, 80)),
        ("mr-x2", "mr_thigh", Window(100, 140, 100, 80)),
    ]:
        for realism in (0.0, 0.5, 1.0):
            for precision in ("float32", "bfloat16"):
                made = _release(name, source, part, realism, precision)
                found[f"{name} at realism {realism:g} in {precision}"] = Case(made, False)
    exact: dict[str, Make] = {
        "a raster": _of_file(_plain_source, "sr.tif"),
        "a raster in tiles of 17": _of_file(_plain_source, "sr.tif", tile=17),
        "a raster as plain GeoTIFF": _of_file(_plain_source, "sr.tif", format="gtiff"),
        "a raster as Zarr": _of_file(_plain_source, "sr.zarr"),
        "a window": _of_file(_plain_source, "sr.tif", Window(21, 30, 50, 41)),
        "some bands, turned round": _of_file(_plain_source, "sr.tif", bands=["B04", "B02"]),
        "nothing conserved": _of_file(_plain_source, "sr.tif", conserve=False),
        "no operator": _of_file(_plain_source, "sr.tif", card={"operator": "none"}),
        "nodata": _of_file(_nodata_source, "sr.tif"),
        "nodata as Zarr": _of_file(_nodata_source, "sr.zarr"),
        "nodata in a window": _of_file(_nodata_source, "sr.tif", Window(10, 10, 70, 60)),
        "a mask": _of_file(_masked_source, "sr.tif"),
        "a mask as Zarr": _of_file(_masked_source, "sr.zarr"),
        "floats with NaN, rotated": _of_file(_float_source, "sr.tif"),
        "classes": _of_file(_classes_source, "sr.tif", nearest=["2"]),
        "control points": _of_file(_gcp_source, "sr.tif"),
        "bands made jointly": _of_file(
            _joint_source, "sr.tif", card={"channels": 4, "bands": ("red", "green", "blue", "nir"), "name": "joint"}
        ),
        "more regions than one": _large,
        "a cluster of two": _cluster,
        "twice": _twice,
        "neighbouring slices": _neighbours,
        "int32": _of_scene(_memory_scene("int32"), ".tif"),
        "float64": _of_scene(_memory_scene("float64"), ".tif"),
        "int8": _of_scene(
            lambda: Scene.from_array(steps_of_eight(1, 30, 33, "int16").clip(0, 120).astype("int8")), ".tif"
        ),
    }
    found |= {name: Case(make, True) for name, make in exact.items()}
    tiny: dict[str, Make] = {
        "a CT series": lambda f: _tiny_series(series_of(f / "in"), f),
        "a CT series with padding": lambda f: _tiny_series(series_of(f / "in", edit=_with_padding), f),
        "an MR series": lambda f: _tiny_series(series_of(f / "in", modality="MR"), f, "MR"),
        "an enhanced CT": _enhanced,
        "a CT series as NIfTI": lambda f: _tiny_volume(series_of(f / "in"), f, ".nii.gz"),
        "a NIfTI volume": lambda f: _tiny_volume(volume_of(f / "in.nii.gz"), f, ".nii.gz"),
        "a float volume as NRRD": lambda f: _tiny_volume(volume_of(f / "in.nrrd", "float32"), f, ".nrrd"),
        "a volume as MetaImage": lambda f: _tiny_volume(volume_of(f / "in.mha"), f, ".mha"),
    }
    return found | {name: Case(make, False) for name, make in tiny.items()}


def _tiny_volume(source: Path, folder: Path, suffix: str) -> Path:
    model = load_model(save_medical(folder / "model.safetensors"))
    return _written(geomedsr.upscale(geomedsr.open(source), model, precision="float32"), folder / f"sr{suffix}")
