"""Run other projects' test files through geomedsr, and check what comes out without geomedsr.

    python benchmarks/corpora.py FOLDER … [--markdown] [--model NAME] [--seconds 120] [--every N]

Each file that the reference reader of its format opens goes through ``info``, ``upscale`` and ``verify``, each in a
process of its own. What comes out is compared with the source by that reader: size, place, type, no-data, masks, names
and block means for rasters. A file is

- right: all that agrees, and ``verify`` says so;
- refused: one line says why, exit status 2, and nothing is left behind;
- wrong: something does not agree;
- traceback, crash, slow: a fault of ours, a signal, or no end within the seconds;
- litter: files or lines that nobody asked for;
- false alarm: ``verify`` tells of a fault where there is none.

Formats are in ``FORMATS``: one is a test of a name, the arguments of ``upscale``, and a check.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

#: Larger rasters are upscaled in a window of this side in their middle.
SIDE, WINDOW = 512, 128

#: Texts and programs, which no reader is asked for.
_OTHER = {
    ".py",
    ".pyx",
    ".md",
    ".rst",
    ".txt",
    ".c",
    ".h",
    ".sh",
    ".html",
    ".toml",
    ".cfg",
    ".yml",
    ".yaml",
    ".in",
    ".xml",
}

OUTCOMES = ("right", "refused", "wrong", "traceback", "crash", "slow", "litter", "false alarm")


@dataclass(frozen=True)
class Format:
    """How files of a kind are run: whether a path is one, what ``upscale`` gets, the result's name, and the check.

    ``options`` raises what the reader raises for a file that it does not open; ``check`` gives what is wrong, in words.
    """

    matches: Callable[[Path], bool]
    options: Callable[[Path], list[str]]
    result: str
    check: Callable[[Path, Path, Any], list[str]]
    leaves: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One command in a process of its own: exit status (negative: a signal; None: no end), and what it said."""

    status: int | None
    said: str

    @property
    def lines(self) -> list[str]:
        """Without what we say ourselves."""
        return [line for line in self.said.splitlines() if not line.startswith(("warning: ", "error: "))]


# Rasters


def raster_options(path: Path) -> list[str]:
    """A window of a large raster; the model is band by band, whatever there is."""
    with _opened(path) as source:
        if source.count == 0:
            raise ValueError("no bands")
        height, width = source.shape
    if max(height, width) <= SIDE:
        return []
    window = (max(0, (width - WINDOW) // 2), max(0, (height - WINDOW) // 2), min(WINDOW, width), min(WINDOW, height))
    return ["--window", ",".join(map(str, window))]


def raster_check(source: Path, result: Path, window: Any) -> list[str]:
    """What rasterio and PROJ see that is not as it was."""
    from rasterio.enums import ColorInterp
    from rasterio.windows import Window

    wrong = []
    with _opened(source) as old, _opened(result) as new:
        col, row, width, height = window or (0, 0, old.width, old.height)
        factor = new.width // width
        if (new.width, new.height, new.count) != (width * factor, height * factor, old.count) or factor < 2:
            return [f"size {new.width} × {new.height} × {new.count} of {width} × {height} × {old.count}"]
        place = Window(col, row, width, height)
        wrong += [] if set(new.dtypes) == set(old.dtypes) else [f"type {new.dtypes[0]} of {old.dtypes[0]}"]
        wrong += _placed(old, new, (col, row), factor)
        wrong += [] if new.descriptions == old.descriptions else ["names"]
        wrong += [] if new.scales == old.scales and new.offsets == old.offsets else ["scales"]
        wrong += [] if all(a is None or a == b for a, b in zip(old.units, new.units, strict=True)) else ["units"]
        declared = [v for v in old.nodatavals if v is not None and _fits(v, old.dtypes[0])]
        if declared and not _same_value(declared[0], new.nodatavals[0], old.dtypes[0]):
            wrong.append(f"no-data value {new.nodatavals[0]} of {declared[0]}")
        before, after = old.read(window=place), new.read()
        seen, shown = old.read_masks(window=place) != 0, new.read_masks() != 0
        for i, value in enumerate(old.nodatavals):  # counts beside a mask, which GDAL would ask alone
            seen[i] &= True if value is None else before[i] != np.array(value).astype(before.dtype)
        for i, interpretation in enumerate(old.colorinterp):
            if interpretation == ColorInterp.alpha:
                seen[i] = shown[i] = True
        if before.dtype.kind == "f":
            seen, shown = seen & np.isfinite(before), shown & np.isfinite(after)
        if not (shown == seen.repeat(factor, 1).repeat(factor, 2)).all():
            wrong.append(f"masks of {int((shown != seen.repeat(factor, 1).repeat(factor, 2)).sum())} pixels")
        elif not _conserved(before, after, factor)[seen].all():
            wrong.append(f"block means of {int((~_conserved(before, after, factor) & seen).sum())} pixels")
    return wrong


def _opened(path: Path) -> Any:
    import rasterio

    return rasterio.open(path)


def _placed(old: Any, new: Any, first: tuple[int, int], factor: int) -> list[str]:
    """Whether corners and control points are where they were, in the same CRS."""
    wrong = []
    if not (_unplaced(old) and (old.crs is None or old.gcps[0])):
        size = max(abs(v) for v in tuple(old.transform)[:2] + tuple(old.transform)[3:5])
        for corner in ((0, 0), (new.width, 0), (0, new.height), (new.width, new.height)):
            was = old.transform @ (first[0] + corner[0] / factor, first[1] + corner[1] / factor)
            if max(abs(a - b) for a, b in zip(was, new.transform @ corner, strict=True)) > size * 1e-6:
                return ["place"]
        if not _same_crs(old.crs, new.crs):
            wrong.append("CRS")
    elif old.gcps[0]:
        expected = [((p.row - first[1]) * factor, (p.col - first[0]) * factor, p.x, p.y) for p in old.gcps[0]]
        found = [(p.row, p.col, p.x, p.y) for p in new.gcps[0]]
        if len(found) != len(expected) or not np.allclose(found, expected, rtol=1e-9, atol=1e-6):
            wrong.append("control points")
        if not _same_crs(old.gcps[1], new.gcps[1]):
            wrong.append("CRS of control points")
    if (old.rpcs is None) != (new.rpcs is None):
        wrong.append("RPCs")
    return wrong


def _unplaced(dataset: Any) -> bool:
    """Whether there is no affine: rasterio warns then, and gives what the memory held."""
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        affine = dataset.read_transform()
    return affine == [0, 1, 0, 0, 0, 1] or any(w.category is NotGeoreferencedWarning for w in told)


def _same_crs(one: Any, other: Any) -> bool:
    """What rasterio and pyproj say; axis order does not count for either."""
    if one is None or other is None or one == other:
        return bool(one == other) if one is not None and other is not None else not one and not other
    from pyproj import CRS

    return bool(CRS.from_wkt(one.to_wkt()).equals(CRS.from_wkt(other.to_wkt()), ignore_axis_order=True))


def _fits(value: float, dtype: str) -> bool:
    """Whether a pixel can have a no-data value."""
    if np.dtype(dtype).kind == "f":
        return not np.isfinite(value) or abs(value) <= np.finfo(dtype).max
    return bool(value == value and value == int(value) and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max)


def _same_value(one: float, other: float | None, dtype: str) -> bool:
    return other is not None and bool(
        np.array_equal(
            np.array(one).astype(dtype), np.array(other).astype(dtype), equal_nan=np.dtype(dtype).kind == "f"
        )
    )


def _conserved(before: np.ndarray, after: np.ndarray, factor: int) -> np.ndarray:
    """Where the sum of a block is the source's pixel as many times; of floats within an ulp of the largest."""
    bands, height, width = before.shape
    blocks = after.reshape(bands, height, factor, width, factor)
    if before.dtype.kind != "f":
        sums = blocks.astype(object).sum((2, 4)) if before.dtype.itemsize == 8 else blocks.astype(np.int64).sum((2, 4))
        return np.asarray(sums == before.astype(sums.dtype) * factor**2, bool)
    wide = np.longdouble
    with np.errstate(all="ignore"):
        error = np.abs(blocks.astype(wide).sum((2, 4)) / factor**2 - before.astype(wide))
        return np.asarray(error <= np.spacing(np.abs(blocks).max((2, 4))).astype(wide))


# Volumes and series


def nifti_options(path: Path) -> list[str]:
    """Nothing; nibabel opens it or raises."""
    import nibabel

    nibabel.load(path)
    return []


def nifti_check(source: Path, result: Path, window: Any) -> list[str]:
    """Slices as many, twice as fine, over the same field."""
    import nibabel

    old, new = nibabel.load(source), nibabel.load(result)
    factor = new.shape[0] // old.shape[0]
    wrong = [] if tuple(new.shape[:3]) == (old.shape[0] * factor, old.shape[1] * factor, *old.shape[2:3]) else ["size"]
    corner, inner = np.array([-0.5, -0.5, 0, 1]), np.array([-0.5 + old.shape[0], -0.5 + old.shape[1], 0, 1])
    far = np.array([-0.5 + new.shape[0], -0.5 + new.shape[1], 0, 1])
    near = np.linalg.norm(old.affine[:3, :2], axis=0).min() * 0.01
    for a, b in ((old.affine @ corner, new.affine @ corner), (old.affine @ inner, new.affine @ far)):
        wrong += [] if np.abs(a - b).max() <= near else ["place"]
    return wrong


def dicom_options(path: Path) -> list[str]:
    """Nothing; pydicom opens it or raises."""
    import pydicom

    pydicom.dcmread(path, stop_before_pixels=True)
    return []


def dicom_check(source: Path, result: Path, window: Any) -> list[str]:
    """Of one file: patient and study as they were, new instances, rows and columns finer over the same field."""
    import pydicom

    old, wrong = pydicom.dcmread(source), []
    for path in sorted(p for p in result.rglob("*") if p.is_file()):
        new = pydicom.dcmread(path)
        wrong += [key for key in ("PatientID", "StudyInstanceUID") if old.get(key) != new.get(key)]
        wrong += ["SOPInstanceUID"] if old.get("SOPInstanceUID") == new.get("SOPInstanceUID") else []
        factor = new.Rows // old.Rows
        if factor < 2 or (new.Rows, new.Columns) != (old.Rows * factor, old.Columns * factor):
            wrong.append("size")
        elif "PixelSpacing" in old and not np.allclose(np.array(old.PixelSpacing) / factor, new.PixelSpacing, 1e-6):
            wrong.append("spacing")
    return sorted(set(wrong))


def _is_dicom(path: Path) -> bool:
    with open(path, "rb") as file:
        return path.suffix.lower() in (".dcm", ".dicom") or file.read(132)[128:] == b"DICM"


#: The first that matches is taken.
FORMATS = {
    "NIfTI": Format(lambda p: p.name.lower().endswith((".nii", ".nii.gz")), nifti_options, "out.nii.gz", nifti_check),
    "DICOM": Format(_is_dicom, dicom_options, "out", dicom_check),
    "raster": Format(lambda p: True, raster_options, "out.tif", raster_check, ("out.tif.aux.xml",)),
}


# Running


def judge(path: Path, model: str | None, seconds: float) -> tuple[str, str, str]:
    """Format, outcome and a few words for one file; outcome "" where no reader opens it."""
    kind = next(name for name, form in FORMATS.items() if form.matches(path))
    form = FORMATS[kind]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        options = _ask(form.options, (path,), place, seconds)
        if not isinstance(options, list):
            return kind, "", ""
        work = place / "work"
        work.mkdir()
        out = work / form.result
        named = ["--model", model] if model and kind == "raster" else []
        info = run(["info", str(path)], place, seconds)
        made = run(["upscale", str(path), str(out), "--quiet", *named, *options], place, seconds)
        left = sorted(p.name for p in work.iterdir() if p.name not in (form.result, *form.leaves))
        for step, what in ((info, "info"), (made, "upscale")):
            if (fault := _fault(step)) is not None:
                return kind, fault, f"{what}: {step.said.strip()[-200:]}"
        if left or made.lines or info.lines or (made.status and out.exists()):
            return kind, "litter", ", ".join([*left, *made.lines, *info.lines])[:200]
        if made.status:
            return kind, "refused", made.said.strip().splitlines()[-1][:200]
        window = [int(v) for v in options[1].split(",")] if options else None
        wrong = _ask(form.check, (path, out, window), place, seconds)
        if wrong:
            return kind, "wrong", ", ".join(wrong) if isinstance(wrong, list) else str(wrong)
        told = run(["verify", str(path), str(out)], place, seconds)
        if (fault := _fault(told, broken=1)) is not None:
            return kind, fault, f"verify: {told.said.strip()[-200:]}"
        if told.status:
            broken = [line for line in (place / "stdout").read_text().splitlines() if "broken" in line.lower()]
            return kind, "false alarm", "; ".join(broken)[:300] or told.said[-200:]
    return kind, "right", ""


def _fault(step: Run, broken: int | None = None) -> str | None:
    """What a run is at once, whatever came out."""
    if step.status is None:
        return "slow"
    if step.status < 0:
        return "crash"
    if "Traceback" in step.said or (step.status not in (0, 2, broken)):
        return "traceback"
    return None


_CONTEXT = multiprocessing.get_context("forkserver")


def run(arguments: list[str], place: Path, seconds: float) -> Run:
    """A command of geomedsr in a process of its own."""
    process = _CONTEXT.Process(target=_command, args=(arguments, str(place)))
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        return Run(None, "")
    return Run(process.exitcode, (place / "stderr").read_text(errors="replace"))


def _command(arguments: list[str], place: str) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(os.path.join(place, name), os.O_CREAT | os.O_TRUNC | os.O_WRONLY), number)
    from geomedsr.cli import main

    sys.exit(main(arguments))


def _ask(function: Callable[..., Any], arguments: tuple[Any, ...], place: Path, seconds: float) -> Any:
    """What a function gives in a process of its own, since readers crash too; a text for what went wrong."""
    answer = place / "answer"
    answer.unlink(missing_ok=True)
    process = _CONTEXT.Process(target=_answer, args=(function, arguments, str(answer)))
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
    return json.loads(answer.read_text()) if answer.exists() else "the reader gave up"


def _answer(function: Callable[..., Any], arguments: tuple[Any, ...], answer: str) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    warnings.simplefilter("ignore")
    try:
        found = function(*arguments)
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    Path(answer).write_text(json.dumps(found))


def files(folders: list[Path]) -> Iterator[tuple[Path, Path]]:
    """The folders' files that a reader may be asked for, each with its folder."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix.lower() not in _OTHER and not path.name.startswith("."):
                yield folder, path


def table(counts: dict[tuple[str, str], Counter[str]]) -> str:
    """Markdown: a line for each folder and format."""
    lines = ["| corpus | format | files | " + " | ".join(OUTCOMES) + " |", "|---" * (len(OUTCOMES) + 3) + "|"]
    for (corpus, kind), found in sorted(counts.items()):
        cells = [str(found[outcome]) for outcome in OUTCOMES]
        lines.append(f"| {corpus} | {kind} | {found.total()} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    """Print what became of each file that is not right, and the table; exit status 1 where there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--model", default="satellite-x2", help="for rasters")
    parser.add_argument("--seconds", type=float, default=120, help="for each command")
    parser.add_argument("--every", type=int, default=1, help="only every so many files")
    parser.add_argument("--markdown", action="store_true", help="the table alone")
    options = parser.parse_args()
    _CONTEXT.set_forkserver_preload(["geomedsr.cli.upscale", "geomedsr.inference.upscale", "rasterio", "torch"])
    counts: dict[tuple[str, str], Counter[str]] = {}
    for number, (folder, path) in enumerate(files(options.folders)):
        if number % options.every:
            continue
        kind, outcome, why = judge(path.resolve(), options.model, options.seconds)
        if not outcome:
            continue
        corpus = re.sub(r"[-_]\d[\d.]*$", "", folder.resolve().name)
        counts.setdefault((corpus, kind), Counter())[outcome] += 1
        if outcome != "right" and not options.markdown:
            print(f"{outcome}: {path.relative_to(folder)}: {' '.join(why.split())}", flush=True)
    print(table(counts))
    return int(any(found[o] for found in counts.values() for o in OUTCOMES[2:]))


if __name__ == "__main__":
    sys.exit(main())
