"""The picture of docs/slices.md: a coronal plane of a CT series, as it is, by cubic B-splines, and by ct-slices.

python examples/demo_slices.py SERIES_DIR OUT.png [ROW [SLICES]]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
from PIL import Image, ImageDraw

import geomedsr
from geomedsr.geometry import Factors
from geomedsr.scene.profiles import apart
from geomedsr.scene.reformat import reformatted, repeated

#: HU that are black and white, the width of each picture, and the height of its title.
LOW, HIGH, WIDTH, TITLE = -160, 240, 620, 22


def plane(scene: geomedsr.Scene, row: int, height: int) -> np.ndarray:
    """A coronal plane in HU, ``height`` rows of it from the middle of the volume."""
    cut = reformatted(scene, "coronal")
    rows = cut.shape[2]
    first = max(0, (rows - height) // 2)
    box = geomedsr.geometry.Box((row, first, 0), (row + 1, min(rows, first + height), cut.shape[3]))
    slope, offset = cut.slopes_and_offsets
    return cut.source.read(box)[0, 0] * float(slope[0, 0]) + float(offset[0, 0])


def spline(coarse: np.ndarray, factor: int) -> np.ndarray:
    """Cubic B-splines along the rows, by SimpleITK."""
    grid = sitk.ResampleImageFilter()
    grid.SetSize((coarse.shape[1], coarse.shape[0] * factor))
    grid.SetOutputSpacing((1.0, 1.0 / factor))
    grid.SetOutputOrigin((0.0, 0.5 / factor - 0.5))
    grid.SetInterpolator(sitk.sitkBSpline)
    grid.UseNearestNeighborExtrapolatorOn()
    return sitk.GetArrayFromImage(grid.Execute(sitk.GetImageFromArray(coarse.astype(np.float64))))


def main() -> None:
    """See the module docstring."""
    source, out = sys.argv[1:3]
    row, slices = (int(word) if word else None for word in (*sys.argv[3:5], "", "")[:2])
    slices = slices or 6
    scene = geomedsr.open(source)
    row = scene.shape[2] // 2 if row is None else row
    thin = geomedsr.upscale(scene, slices=slices)
    spacing = scene.grid.planes[0].spacing[1]
    step = (apart(scene) or 1.0) / slices
    height = scene.shape[0] * slices
    pictures = {
        f"slices of {apart(scene):.3g} mm": plane(repeated(scene, Factors(frame=slices)), row, height),
        "cubic B-spline": spline(plane(scene, row, scene.shape[0]), slices),
        "ct-slices": plane(thin, row, height),
    }
    parts = []
    for name, values in pictures.items():
        shades = np.clip((values - LOW) / (HIGH - LOW) * 255, 0, 255).astype(np.uint8)
        size = WIDTH, round(WIDTH * values.shape[0] * step / (values.shape[1] * spacing))
        sheet = Image.new("L", (WIDTH, size[1] + TITLE), 255)
        sheet.paste(Image.fromarray(shades).resize(size, Image.Resampling.BICUBIC), (0, TITLE))
        ImageDraw.Draw(sheet).text((4, 3), name, fill=0, font_size=14)
        parts.append(np.asarray(sheet))
        parts.append(np.full((6, WIDTH), 255, np.uint8))
    Image.fromarray(np.concatenate(parts[:-1])).save(Path(out), optimize=True)


if __name__ == "__main__":
    main()
