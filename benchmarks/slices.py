"""New slices beside interpolation: thin series made thick by a box and by a bell, and made thin again.

    python benchmarks/slices.py MODEL THIN … [--factors 3,5] [--mr] [--profiles box,bell]
        [--adapt 5|300steps] [--pictures FOLDER]

Each series is made thick, written to a file in its own type, and opened again, so that the model has what a user has.
PSNR is over all voxels above -900 HU, against 1400 HU; of MR above 8 % of the 99th percentile, against that. SSIM is
the mean over coronal and over sagittal planes. Steps are mean absolute differences of neighbouring new slices across
the faces of thick slices, over those within: 1 where those faces do not show. B-splines are SimpleITK's.

With ``--adapt`` the model also goes on training on each thick series for so many minutes or steps, and so does a
network of the same architecture that begins with random weights, as SMORE does (Zhao et al. 2021, doi
10.1109/TMI.2020.3037187); both are told the profile. Minutes are those of the machine: alone, and with as many threads
as it has cores. Steps are the same on any.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
from measure import conditions

import geomedsr
from geomedsr.cli.arguments import adapting
from geomedsr.errors import InputError
from geomedsr.geometry.profile import Profile
from geomedsr.inference.adapting import Adapting
from geomedsr.metrics.quality import ssim
from geomedsr.models import save_model
from geomedsr.models.store import build

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


def made_by(
    model: str, path: Path, factor: int, profile: str, adapt: dict[str, Any] | None = None
) -> tuple[Array, str]:
    """What geomedsr makes, and for what it took the slices."""
    scene = geomedsr.open(path)
    file = path.with_name(f"{Path(model).stem}-adapted.safetensors")
    how = None if adapt is None else Adapting(file, **adapt)
    made = geomedsr.upscale(scene, model, slices=factor, profile=profile, adapt=how)
    of = made.provenance.agreement
    return made.data.values[:, 0], "box" if of.profile is None else f"{of.profile:.2f}"


def as_new(model: str, folder: Path) -> str:
    """A model of the same architecture, untrained: cubic interpolation."""
    card = geomedsr.load_model(model).descriptor
    torch.manual_seed(0)
    fresh = card.model_copy(update={"name": "as-new"})
    save_model(build(fresh), fresh, folder / "as-new.safetensors")
    return str(folder / "as-new.safetensors")


def methods(
    model: str, path: Path, coarse: Array, factor: int, width: float, step: float, adapt: dict[str, Any] | None
) -> Iterator[tuple[str, Array, str]]:
    """Each method by name, what it makes, and what it took slices for."""
    yield "cubic B-spline", spline(coarse, factor), ""
    yield "linear", weighted(coarse, factor, linear, 1), ""
    yield "Lanczos", weighted(coarse, factor, lanczos, 3), ""
    known = "box" if not width else f"{width * step:.6g}"
    yield f"{Path(model).stem}, profile known", *made_by(model, path, factor, known)
    with suppress(InputError):  # a series too small for an estimate
        yield f"{Path(model).stem}, profile estimated", *made_by(model, path, factor, "estimate")
    if adapt is not None:
        long = " ".join(f"{amount:g} {of}" for of, amount in adapt.items())
        yield f"{Path(model).stem}, {long} more", *made_by(model, path, factor, known, adapt)
        yield f"as new, {long}", *made_by(as_new(model, path.parent), path, factor, known, adapt)


def psnr(made: Array, truth: Array, above: float, peak: float) -> float:
    """In dB, over voxels above a value."""
    counted = truth > above
    return float(10 * np.log10(peak**2 / np.mean((made[counted].astype(np.float64) - truth[counted]) ** 2)))


def steps(made: Array, factor: int, counted: Array) -> float:
    """Mean |difference| of neighbouring slices across the faces of thick ones, over that within them."""
    each, both = np.abs(np.diff(made.astype(np.float64), axis=0)), counted[1:] & counted[:-1]
    face = np.arange(len(each)) % factor == factor - 1
    return float(each[face][both[face]].mean() / each[~face][both[~face]].mean())


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
    parser.add_argument("--profiles", default=",".join(PROFILES))
    parser.add_argument("--adapt", type=adapting, metavar="MINUTES|Nsteps")
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    print(conditions(), flush=True)
    print(
        "\n| series | slices | profile | method | PSNR, dB | over B-spline | SSIM coronal | SSIM sagittal | steps | "
        "taken for |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for path in options.thin:
        for factor in map(int, options.factors.split(",")):
            scene, truth = series(path, factor)
            peak = float(np.percentile(truth, 99)) if options.mr else 1400.0
            above = 0.08 * peak if options.mr else -900.0
            step = abs(scene.grid.planes[1].depth - scene.grid.planes[0].depth) * factor
            for profile in options.profiles.split(","):
                of = PROFILES[profile]
                coarse = thick(truth, factor, of)
                with tempfile.TemporaryDirectory() as folder:
                    file = thick_file(scene, coarse, factor, Path(folder))
                    found = {}
                    for name, made, taken in methods(
                        options.model, file, coarse, factor, of.width, step, options.adapt
                    ):
                        found[name] = psnr(made, truth, above, peak)
                        gain = found[name] - found["cubic B-spline"]
                        figures = [similarity(made, truth, axis, peak) for axis in (1, 2)]
                        print(
                            f"| {path.name.split('.')[0]} | ×{factor} | {profile} | {name} | {found[name]:.2f} | "
                            f"{gain:+.2f} | {figures[0]:.4f} | {figures[1]:.4f} | "
                            f"{steps(made, factor, truth > above):.2f} | {taken} |",
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
