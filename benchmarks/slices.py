"""New slices beside interpolation: thin series made thick by a box and by a bell, and made thin again.

    python benchmarks/slices.py MODEL THIN … [--factors 3,5] [--mr] [--pictures FOLDER]

Each series is made thick, written to a file in its own type, and opened again, so that the model has what a user has.
PSNR is over all voxels above -900 HU, against 1400 HU; of MR above 8 % of the 99th percentile, against that. SSIM is
the mean over coronal and over sagittal planes. B-splines are SimpleITK's.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
from measure import conditions

import geomedsr
from geomedsr.geometry.profile import Profile
from geomedsr.metrics.quality import ssim

Array = np.ndarray

#: Profiles by which slices are made thick: names, and widths of bells in slice distances.
PROFILES = {"box": Profile(), "bell": Profile(1.0)}

INTERPOLATIONS = {
    "linear": sitk.sitkLinear,
    "cubic B-spline": sitk.sitkBSpline,
    "Lanczos": sitk.sitkLanczosWindowedSinc,
}


def thick(fine: Array, factor: int, profile: Profile) -> Array:
    """Slices ``(n · factor, y, x)`` made thick, rounded; the image is mirrored at the ends."""
    reach, weights = profile.reach(factor), profile.weights(factor)
    ends = fine[: reach * factor][::-1], fine[len(fine) - reach * factor :][::-1]
    padded = np.concatenate([ends[0], fine, ends[1]]).astype(np.float64)
    starts = range(0, len(fine), factor)
    made = np.stack([np.tensordot(weights, padded[at : at + len(weights)], 1) for at in starts])
    return np.rint(made) if fine.dtype.kind != "f" else made


def spline(coarse: Array, factor: int) -> Array:
    """Interpolating cubic B-splines along the first axis, by SimpleITK; pixel areas aligned, ends repeated."""
    image = sitk.GetImageFromArray(coarse.astype(np.float64))
    grid = sitk.ResampleImageFilter()
    grid.SetSize((coarse.shape[2], coarse.shape[1], factor * len(coarse)))
    grid.SetOutputSpacing((1.0, 1.0, 1 / factor))
    grid.SetOutputOrigin((0.0, 0.0, 0.5 / factor - 0.5))
    grid.SetInterpolator(sitk.sitkBSpline)
    grid.UseNearestNeighborExtrapolatorOn()
    return sitk.GetArrayFromImage(grid.Execute(image))


def weighted(coarse: Array, factor: int, kernel: Callable[[Array], Array], reach: int) -> Array:
    """Interpolation along the first axis by a kernel of a distance in slices; ends are repeated."""
    padded = np.concatenate([coarse[:1]] * reach + [coarse] + [coarse[-1:]] * reach).astype(np.float64)
    made = np.empty((len(coarse), factor, *coarse.shape[1:]))
    for part in range(factor):
        along = (part + 0.5) / factor - 0.5
        taps = kernel(np.arange(-reach, reach + 1) - along)
        taps /= taps.sum()
        made[:, part] = sum(tap * padded[at : at + len(coarse)] for at, tap in enumerate(taps))
    return made.reshape(-1, *coarse.shape[1:])


def linear(distance: Array) -> Array:
    """The tent."""
    return np.maximum(1 - np.abs(distance), 0)


def lanczos(distance: Array) -> Array:
    """Three lobes."""
    return np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0)


def series(path: Path, factor: int) -> tuple[geomedsr.Scene, Array]:
    """A thin series, and as many of its slices as make whole thick ones."""
    scene = geomedsr.open(path)
    count = scene.shape[0] // factor * factor
    return scene, scene.data.values[:count, 0]


def thick_file(scene: geomedsr.Scene, coarse: Array, factor: int, folder: Path) -> Path:
    """The thick series as a file: each slice in the middle of the thin ones that it stands for."""
    planes = scene.grid.planes
    places = [tuple(np.mean([planes[k * factor + i].position for i in range(factor)], 0)) for k in range(len(coarse))]
    grid = replace(scene.grid, planes=tuple(replace(planes[0], position=place) for place in places))
    values = coarse[:, None].astype(scene.dtype)
    made = geomedsr.Scene.from_array(values, grid=grid, bands=scene.bands, domain=scene.domain)
    geomedsr.write(made, folder / "thick.nii", overwrite=True, progress=False)
    return folder / "thick.nii"


def made_by(model: str, path: Path, factor: int, profile: str) -> tuple[Array, str]:
    """What geomedsr makes, and for what it took the slices."""
    scene = geomedsr.open(path)
    made = geomedsr.upscale(scene, model, slices=factor, profile=profile)
    of = made.provenance.agreement
    return made.data.values[:, 0], "box" if of.profile is None else f"{of.profile:.2f}"


def methods(
    model: str, path: Path, coarse: Array, factor: int, width: float, step: float
) -> Iterator[tuple[str, Array, str]]:
    """Each method by name, what it makes, and what it took slices for."""
    yield "cubic B-spline", spline(coarse, factor), ""
    yield "linear", weighted(coarse, factor, linear, 1), ""
    yield "Lanczos", weighted(coarse, factor, lanczos, 3), ""
    known = "box" if not width else f"{width * step:.6g}"
    yield f"{Path(model).stem}, profile known", *made_by(model, path, factor, known)
    yield f"{Path(model).stem}, profile estimated", *made_by(model, path, factor, "estimate")


def psnr(made: Array, truth: Array, above: float, peak: float) -> float:
    """In dB, over voxels above a value."""
    counted = truth > above
    return float(10 * np.log10(peak**2 / np.mean((made[counted].astype(np.float64) - truth[counted]) ** 2)))


def similarity(made: Array, truth: Array, axis: int, peak: float) -> float:
    """Mean SSIM over every eighth plane across an axis."""
    planes = range(truth.shape[axis] // 16, truth.shape[axis], 8)
    pairs = ((np.take(volume, plane, axis)[None].astype(np.float64) for volume in (made, truth)) for plane in planes)
    return float(np.mean([float(ssim(one, other, np.array([peak]))[0]) for one, other in pairs]))


def main() -> None:
    """See the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("thin", nargs="+", type=Path)
    parser.add_argument("--factors", default="3,5")
    parser.add_argument("--mr", action="store_true")
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    print(conditions(), flush=True)
    print(
        "\n| series | slices | profile | method | PSNR, dB | over B-spline | SSIM coronal | SSIM sagittal | taken for |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for path in options.thin:
        for factor in map(int, options.factors.split(",")):
            scene, truth = series(path, factor)
            peak = float(np.percentile(truth, 99)) if options.mr else 1400.0
            above = 0.08 * peak if options.mr else -900.0
            step = abs(scene.grid.planes[1].depth - scene.grid.planes[0].depth) * factor
            for profile, of in PROFILES.items():
                coarse = thick(truth, factor, of)
                with tempfile.TemporaryDirectory() as folder:
                    file = thick_file(scene, coarse, factor, Path(folder))
                    found = {}
                    for name, made, taken in methods(options.model, file, coarse, factor, of.width, step):
                        found[name] = psnr(made, truth, above, peak)
                        gain = found[name] - found["cubic B-spline"]
                        figures = [similarity(made, truth, axis, peak) for axis in (1, 2)]
                        print(
                            f"| {path.name.split('.')[0]} | ×{factor} | {profile} | {name} | {found[name]:.2f} | "
                            f"{gain:+.2f} | {figures[0]:.4f} | {figures[1]:.4f} | {taken} |",
                            flush=True,
                        )
                        if options.pictures is not None:
                            options.pictures.mkdir(exist_ok=True, parents=True)
                            plain = name.replace(" ", "_").replace(",", "")
                            np.save(
                                options.pictures / f"{path.name.split('.')[0]}_{factor}_{profile}_{plain}.npy",
                                made[:, truth.shape[1] // 2],
                            )


if __name__ == "__main__":
    main()
