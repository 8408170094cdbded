"""New slices beside ECLARE: quality and processor seconds, on one thin series made thick.

    python benchmarks/slices_eclare.py THIN --eclare VENV/bin/run-eclare [--model ct-slices] [--factor 5] [--mr]
        [--profile bell] [--patches 8000] [--batch 16]

ECLARE (Remedios et al. 2025, arXiv:2503.11787; PyPI ``eclare`` 1.0.1, GPL 3, in an environment of its own)
trains a network of 15 million weights on the volume alone, by default on a million patches. ``--patches`` makes that
fewer, as its option ``--n-patches`` does. It is told the width of slices, as our model is. Both are whole commands, of
one thread; seconds are those of the processor. Figures are those of ``benchmarks/slices.py``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

import nibabel
import numpy as np
from measure import GEOMEDSR, conditions
from slices import PROFILES, Array, psnr, series, similarity, spline, steps, thick, thick_file

#: What ECLARE calls the profiles.
ITS = {"box": "rect", "bell": "gaussian"}


def told(words: list[str]) -> float:
    """The processor seconds of a command of one thread."""
    before = os.times()
    subprocess.run(words, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def stored(path: Path, like: Array) -> Array:
    """A volume file as ``(slice, row, column)``."""
    values = np.asarray(nibabel.load(path).dataobj, np.float64).transpose(2, 1, 0)
    if values.shape != like.shape:
        raise ValueError(f"{path}: got {values.shape}, expected {like.shape}")
    return values


def main() -> None:
    """See the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("thin", type=Path)
    parser.add_argument("--eclare", required=True)
    parser.add_argument("--model", default="ct-slices")
    parser.add_argument("--factor", type=int, default=5)
    parser.add_argument("--mr", action="store_true")
    parser.add_argument("--profile", choices=list(PROFILES), default="bell")
    parser.add_argument("--patches", type=int, default=8000)
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()
    print(conditions(), flush=True)
    scene, truth = series(options.thin, options.factor)
    peak = float(np.percentile(truth, 99)) if options.mr else 1400.0
    above = 0.08 * peak if options.mr else -900.0
    profile = PROFILES[options.profile]
    coarse = thick(truth, options.factor, profile)
    step = abs(scene.grid.planes[1].depth - scene.grid.planes[0].depth) * options.factor
    print(f"\n{options.thin.name}, {options.profile}, ×{options.factor}, {' × '.join(map(str, truth.shape))} voxels\n")
    print("| method | PSNR, dB | SSIM coronal | SSIM sagittal | steps | CPU, s |\n|---|---|---|---|---|---|")

    def row(name: str, made: Array, seconds: float | None) -> None:
        figures = [similarity(made, truth, axis, peak) for axis in (1, 2)]
        print(
            f"| {name} | {psnr(made, truth, above, peak):.2f} | {figures[0]:.4f} | {figures[1]:.4f} | "
            f"{steps(made, options.factor, truth > above):.2f} | {'' if seconds is None else f'{seconds:.0f}'} |",
            flush=True,
        )

    with tempfile.TemporaryDirectory() as folder:
        file, out = thick_file(scene, coarse, options.factor, Path(folder)), Path(folder) / "thin.nii"
        row("cubic B-spline", spline(coarse, options.factor), None)
        width = f"{profile.width * step:.6g}" if profile.width else "box"
        words = [GEOMEDSR, "upscale", str(file), str(out), "--model", options.model, "--slices", str(options.factor)]
        seconds = told([*words, "--profile", width, "--quiet"])
        row(Path(options.model).stem, stored(out, truth), seconds)
        words = [options.eclare, "--in-fpath", str(file), "--out-dir", folder, "--gpu-id", "-1"]
        words += ["--n-patches", str(options.patches), "--batch-size", str(options.batch)]
        words += ["--relative-slice-thickness", str(options.factor)]
        seconds = told([*words, "--relative-slice-profile-type", ITS[options.profile]])
        row(f"ECLARE, {options.patches} patches", stored(Path(folder) / "thick_eclare.nii", truth), seconds)


if __name__ == "__main__":
    main()
