"""Jobs in a process of their own, killed while they work."""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

from geomedsr import Scene

_SLOW = """
import pickle, sys, time, geomedsr
from geomedsr.inference.prediction import Prediction
own = Prediction.compute
def compute(self, box):
    time.sleep(0.4)
    return own(self, box)
Prediction.compute = compute
geomedsr.write(pickle.load(open(sys.argv[1], "rb")), workers=1, progress=False)
"""


def killed(scenes: dict[Path, Scene], region: str) -> None:
    """Write scenes by their paths, all in one folder, and kill that once there is a file of a region's name."""
    folder = next(iter(scenes)).parent
    (folder / "job").write_bytes(pickle.dumps(scenes))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    job = subprocess.Popen([sys.executable, "-W", "ignore", "-c", _SLOW, str(folder / "job")], env=env)
    deadline = time.monotonic() + 120
    while not list(folder.glob(f".*.part/*/{region}")) and job.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    job.send_signal(signal.SIGKILL)
    job.wait(60)
    assert not any(path.exists() for path in scenes)
