"""The report: JSON for programs, Markdown for people. What each step wrote down is gathered here."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

#: A step that is not to be run again.
OVER = ("done", "failed", "done in part")


class Report:
    """What is known of each step: its status, seconds, figures, failures with tracebacks. Kept in ``report.json``.

    A step writes ``steps/NAME.json`` as it goes, so that what it found is not lost if it is cut off.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.content: dict[str, Any] = {"settings": settings, "machine": {}, "steps": {}}
        if (folder / "report.json").exists():
            before = json.loads((folder / "report.json").read_text())
            self.content |= {"machine": before["machine"], "steps": before["steps"]}

    def of(self, name: str) -> dict[str, Any]:
        """A step's entry."""
        empty = {"status": "to do", "seconds": 0.0, "tries": 0, "figures": [], "failures": [], "skipped": []}
        entry: dict[str, Any] = self.content["steps"].setdefault(name, empty)
        return entry

    @property
    def seconds(self) -> float:
        """What all steps took together."""
        return float(sum(entry["seconds"] for entry in self.content["steps"].values()))

    @property
    def failed(self) -> list[str]:
        """The steps in which something failed."""
        return [name for name, entry in self.content["steps"].items() if entry["failures"]]

    def over(self, name: str) -> bool:
        """Whether a step is not to be run again."""
        return self.of(name)["status"] in OVER

    def forget(self, name: str) -> None:
        """As if a step had not been run."""
        self.content["steps"].pop(name, None)
        (self.folder / "steps" / f"{name}.json").unlink(missing_ok=True)

    def took(self, name: str, seconds: float, status: int | None, cut: bool, last: bool, log: Path) -> None:
        """A step ended by itself with a status, or was cut off, for the last time or not."""
        entry = self.of(name)
        told: dict[str, Any] = {}
        path = self.folder / "steps" / f"{name}.json"
        if path.exists():
            told = json.loads(path.read_text())
        self.content["machine"] |= told.pop("machine", {})
        entry |= told
        entry["seconds"] += seconds
        entry["tries"] += 1
        end = log.read_text(errors="replace")[-4000:]
        if cut and last:
            entry["failures"] = [*entry["failures"], {"part": "time", "traceback": f"cut off; the log's end:\n{end}"}]
        elif status:
            why = f"exit status {status}; the log's end:\n{end}"
            entry["failures"] = [*entry["failures"], {"part": "the whole step", "traceback": why}]
        some = bool(entry["figures"])
        entry["status"] = (
            "to go on"
            if cut and not last
            else "done"
            if not entry["failures"]
            else "done in part"
            if some
            else "failed"
        )

    def write(self) -> None:
        """Both files, each whole or as it was."""
        for name, text in (("report.json", json.dumps(self.content, indent=1)), ("report.md", self.markdown())):
            partial = self.folder / f".{name}.part"
            partial.write_text(text, encoding="utf-8")
            os.replace(partial, self.folder / name)

    def markdown(self) -> str:
        """The report for people."""
        lines = ["# What a GPU showed", ""]
        lines += [f"- {key}: {value}" for key, value in self.content["machine"].items()]
        lines += [f"- commit: {self.content['settings'].get('commit')}", "", "| step | | seconds |", "|---|---|---|"]
        steps = self.content["steps"].items()
        lines += [f"| {name} | {entry['status']} | {entry['seconds']:.0f} |" for name, entry in steps]
        for name, entry in steps:
            if entry["figures"]:
                command = entry["figures"][0]["command"]
                lines += ["", f"## {name}", "", f"`{command}`", "", "| figure | value | |", "|---|---|---|"]
                lines += [
                    f"| {figure['name']} | {_shown(figure['value'])} {figure['unit']} | {figure['note']} |"
                    for figure in entry["figures"]
                ]
            lines += ["", *(f"Left out: {text}" for text in entry["skipped"])] if entry["skipped"] else []
            for failure in entry["failures"]:
                lines += ["", f"### {name}: {failure['part']} failed", "", "```", failure["traceback"].rstrip(), "```"]
        return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
