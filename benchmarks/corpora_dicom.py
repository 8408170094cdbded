"""DICOM files of other projects' test suites through ``info``, ``upscale`` and ``verify``: what comes of each.

    python benchmarks/corpora_dicom.py FOLDER … [--csv TABLE]

Each file, DICOMDIR, and folder that holds more than one file is a case of its own. A case is *done* where every promise
is kept, *refused* where one line says why; anything else is a fault: a traceback, a broken promise, files left behind,
lines that are nobody's. The exit status tells whether there were faults.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from geomedsr.cli import main as command


@dataclass(frozen=True)
class Outcome:
    """What came of one case: ``done``, ``refused`` or a fault, with the line that says so."""

    case: str
    what: str
    words: str

    @property
    def fault(self) -> bool:
        """Whether it is none of the two that may come."""
        return self.what not in ("done", "refused")


def cases(root: Path) -> Iterator[Path]:
    """The files under a folder, and the folders that hold several."""
    if root.is_file():
        yield root
        return
    for folder, folders, names in os.walk(root):
        folders.sort()
        if len(names) > 1 and Path(folder) != root:
            yield Path(folder)
        yield from (Path(folder) / name for name in sorted(names))


def tried(case: Path) -> Outcome:
    """One case, in a folder of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "deep" / "out"
        status, words, _ = said("info", str(case))
        if status not in (0, 2):
            return Outcome(str(case), "info failed", words)
        status, words, _ = said("upscale", str(case), str(out), "--quiet", "--force", "--device", "cpu")
        left = [p.name for p in Path(scratch).rglob("*") if p.is_file() and out not in p.parents]
        if status == 2:
            if left or out.parent.exists():
                return Outcome(str(case), "files left behind", ", ".join(left))
            errors = [line for line in words.splitlines() if not line.startswith("warning: ")]
            return Outcome(str(case), "refused" if len(errors) == 1 else "several lines", words.strip())
        if status != 0 or left:
            return Outcome(str(case), "files left behind" if left else "upscale failed", words or ", ".join(left))
        strange = [line for line in words.splitlines() if not line.startswith("warning: ")]
        if strange:
            return Outcome(str(case), "lines that are nobody's", words.strip())
        status, words, told = said("verify", str(case), str(out), "--json")
        if status == 0:
            return Outcome(str(case), "done", "")
        try:
            checks = json.loads(told)
        except ValueError:
            return Outcome(str(case), "verify failed", words)
        broken = [f"{c['promise']}: {c['detail']}" for c in checks if c["kept"] is False]
        return Outcome(str(case), "broken promise", "; ".join(broken))


def said(*words: str) -> tuple[int, str, str]:
    """A command's exit status, and what it and all libraries under it wrote to standard error, and to output."""
    output, errors, keep = io.StringIO(), io.StringIO(), os.dup(2)
    with tempfile.TemporaryFile() as heard:
        os.dup2(heard.fileno(), 2)
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
                status = command(list(words)) or 0
        except SystemExit as stop:
            status = int(stop.code or 0)
        finally:
            os.dup2(keep, 2)
            os.close(keep)
        heard.seek(0)
        return status, errors.getvalue() + heard.read().decode(errors="replace"), output.getvalue()


def main() -> int:
    """Print what came of each case that was not refused, and a count of all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("roots", nargs="+", type=Path)
    parser.add_argument("--csv", type=Path, help="a table of all cases")
    options = parser.parse_args()
    found = []
    for case in (case for root in options.roots for case in cases(root)):
        found.append(tried(case))
        if found[-1].what != "refused":
            print(f"{found[-1].what:10} {found[-1].case} {found[-1].words}", flush=True)
    if options.csv:
        with options.csv.open("w", newline="") as file:
            csv.writer(file).writerows((o.case, o.what, o.words) for o in found)
    for what, count in Counter(o.what for o in found).most_common():
        print(f"{count:5} {what}")
    return int(any(o.fault for o in found))


if __name__ == "__main__":
    sys.exit(main())
