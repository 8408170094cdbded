"""Test, measure and train on this machine, step by step; leave a report and model files.

    python3 gpu/run.py [--device cpu] [--copy FOLDER] [--from FOLDER] [--only STEP …] [--again STEP …]

Needs Python, PyTorch, NumPy, safetensors and torchmetrics; what else it uses lies beside it. A command ends by itself
within its minutes (8.5); the same command goes on where that one stopped, until it says that all is done. A step that
fails does not stop the next. What came out lies in `results/`: `report.md`, `report.json`, `models/`, logs.

`--copy` leaves all of that in a folder, in few files of less than 16 MiB; `--from` begins with what it left. `--again`
runs steps that are done once more, `--only` no others.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from parcel import pack, unpack
from report import Report

HOME = Path(__file__).resolve().parents[1]

#: What is measured, in this order, and the seconds that each may take; the trainings come last and share what is left.
STEPS = {"tests": 240, "scene": 180, "equality": 120, "series": 100, "processes": 180, "ways": 200}

#: Seconds that are left for writing things down, and below which a step is not begun.
LAST, LEAST = 15.0, 20.0

#: How often a step may be cut off by the end of a command before it has failed.
TRIES = 3


def main() -> int:
    """One command; its exit status: 0 all is done, 3 go on with the same command, 1 done, with failures."""
    settings = json.loads((HOME / "settings.json").read_text())
    names = [*STEPS, *(f"train-{name}" for name in settings["recipes"])]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--minutes", type=float, default=settings["minutes"], help="of this command")
    parser.add_argument("--results", type=Path, default=HOME / "results")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--again", nargs="+", choices=names, default=[])
    parser.add_argument("--copy", type=Path, metavar="FOLDER")
    parser.add_argument("--from", type=Path, metavar="FOLDER", dest="source")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    options.results.mkdir(parents=True, exist_ok=True)
    if options.source is not None:
        unpack(options.source, options.results)
    report = Report(options.results, settings)
    for name in options.again:
        report.forget(name)
        if name.startswith("train-"):
            shutil.rmtree(options.results / name, ignore_errors=True)
    environment, ran = {**prepared(), "GEOMEDSR_COMMIT": settings["commit"] or ""}, False
    for name in names:
        report.of(name)
    for name in options.only:
        if report.over(name):
            continue
        training = [step for step in names if step.startswith("train-") and not report.over(step)]
        share = (60 * settings["total"] - report.seconds) / max(1, len(training))
        most = report.of(name).setdefault("most", max(60.0, share) if name in training else STEPS[name])
        left = end - time.monotonic() - LAST
        if left < LEAST or (name not in training and ran and left < most / 2):
            break
        ran = True
        print(f"{name} …", flush=True)
        run(report, name, options.device, left, most, environment)
        print(f"{name}: {report.of(name)['status']}, {report.of(name)['seconds']:.0f} s", flush=True)
        report.write()
        if options.copy is not None:
            pack(options.results, options.copy)
    report.write()
    if options.copy is not None:
        pack(options.results, options.copy)
    waiting = [name for name in options.only if not report.over(name)]
    print(f"go on with the same command: {', '.join(waiting)} to do" if waiting else "all is done", flush=True)
    print(options.results / "report.md")
    return 3 if waiting else 1 if report.failed else 0


def run(report: Report, name: str, device: str, seconds: float, most: float, environment: dict[str, str]) -> None:
    """One step in a process of its own, for so many seconds; what it wrote down goes into the report.

    A training that was planned for ``most`` seconds has a third more. Where even those end before it does, its best
    weights so far are the model.
    """
    kind, _, recipe = name.partition("-")
    module = {"train": "training", "tests": "checks"}.get(kind, kind)
    words = [sys.executable, str(HOME / "gpu/steps" / f"{module}.py"), name, str(report.folder), device]
    words += [recipe, str(most)] if recipe else []
    log = report.folder / "logs" / f"{name}.txt"
    log.parent.mkdir(exist_ok=True)
    started, status, cut = time.monotonic(), None, False
    limit = 4 / 3 * most if recipe else most
    seconds = min(seconds, limit - report.of(name)["seconds"])
    with open(log, "a") as file:
        child = subprocess.Popen(words, cwd=HOME, env=environment, stdout=file, stderr=file, start_new_session=True)
        try:
            status = child.wait(max(1.0, seconds))
        except subprocess.TimeoutExpired:
            cut = True
        finally:
            for signal in (15, 9):  # the step's own processes, too
                try:
                    os.killpg(child.pid, signal)
                except (ProcessLookupError, PermissionError):
                    break
                time.sleep(0.2 if child.poll() is not None else 2.0)
            child.wait()
    best = report.folder / name / "best.safetensors"
    took = time.monotonic() - started
    last = report.of(name)["seconds"] + took >= limit - 1 or report.of(name)["tries"] + 1 >= TRIES + 3 * bool(recipe)
    report.took(name, took, status, cut, last, log)
    if report.over(name) and best.exists():
        (report.folder / "models").mkdir(exist_ok=True)
        shutil.copy(best, report.folder / "models" / f"{recipe}-best.safetensors")


def prepared() -> dict[str, str]:
    """The packages, unpacked once; and an environment in which they are found."""
    site, python = HOME / "packages", "cp{}{}".format(*sys.version_info[:2])
    if not (site / "whole").exists():
        shutil.rmtree(site, ignore_errors=True)
        with zipfile.ZipFile(HOME / "packages.zip") as archive:
            archive.extractall(site)
        (site / "whole").touch()
    if not (site / python).is_dir():
        kinds = ", ".join(sorted(path.name for path in site.glob("cp*")))
        sys.exit(f"error: got Python {sys.version.split()[0]}, expected one that the bundle was made for: {kinds}")
    paths = [str(site / "site"), str(site / python)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", "GEOMEDSR_PROGRESS": "0"}


if __name__ == "__main__":
    sys.exit(main())
