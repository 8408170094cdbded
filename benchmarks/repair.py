"""Repair measured where the truth is known: gaps as of Landsat 7, single pixels, stripes.

    python benchmarks/repair.py DATA [--model NAME_OR_FILE] [--dates | --clean | --spikes]

``DATA`` is a folder with ``satellite``, as the recipes name it; only parts that the recipe keeps out are counted. Root
mean squares are of all bands together, in stored numbers. ``fillnodata`` is GDAL's, ``biharmonic`` scikit-image's, if
that is installed. ``linear`` is what a weighted sum of all pixels within four rows and columns reaches, fitted to half
of this very scene and measured on the other half. ``--dates`` fills gaps of one place from its next date. ``--clean``
looks for defects in every file of DATA as it is, and with single pixels of each band dead or hot, at 0 and at the
largest number that can be stored. ``--spikes`` looks for spikes in the k-space of every MR scan and cine as it is, and
with a wave of a twentieth of a frame's range.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from rasterio.fill import fillnodata

import geomedsr
from geomedsr import Scene, Window
from geomedsr.degradations.gaps import slc_off
from geomedsr.geometry import Box
from geomedsr.repairing.destriping import destripe
from geomedsr.repairing.finding import find_defects
from geomedsr.repairing.spikes import spikes_of

Array = np.ndarray

#: Scenes and the windows that the recipe keeps out.
KEPT = {
    "Landsat 8 fields": ("landsat8_fields_south_30m.tif", Window(1500, 560, 541, 900)),
    "Landsat 8 snow": ("landsat8_greenland_30m.tif", Window(500, 0, 300, 1093)),
    "Sentinel-2 coast": ("sentinel2_coast_10m.tif", Window(0, 1000, 1500, 300)),
    "Sentinel-2 desert": ("sentinel2_sahara_100m.tif", Window(0, 480, 1098, 240)),
}

#: Where in a Landsat 7 scene the window lies, in columns from its middle: gaps are 14 rows wide at 3000.
PLACES = (600, 1500, 2800)


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--dates", action="store_true")
    parser.add_argument("--clean", action="store_true")
    parser.add_argument("--spikes", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.dates:
        date_table(given.data / "sequences" / "naip_north_dakota_5m", given.model)
        return
    if given.clean:
        clean_table(given.data)
        return
    if given.spikes:
        spike_table(given.data)
        return
    gap_table(given.data / "satellite", given.model)
    dead_table(given.data / "satellite", given.model)
    stripe_table(given.data / "satellite")


def kept(folder: Path) -> Iterator[tuple[str, Scene, Array]]:
    """Kept-out scenes in memory, all data, and their values ``(band, y, x)``."""
    for name, (file, window) in KEPT.items():
        scene = geomedsr.open(folder / file)
        box = Box.of(0, window)
        values = scene.source.read(box)[0]
        assert scene.source.valid(box).all(), name
        yield name, Scene.from_array(values), values


def gap_table(folder: Path, model: str | None) -> None:
    """Root mean square errors in gaps, and steps across their edges against those of the truth."""
    print("| scene | gaps, rows | fillnodata | biharmonic | repair | of fillnodata | steps at edges |")
    print("|---|---|---|---|---|---|---|")
    for name, scene, truth in kept(folder):
        for place in PLACES:
            mask = slc_off(truth.shape[1:], place, 5.0, 9.0)
            broken = np.where(mask, 0, truth)
            results = {
                "fillnodata": np.stack([filled(band, mask) for band in broken]),
                "biharmonic": smooth(broken, mask),
                "repair": repaired(scene, broken, mask, model),
            }
            errors = {way: None if x is None else error(x, truth, mask) for way, x in results.items()}
            seam = steps(results["repair"], mask) / steps(truth, mask)
            wide = 14 * place / 3000
            cells = (f"{e:.1f}" if e is not None else "–" for e in errors.values())
            share = errors["repair"] / errors["fillnodata"]
            print(f"| {name} | {wide:.0f} | {' | '.join(cells)} | {share:.2f} | {seam:.2f} |", flush=True)
    print()


def dead_table(folder: Path, model: str | None) -> None:
    """Root mean square errors at single pixels that are dead in all bands, or each in one band."""
    print("| scene | dead in | median of the 8 around | linear | repair | of the median |")
    print("|---|---|---|---|---|---|")
    for name, scene, truth in kept(folder):
        for where, shape in (("all bands", (1, *truth.shape[1:])), ("one band", truth.shape)):
            mask = np.broadcast_to(np.random.default_rng(0).random(shape) < 0.001, truth.shape)
            broken = np.where(mask, 0, truth)
            pairs = zip(broken.astype(float), mask, strict=True)
            median = np.stack([around(band, its) for band, its in pairs])
            ours = repaired(scene, broken, mask[: shape[0]], model)
            one, other = (float(np.sqrt(np.square(x - truth.astype(float))[mask].mean())) for x in (median, ours))
            best = f"{linear(truth):.1f}" if where == "all bands" else "–"
            print(f"| {name} | {where} | {one:.1f} | {best} | {other:.1f} | {other / one:.2f} |", flush=True)
    print()


def linear(truth: Array) -> float:
    """The root mean square error of the best weighted sum of the pixels around a pixel, of all bands together."""
    rng, reach, errors = np.random.default_rng(0), 4, []
    places = [(y, x) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1) if (y, x) != (0, 0)]
    height, width = truth.shape[1:]
    for band in truth.astype(float):
        rows, cols = rng.integers(reach, height - reach, 40_000), rng.integers(reach, width - reach, 40_000)
        seen = np.stack([band[rows + y, cols + x] for y, x in places] + [np.ones(len(rows))], -1)
        half = len(rows) // 2
        weights = np.linalg.lstsq(seen[:half], band[rows, cols][:half], rcond=None)[0]
        errors.append(np.square(seen[half:] @ weights - band[rows, cols][half:]).mean())
    return float(np.sqrt(np.mean(errors)))


def date_table(folder: Path, model: str | None) -> None:
    """Root mean square errors in gaps of each date of a place, filled with and without its next date."""
    print("| date | from | gaps, rows | fillnodata | repair | repair --from | of fillnodata | steps at edges |")
    print("|---|---|---|---|---|---|---|---|")
    paths, window = sorted(folder.glob("*.tif")), Window(100, 100, 480, 400)
    scenes = [geomedsr.open(path).crop(window) for path in paths]
    for path, scene, later, other in zip(paths, scenes, paths[1:], scenes[1:], strict=False):
        truth = scene.data.values[0]
        for place in PLACES:
            mask = slc_off(truth.shape[1:], place, 5.0, 9.0)
            broken = np.where(mask, 0, truth)
            one = error(np.stack([filled(band, mask) for band in broken]), truth, mask)
            alone, ours = (
                repaired(scene, broken, mask, model, date) for date in (None, Scene.from_array(other.data.values))
            )
            errors = [error(made, truth, mask) for made in (alone, ours)]
            seam = steps(ours, mask) / steps(truth, mask)
            cells = f"{14 * place / 3000:.0f} | {one:.1f} | {errors[0]:.1f} | {errors[1]:.1f} | {errors[1] / one:.2f}"
            print(f"| {path.stem} | {later.stem} | {cells} | {seam:.2f} |", flush=True)
    print()


#: Scenes for stripes: a band, and a window. Coasts and slopes are where moment matching fails.
STRIPED = {
    "Sentinel-2 coast, half sea, B02": ("sentinel2_coast_10m.tif", 1, Window(300, 700, 1200, 600)),
    "Sentinel-2 fields, B01": ("sentinel2_b01_60m.tif", 1, Window(0, 0, 1000, 1000)),
    "Landsat 8 fields, B4": ("landsat8_fields_30m.tif", 3, Window(100, 100, 1200, 1200)),
    "Landsat 8 snow, B3": ("landsat8_greenland_30m.tif", 2, Window(0, 0, 800, 1093)),
}


def stripe_table(folder: Path) -> None:
    """PSNR against the value scale with stripes along columns and along rows: gains ± 1 %, offsets ± 0.5 %."""
    print("| scene | lines | striped | moment matching | repair |")
    print("|---|---|---|---|---|")
    for name, (file, band, window) in STRIPED.items():
        truth = geomedsr.open(folder / file).select([band]).crop(window).data.values[0, 0].astype(float)
        for lines in ("columns", "rows"):
            true = truth if lines == "columns" else truth.T
            span, rng = float(np.subtract(*np.percentile(true, [99, 1]))), np.random.default_rng(0)
            gains, offsets = 1 + rng.normal(0, 0.01, true.shape[1]), rng.normal(0, 0.005 * span, true.shape[1])
            seen = np.rint(true * gains + offsets).clip(0, 65535)
            matched = (seen - seen.mean(0)) / seen.std(0) * seen.std() + seen.mean()
            stored = (seen if lines == "columns" else seen.T).astype(np.uint16)
            found = destripe(Scene.from_array(np.ascontiguousarray(stored)))
            made = stored if found is None else found.scene.data.values[0, 0]
            made = made if lines == "columns" else made.T
            cells = [f"{20 * np.log10(span / np.sqrt(np.mean((x - true) ** 2))):.1f}" for x in (seen, matched, made)]
            print(f"| {name} | {lines} | {' | '.join(cells)} |", flush=True)
    print()


def clean_table(data: Path) -> None:
    """What is found in files as they are, and of single pixels that are broken."""
    print("| file | gaps | lines | dead | at 0 found | at the largest found | other pixels found |")
    print("|---|---|---|---|---|---|---|")
    for path in files(data):
        scene = geomedsr.open(path)
        counts = find_defects(scene).counts
        cells = [str(count) for count in counts.values()] + broken_found(scene)
        print(f"| {path.relative_to(data)} | {' | '.join(cells)} |", flush=True)


def spike_table(data: Path) -> None:
    """Frames of MR in which spikes are found: as they are, and with a wave at a random place beyond the middle."""
    print("| scan | frames | with spikes as they are | injected spikes found |")
    print("|---|---|---|---|")
    for path in [*files(data / "mr"), *files(data / "sequences")]:
        scene = geomedsr.open(path)
        if not scene.grid.planes:
            continue
        rng, clean, found = np.random.default_rng(0), 0, 0
        picks = range(0, scene.shape[0], max(1, scene.shape[0] // 12))
        for number in picks:
            frame = scene.source.read(Box.of(number, Box.whole(scene.shape).window))[0, 0].astype(float)
            clean += bool(spikes_of(frame))
            (height, width), signs = frame.shape, rng.choice([-1, 1], 2)
            row, column = (int(s * rng.integers(n // 10, n // 2 - 2)) for s, n in zip(signs, frame.shape, strict=True))
            y, x = np.mgrid[:height, :width]
            phase = 2 * np.pi * (row * y / height + column * x / width + rng.random())
            found += (row, column) in spikes_of(np.rint(np.abs(frame + 0.05 * np.ptp(frame) * np.exp(1j * phase))))
        print(f"| {path.relative_to(data)} | {len(picks)} | {clean} | {found} |", flush=True)


def files(data: Path) -> Iterator[Path]:
    """All scenes of DATA: rasters, volumes, and folders of DICOM."""
    yield from sorted(p for p in data.rglob("*") if p.suffix == ".tif" or p.name.endswith(".nii.gz"))
    yield from sorted({p.parent for p in data.rglob("*.dcm")})


def broken_found(scene: Scene) -> list[str]:
    """Shares found of pixels at 0 and at the largest number, one in a thousand of a frame; and what else is found."""
    scene = scene.select([i for i, band in enumerate(scene.bands, 1) if band.kind == "continuous"])
    box = Box.of(scene.shape[0] // 2, Box.whole(scene.shape).window)
    values, valid = scene.source.read(box), scene.source.valid(box)
    if values.dtype.kind == "f":
        return ["–", "–", "–"]
    bands = [replace(band, nodata=None) for band in scene.bands]  # what is broken is not to be no data
    limits = scene.bands[0].limits or (0, np.iinfo(values.dtype).max)
    rng = np.random.default_rng(0)
    places, high = (rng.random(values.shape) < 0.001) & valid, rng.random(values.shape) < 0.5
    broken = np.where(places, np.where(high, limits[1], 0), values).astype(values.dtype)
    other = Scene.from_array(broken, valid, bands=bands, scale=scene.values)
    found = find_defects(other, ["dead"]).mask.data.values != 0
    before = find_defects(Scene.from_array(values, valid, bands=bands, scale=scene.values), ["dead"]).mask
    own = before.data.values != 0
    shares = [f"{found[places & which].mean():.0%}" for which in (~high, high)]
    return [*shares, str(int((found & ~places & ~own).sum()))]


def repaired(scene: Scene, broken: Array, mask: Array, model: str | None, other: Scene | None = None) -> Array:
    """What ``repair`` makes of a broken image; all else must be as it was."""
    source = Scene.from_array(broken.astype(scene.dtype))
    made = geomedsr.repair(source, Scene.from_array(mask.astype(np.uint8)), model, other=other).data.values[0]
    right = ~np.broadcast_to(mask, broken.shape)
    assert (made[right] == broken[right]).all()
    return np.asarray(made)


def filled(band: Array, mask: Array) -> Array:
    """GDAL's inverse distance weighting."""
    return np.asarray(fillnodata(band.astype(np.float32), mask=(~mask).astype(np.uint8), max_search_distance=100))


def smooth(broken: Array, mask: Array) -> Array | None:
    """scikit-image's biharmonic inpainting."""
    try:
        from skimage.restoration import inpaint_biharmonic
    except ImportError:
        return None
    low, high = broken[:, ~mask].min(), broken[:, ~mask].max()
    made = [inpaint_biharmonic((band - low) / (high - low), mask) for band in broken.astype(float)]
    return np.stack(made) * (high - low) + low


def around(band: Array, mask: Array) -> Array:
    """Marked pixels as the median of those of the eight around them that are not marked."""
    padded = np.pad(np.where(mask, np.nan, band), 1, mode="reflect")
    height, width = band.shape
    parts = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3) if (y, x) != (1, 1)]
    return np.where(mask, np.nanmedian(parts, 0), band)


def error(made: Array, truth: Array, mask: Array) -> float:
    """The root mean square over marked pixels of all bands."""
    return float(np.sqrt(np.square(made[:, mask].astype(float) - truth[:, mask]).mean()))


def steps(values: Array, mask: Array) -> float:
    """The mean difference of pixels above and below an edge of a gap."""
    edge = mask[1:] != mask[:-1]
    return float(np.abs(np.diff(values.astype(float), axis=1))[:, edge].mean())


if __name__ == "__main__":
    main()
