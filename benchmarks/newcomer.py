"""A new user's way: from `git clone` to a comparison of a GeoTIFF of their own in a notebook, step by step, timed.

    python benchmarks/newcomer.py SCENE.tif

What a person does between the steps, reading and typing, is not in it. Where pip's cache is cold, the downloads decide.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: The cells that the user types.
CELLS = (
    'import geomedsr\nscene = geomedsr.open("{scene}")\nscene',
    "scene.plot()",
    "sr = geomedsr.upscale(scene)\ngeomedsr.compare(scene, sr)",
)


def main(scene: str) -> None:
    """Print a Markdown table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clone, python = folder / "geomedsr", folder / "venv" / "bin" / "python"
        notebook = folder / "mine.ipynb"
        cells = [
            {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": text}
            for text in (cell.replace("{scene}", os.path.abspath(scene)) for cell in CELLS)
        ]
        notebook.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}))
        steps = {
            "git clone": ["git", "clone", "-q", str(ROOT), str(clone)],
            "python -m venv": [sys.executable, "-m", "venv", str(folder / "venv")],
            "pip install -c constraints.txt '.[notebook]'": [
                *(str(python), "-m", "pip", "install", "-q", "-c", str(clone / "constraints.txt")),
                f"{clone}[notebook]",
            ],
            "three cells: open, plot, upscale and compare": [
                *(str(python), "-m", "nbconvert", "--to", "html", "--execute", "--log-level", "ERROR", str(notebook))
            ],
        }
        print("| step | seconds |\n|---|---|")
        total = 0.0
        for title, command in steps.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            seconds = time.perf_counter() - started
            total += seconds
            print(f"| {title} | {seconds:.0f} |", flush=True)
        print(f"| in all | {total:.0f} |")
        if "geomedsr-swipe" not in notebook.with_suffix(".html").read_text(encoding="utf-8"):
            raise SystemExit("error: got a notebook without a viewer, expected one")


if __name__ == "__main__":
    main(sys.argv[1])
