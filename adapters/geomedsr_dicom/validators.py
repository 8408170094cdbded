"""What dciodvfy and dcentvfy (Debian's dicom3tools) say of a result that they do not say of its source."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence

from geomedsr.checks import Check

#: Slices that the validator looks at, at most; it takes a fraction of a second for each.
_MOST = 24

#: A line about an attribute: where it is, and what is said of it.
_ABOUT = re.compile(r"Error - </?(?P<path>[^>]*)> - (?P<what>.*)")

#: Where a frame's number stands in it.
_FRAME = re.compile(r"(PerFrameFunctionalGroupsSequence\(5200,9230\))\[\d+\]")

#: Said of each attribute that a derived image has kept of its source and that only originals must have. PS3.3 adds to
#: these conditions that they may be present otherwise (C.8.13.4, for one).
_KEPT = "Attribute present when condition unsatisfied (which may not be present otherwise) for Type 1C"

#: Attributes that name the source; what is wrong with its UIDs is wrong there too.
_NAMES_SOURCE = "ReferencedSOPInstanceUID", "ReferencedSOPClassUID", "SeriesInstanceUID", "StudyInstanceUID"


def validated(source: Sequence[str], result: Sequence[str]) -> list[Check]:
    """Two promises about the files of a result beside those of its source, in the same order."""
    name = "dciodvfy finds no error that it does not find in the source"
    if shutil.which("dciodvfy") is None:
        found = [Check(name, None, "dciodvfy is not installed")]
    else:
        step = max(1, -(-len(result) // _MOST))
        new: dict[str, None] = {}
        for before, after in list(zip(source, result, strict=False))[::step]:
            new |= dict.fromkeys(complaints(before, after))
        found = [Check(name, not new, "; ".join(list(new)[:3]))]
    name = "dcentvfy finds source and result consistent"
    if shutil.which("dcentvfy") is None:
        return [*found, Check(name, None, "dcentvfy is not installed")]
    own = _errors(["dcentvfy", *dict.fromkeys(source)])
    lines = _errors(["dcentvfy", *dict.fromkeys(source), *result]) - own
    return [*found, Check(name, not lines, f"{len(lines)} lines" if lines else "")]


def complaints(source: str, result: str) -> list[str]:
    """What dciodvfy calls errors in a file and not in the one that it was made of, without the values it quotes."""
    before, after = (_errors(["dciodvfy", "-new", path]) for path in (source, result))
    said = {found["what"] for line in before if (found := _ABOUT.match(line))}
    known = set(map(_of_any_frame, before))
    return sorted(line for line in after - before if _of_any_frame(line) not in known and not _explained(line, said))


def _of_any_frame(line: str) -> str:
    """A line without the number of the frame that it is about: a result may have others."""
    return _FRAME.sub(r"\1", line)


def _explained(line: str, said: set[str]) -> bool:
    """Whether a line blames a result for what its source is, or for what it rightly kept of it."""
    found = _ABOUT.match(line)
    if found is None:
        return False
    named = any(name in found["path"] for name in _NAMES_SOURCE)
    return found["what"].startswith(_KEPT) or (named and found["what"] in said)


def _errors(command: list[str]) -> set[str]:
    """The lines that tell of errors, without the values they quote."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    lines = (done.stdout + done.stderr).splitlines()
    return {line.split(" = <")[0] for line in lines if "Error" in line}
