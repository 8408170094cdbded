"""How soon ``geomedsr upscale`` has ended after Ctrl-C, and what it says.

python benchmarks/stopping.py [SIDE]
"""

import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from measure import GEOMEDSR, conditions, sample

AFTER = (6, 9, 12)


def main(side: int = 2048) -> None:
    """Print a Markdown table."""
    print(f"{side} × {side}, 4 bands, uint16, ×4 by satellite-x4; {conditions()}\n")
    print("| Ctrl-C after, s | ended after, s | status | said |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.tif"
        sample(side, path)
        for wait in AFTER:
            words = [GEOMEDSR, "upscale", str(path), f"{folder}/out{wait}.tif", "--quiet"]
            heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # background jobs of a shell ignore it
            child = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, preexec_fn=heeding)
            time.sleep(wait)
            started = time.perf_counter()
            child.send_signal(signal.SIGINT)
            said = child.communicate()[1].strip()
            print(f"| {wait} | {time.perf_counter() - started:.1f} | {child.returncode} | {said} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
