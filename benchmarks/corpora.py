"""Run other projects' test files through geomedsr, and check what comes out without geomedsr.

    python benchmarks/corpora.py FOLDER … [--markdown] [--model NAME] [--seconds 120] [--every N]

Each file that the reference reader of its format opens goes through ``info``, ``upscale`` and ``verify``, each in a
process of its own. What comes out is compared with the source by that reader: size, place, type, values that are none,
the rest of the header, and block means. A file is

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

from corpora_rasters import raster_check, raster_options
from corpora_volumes import dicom_check, dicom_options, is_dicom, is_volume, volume_check, volume_options

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
    ``model`` goes before the one that was asked for.
    """

    matches: Callable[[Path], bool]
    options: Callable[[Path], list[str]]
    result: str
    check: Callable[[Path, Path, Any], list[str]]
    leaves: tuple[str, ...] = ()
    model: str | None = None


@dataclass(frozen=True)
class Run:
    """One command in a process of its own: exit status (negative: a signal; None: no end), and what it said."""

    status: int | None
    said: str

    @property
    def lines(self) -> list[str]:
        """Without what we say ourselves."""
        return [line for line in self.said.splitlines() if not line.startswith(("warning: ", "error: "))]


#: The first that matches is taken.
FORMATS = {
    "volume": Format(is_volume, volume_options, "out.nii.gz", volume_check, model="ct-x2"),
    "DICOM": Format(is_dicom, dicom_options, "out", dicom_check),
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
        asked = form.model or (model if kind == "raster" else None)
        named = ["--model", asked] if asked else []
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
