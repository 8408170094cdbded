"""Two ways to send a scene over a thin line: coded at full size, or coarse and made finer where it arrives.

    python benchmarks/transfer.py [DATA] [--lossless]

``DATA`` is a folder with ``satellite`` and ``ct``, of which validation parts are taken; else the shipped samples. Needs
imagecodecs. With ``--lossless``: bytes of preview and detail beside those of one ZSTD GeoTIFF without overviews and of
lossless JPEG XL, for every raster of ``DATA/satellite``.

Both ways are compared at equal bytes: the coarse image's lossless JPEG XL, and its lossy ones. PSNR is of stored values
over the range of the scene, its 1st to 99th percentile (CT: 2000 HU); SSIM and the VGG-19 distance of the first three
bands. Bytes are those of the codestreams, band by band.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import rasterio.shutil
import torch
from rasterio.io import MemoryFile

import geomedsr
from geomedsr import Scene, Window
from geomedsr.geometry import Box
from geomedsr.transfer.numbers import means

EXAMPLES = Path(__file__).parents[1] / "examples"

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Case:
    """Pixels ``(band, y, x)`` that are sent, what 0 and 1 are, and the model where they arrive."""

    name: str
    pixels: Array
    low: float
    high: float
    model: str
    factor: int


def cases(data: str | None) -> Iterator[Case]:
    """Validation parts that no shipped model was trained on; of the samples all."""
    if data is None:
        yield _raster("coast, Sentinel-2 10 m", EXAMPLES / "sentinel2_coast/reference.tif", None)
        yield _series("abdomen, CT", EXAMPLES / "ct_abdomen", 1)
        return
    root = Path(data)
    yield _raster("coast, Sentinel-2 10 m", root / "satellite/sentinel2_coast_10m.tif", Window(0, 1000, 1500, 300))
    south = root / "satellite/landsat8_fields_south_30m.tif"
    yield _raster("fields, Landsat 8 30 m", south, Window(1536, 400, 480, 480))
    yield _series("abdomen, CT", root / "ct/crlm_1006", 25)


def _raster(name: str, path: Path, window: Window | None) -> Case:
    scene = geomedsr.open(path)
    pixels = _read(scene, 0, window)[:3]
    low, high = np.percentile(pixels, [1, 99])
    return Case(name, pixels, float(low), float(high), "satellite-x4", 4)


def _series(name: str, path: Path, number: int) -> Case:
    scene = geomedsr.open(path)
    slope, offset = (float(table.ravel()[0]) for table in scene.slopes_and_offsets)
    return Case(name, _read(scene, number, None), (-1000 - offset) / slope, (1000 - offset) / slope, "ct-x2", 2)


def _read(scene: Scene, frame: int, window: Window | None) -> Array:
    values = scene.source.read(Box.of(frame, window or Window(0, 0, scene.shape[3], scene.shape[2])))[0]
    height, width = (side // 4 * 4 for side in values.shape[1:])
    return np.ascontiguousarray(values[:, :height, :width])


@dataclass(frozen=True)
class Codec:
    """Codes a plane at a setting, in numbers above the least; ``settings`` are those of few bytes and of many.

    Codecs for pictures are given numbers stretched over so many ``bits``: to them 0 and the most are black and white.
    """

    name: str
    encode: Callable[[Array, float], bytes]
    decode: Callable[[bytes], Array]
    settings: tuple[float, float]
    bits: int | None = None


def _jxl(plane: Array, distance: float) -> bytes:
    return bytes(imagecodecs.jpegxl_encode(plane, distance=distance, lossless=distance == 0, effort=5))


def _avif(plane: Array, level: float) -> bytes:
    """As a grey picture of three channels: imagecodecs codes one channel without loss, whatever the level."""
    return bytes(imagecodecs.avif_encode(np.stack([plane] * 3, -1), level=int(level), speed=6, bitspersample=12))


def _unavif(packed: bytes) -> Array:
    return np.asarray(imagecodecs.avif_decode(packed))[..., 1]


def _zstd(plane: Array, step: float) -> bytes:
    """Quantised to multiples of a step, differences, ZSTD."""
    coded = np.round(plane / step).astype(np.int32)
    kind = np.dtype("i2")
    packed = np.diff(coded, axis=1, prepend=0).astype(kind)
    head = np.array([*plane.shape, step], "<f8").tobytes()
    return head + bytes(imagecodecs.zstd_encode(packed, level=9))


def _unzstd(packed: bytes) -> Array:
    height, width, step = np.frombuffer(packed[:24], "<f8")
    steps = np.frombuffer(imagecodecs.zstd_decode(packed[24:]), "i2").reshape(int(height), int(width))
    return np.asarray(np.cumsum(steps.astype(np.int32), axis=1) * step)


def _jpeg2k(plane: Array, decibels: float) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(plane, level=decibels, codecformat="j2k"))


def _jpegls(plane: Array, level: float) -> bytes:
    return bytes(imagecodecs.jpegls_encode(plane, level=round(level)))


def _lerc(plane: Array, level: float) -> bytes:
    return bytes(imagecodecs.lerc_encode(plane, level=level))


CODECS = (
    Codec("JPEG 2000", _jpeg2k, imagecodecs.jpeg2k_decode, (15, 80), 16),
    Codec("JPEG XL", _jxl, imagecodecs.jpegxl_decode, (25, 0.05), 16),
    Codec("AVIF", _avif, _unavif, (1, 99), 12),
    Codec("JPEG-LS", _jpegls, imagecodecs.jpegls_decode, (255, 1)),
    Codec("LERC", _lerc, imagecodecs.lerc_decode, (3000, 1)),
    Codec("ZSTD", _zstd, _unzstd, (3000, 1)),
)

#: How often the settings between a codec's ends are halved.
_STEPS = 9


@dataclass(frozen=True)
class Sent:
    """What arrived: bytes, pixels, and seconds to code and to decode, models included."""

    size: int
    pixels: Array
    encode: float
    decode: float


def full(codec: Codec, case: Case, setting: float) -> Sent:
    """Coded at full size."""
    return _send(codec, case.pixels, setting)


def _send(codec: Codec, pixels: Array, setting: float) -> Sent:
    least, span = int(pixels.min()), max(1, int(pixels.max()) - int(pixels.min()))
    gain = 1.0 if codec.bits is None or setting == 0 else (2**codec.bits - 1) / span
    shifted = np.round((pixels.astype(np.float64) - least) * gain).astype(np.uint16)
    started = time.perf_counter()
    packed = [codec.encode(plane, setting) for plane in shifted]
    coded = time.perf_counter()
    planes = [np.asarray(codec.decode(part), np.float64) for part in packed]
    done = time.perf_counter()
    return Sent(sum(map(len, packed)), np.stack(planes) / gain + least, coded - started, done - coded)


def coarse(case: Case, distance: float) -> Sent:
    """Block means by JPEG XL, made finer by the model."""
    started = time.perf_counter()
    every = np.ones((1, *case.pixels.shape), bool)
    count = len(case.pixels)
    small = means(case.pixels[None], every, case.factor, [None] * count, [False] * count)[0][0]
    reduced = time.perf_counter() - started
    sent = _send(CODECS[1], small, distance)
    started = time.perf_counter()
    limits = np.iinfo(small.dtype)
    values = np.clip(np.round(sent.pixels), limits.min, limits.max)
    scene = Scene.from_array(values.astype(small.dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fine = geomedsr.upscale(scene.with_range(case.low, case.high), case.model, device="cpu")
        pixels = fine.source.read(Box.whole(fine.shape))[0].astype(np.float64)
    return Sent(sent.size, pixels, sent.encode + reduced, sent.decode + time.perf_counter() - started)


def scores(case: Case, found: Array) -> tuple[float, float, float]:
    """PSNR in dB, SSIM and VGG-19 distance."""
    from torchmetrics.functional.image import structural_similarity_index_measure as ssim

    from geomedsr.metrics.features import FeatureDistance

    span = case.high - case.low
    truth, made = ((np.asarray(a, np.float64) - case.low) / span for a in (case.pixels, found))
    one, other = (torch.from_numpy(np.clip(a, 0, 1)).float()[None] for a in (truth, made))
    look = FeatureDistance()
    look.add(other, one)
    return psnr(case, found), float(ssim(other, one, data_range=1.0)), look.value()


def psnr(case: Case, found: Array) -> float:
    """In dB."""
    error = (case.pixels.astype(np.float64) - found) / (case.high - case.low)
    return float(-10 * np.log10(max(float(np.mean(error**2)), 1e-12)))


def at_equal_bytes(codec: Codec, case: Case, size: int) -> Sent | None:
    """The best of a codec within so many bytes; None where its smallest is larger."""
    low, high = codec.settings
    best = full(codec, case, low)
    if best.size > size:
        return None
    for _ in range(_STEPS):
        middle = (low * high) ** 0.5
        sent = full(codec, case, middle)
        if sent.size <= size:
            best, low = sent, middle
        else:
            high = middle
    return best


def crossover(case: Case, aim: float) -> float:
    """Bytes at which JPEG XL at full size reaches a PSNR."""
    few, many = CODECS[1].settings
    size = 0
    for _ in range(_STEPS):
        middle = (few * many) ** 0.5
        sent = full(CODECS[1], case, middle)
        if psnr(case, sent.pixels) < aim:
            few = middle
        else:
            many, size = middle, sent.size
    return size


def compare(case: Case) -> None:
    """A table at the bytes of the coarse image, and the crossover with JPEG XL."""
    count = case.pixels.size
    bands, height, width = case.pixels.shape
    print(f"\n### {case.name}, {width} × {height}, {bands} × {case.pixels.dtype}\n")
    print("| bits a pixel | way | PSNR, dB | SSIM | VGG-19 | coding, s | decoding, s |\n|---|---|---|---|---|---|---|")
    first = coarse(case, 0.0)
    for distance in (0.0, 1.0):
        reduced = first if distance == 0 else coarse(case, distance)
        way = f"block means, JPEG XL{' lossless' * (distance == 0)}, {case.model}"
        _row(case, f"{reduced.size * 8 / count:.3f}", way, reduced)
        for codec in CODECS:
            sent = at_equal_bytes(codec, case, reduced.size)
            if sent is None:
                print(f"| – | {codec.name}: nothing so small | | | | | |")
            else:
                _row(case, f"{sent.size * 8 / count:.3f}", codec.name, sent)
    aim = psnr(case, first.pixels)
    found = crossover(case, aim) * 8 / count
    print(f"\nJPEG XL at full size reaches {aim:.2f} dB, as lossless block means do, at {found:.3f} bits a pixel.")


def _row(case: Case, bits: str, way: str, sent: Sent) -> None:
    ratio, likeness, distance = scores(case, sent.pixels)
    figures = f"{ratio:.2f} | {likeness:.3f} | {distance:.3f} | {sent.encode:.2f} | {sent.decode:.2f}"
    print(f"| {bits} | {way} | {figures} |", flush=True)


def lossless(folder: Path, wanted: str = "") -> None:
    """Preview and detail beside one file."""
    print("| scene | ZSTD COG, kB | preview | preview + detail | JPEG XL lossless | s to split, to join |")
    print("|---|---|---|---|---|---|")
    for path in sorted(folder.glob("*.tif")):
        if wanted not in path.name:
            continue
        with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            preview, detail, out = (os.path.join(place, name) for name in ("p.tif", "d.gdsr", "o.tif"))
            started = time.perf_counter()
            parts = geomedsr.split(path, preview, detail, progress=False)
            split = time.perf_counter()
            scene = geomedsr.join(preview, detail, out, progress=False)
            joined = time.perf_counter()
            stored = geomedsr.open(path).source.read(Box.whole(scene.shape))[0]
            assert geomedsr.open(out).source.read(Box.whole(scene.shape))[0].tobytes() == stored.tobytes()
            with MemoryFile(ext=".tif") as memory:
                options = {"COMPRESS": "ZSTD", "PREDICTOR": "YES", "OVERVIEWS": "NONE"}
                rasterio.shutil.copy(path, memory.name, driver="COG", **options)
                one = len(memory.getbuffer())
            whole = stored.dtype.kind == "u" and stored.dtype.itemsize < 4
            jxl = sum(len(_jxl(np.ascontiguousarray(plane), 0)) for plane in stored) / one if whole else float("nan")
        both = (parts.preview_bytes + parts.detail_bytes) / one
        figures = f"{one / 1e3:.0f} | {parts.preview_bytes / one:.3f} | {both:.3f} | {jxl:.3f}"
        print(f"| {path.stem} | {figures} | {split - started:.1f}, {joined - split:.1f} |", flush=True)


def main(*words: str) -> None:
    """Print Markdown."""
    folders = [word for word in words if not word.startswith("-")]
    if "--lossless" in words:
        lossless(Path(folders[0]) / "satellite", *folders[1:])
        return
    for case in cases(folders[0] if folders else None):
        compare(case)


if __name__ == "__main__":
    main(*sys.argv[1:])
