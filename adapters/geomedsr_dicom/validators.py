"""Errors that dciodvfy and dcentvfy (Debian's dicom3tools) report for a result, but not for its source."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence

from geomedsr.checks import Check

#: The most slices that are validated; each takes a fraction of a second.
_MOST = 24

#: An error about an attribute: its path, and the message.
_ABOUT = re.compile(r"Error - </?(?P<path>[^>]*)> - (?P<what>.*)")

#: The frame number in the path.
_FRAME = re.compile(r"(PerFrameFunctionalGroupsSequence\(5200,9230\))\[\d+\]")

#: Reported for each attribute that a derived image keeps from its source and that only original images must have. PS3.3
#: allows such attributes to be present otherwise (for example C.8.13.4).
_KEPT = "Attribute present when condition unsatisfied (which may not be present otherwise) for Type 1C"

#: Attributes that refer to the source; errors in its UIDs appear there, too.
_NAMES_SOURCE = "ReferencedSOPInstanceUID", "ReferencedSOPClassUID", "SeriesInstanceUID", "StudyInstanceUID"


def validated(source: Sequence[str], result: Sequence[str]) -> list[Check]:
    """Two checks of the files of a result against those of its source, in the same order."""
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
    """Errors that dciodvfy reports for a result's file but not for its source's, without quoted values."""
    before, after = (_errors(["dciodvfy", "-new", path]) for path in (source, result))
    said = {found["what"] for line in before if (found := _ABOUT.match(line))}
    known = set(map(_of_any_frame, before))
    return sorted(line for line in after - before if _of_any_frame(line) not in known and not _explained(line, said))


def _of_any_frame(line: str) -> str:
    """An error line without the frame number, since a result may have other frames."""
    return _FRAME.sub(r"\1", line)


def _explained(line: str, said: set[str]) -> bool:
    """Whether an error is due to the source, or to an attribute that a result rightly keeps from it."""
    found = _ABOUT.match(line)
    if found is None:
        return False
    named = any(name in found["path"] for name in _NAMES_SOURCE)
    return found["what"].startswith(_KEPT) or (named and found["what"] in said)


def _errors(command: list[str]) -> set[str]:
    """The error lines of a validator, without quoted values."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    lines = (done.stdout + done.stderr).splitlines()
    return {line.split(" = <")[0] for line in lines if "Error" in line}
