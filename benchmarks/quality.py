"""PSNR and SSIM of the shipped satellite model beside interpolation, on scenes it was not trained on.

    python benchmarks/quality.py [FOLDER]

Each reference is reduced 4 × by block means to its own integer type, upscaled by each method, rounded to
that type, and compared. FOLDER holds the validation scenes of configs/satellite-x4.yaml; without it the
shipped sample (a part of one of them) is used alone. Peak: the reference's 1–99 % range, band by band.
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.enums import Resampling

import geomedsr
from geomedsr import Scene, Window
from geomedsr.metrics import psnr, ssim
from geomedsr.models.interpolation import BicubicSkip
from geomedsr.training import load_recipe

ROOT = Path(__file__).parents[1]
FACTOR = 4
MARGIN = 4  # input pixels beside nodata that do not count, for any method


def references(folder: str | None) -> dict[str, Scene]:
    """Name → reference scene, of a size that the factor divides."""
    if folder is None:
        return {"Sentinel-2, shipped sample": geomedsr.open(ROOT / "examples/sentinel2_coast/reference.tif")}
    recipe = load_recipe(ROOT / "configs/satellite-x4.yaml")
    scenes = {}
    for entry in recipe.data.validation:
        col, row, width, height = entry.window
        window = Window(col, row, width // FACTOR * FACTOR, height // FACTOR * FACTOR)
        scene = replace(geomedsr.open(Path(folder) / entry.path).crop(window), scale=None)
        sensor = scene.tags.get("", {}).get("SENSOR", "")
        scenes[f"{sensor}, {window.width} × {window.height}"] = scene
    return scenes


def reduce(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Block means rounded to nearest, and which blocks are all data in all bands."""
    fine, valid = scene.data.values[0].astype(np.int64), scene.valid.values[0]
    bands, height, width = fine.shape
    shape = (bands, height // FACTOR, FACTOR, width // FACTOR, FACTOR)
    coarse = (fine.reshape(shape).sum((2, 4)) + FACTOR**2 // 2) // FACTOR**2
    whole = valid.reshape(shape).all((0, 2, 4))
    nodata = scene.bands[0].nodata
    return np.where(whole, coarse, 0 if nodata is None else nodata).astype(scene.dtype), whole


def torch_bicubic(path: Path, coarse: np.ndarray) -> np.ndarray:
    tensor = torch.from_numpy(coarse.astype(np.float64))[None]
    return torch.nn.functional.interpolate(tensor, scale_factor=FACTOR, mode="bicubic")[0].numpy()


def keys_bicubic(path: Path, coarse: np.ndarray) -> np.ndarray:
    return BicubicSkip(FACTOR).double()(torch.from_numpy(coarse.astype(np.float64))[None])[0].numpy()


def gdal_lanczos(path: Path, coarse: np.ndarray) -> np.ndarray:
    with rasterio.open(path) as dataset:
        shape = (dataset.count, dataset.height * FACTOR, dataset.width * FACTOR)
        return dataset.read(out_shape=shape, resampling=Resampling.lanczos)


def model(path: Path, coarse: np.ndarray) -> np.ndarray:
    out = path.with_name("sr.tif")
    geomedsr.write(geomedsr.upscale(geomedsr.open(path), "satellite-x4"), out, overwrite=True)
    return geomedsr.open(out).data.values[0]


METHODS: dict[str, Callable[[Path, np.ndarray], np.ndarray]] = {
    "bicubic (torch, a = −0.75)": torch_bicubic,
    "bicubic (Keys, a = −0.5)": keys_bicubic,
    "Lanczos (GDAL)": gdal_lanczos,
    "satellite-x4": model,
}


def main(folder: str | None) -> None:
    """Print a Markdown table."""
    print("| scene | method | PSNR, dB | SSIM | gain over torch's bicubic, dB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for name, scene in references(folder).items():
            coarse, whole = reduce(scene)
            path = Path(scratch) / "input.tif"
            small = Scene.from_array(coarse, grid=replace(scene.grid, shape=coarse.shape[1:]), bands=scene.bands)
            geomedsr.write(small, path, overwrite=True)
            valid = erode(whole, MARGIN).repeat(FACTOR, 0).repeat(FACTOR, 1)
            truth, span = scene.data.values[0], scene.values.bounds()[1].ravel()
            limits = np.iinfo(scene.dtype)
            baseline = None
            for method, upscale in METHODS.items():
                guess = np.clip(np.rint(upscale(path, coarse)), limits.min, limits.max).astype(scene.dtype)
                decibels = psnr(guess, truth, span, valid)
                baseline = decibels if baseline is None else baseline
                similar = ssim(guess, truth, span, valid).mean()
                gain = (decibels - baseline).mean()
                print(f"| {name} | {method} | {decibels.mean():.2f} | {similar:.4f} | {gain:+.2f} |")


def erode(mask: np.ndarray, steps: int) -> np.ndarray:
    for _ in range(steps):
        padded = np.pad(mask, 1, constant_values=True)
        height, width = mask.shape
        mask = np.logical_and.reduce([padded[i : i + height, j : j + width] for i in range(3) for j in range(3)])
    return mask


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
