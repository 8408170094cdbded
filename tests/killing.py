"""Jobs in a process of their own, killed while they work."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import geomedsr
from geomedsr import Scene
from geomedsr.errors import SceneWarning

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

_NAMING = """
import json, os, pickle, signal, sys, geomedsr
from geomedsr.io import publishing
own, count, when, options = publishing.place, 0, sys.argv[2], json.loads(sys.argv[3])
def place(made, target, overwrite):
    global count
    count += 1
    if when == f"before {count}":
        os.kill(os.getpid(), signal.SIGKILL)
    own(made, target, overwrite)
    if when == f"after {count}":
        os.kill(os.getpid(), signal.SIGKILL)
publishing.place = place
geomedsr.write(pickle.load(open(sys.argv[1], "rb")), workers=1, progress=False, **options)
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


def killed_and_resumed(scenes: dict[Path, Scene], region: str, workers: int | None = None) -> list[tuple[int, int]]:
    """The same, and the same call again, which must go on without a warning: regions found and all, of each output."""
    killed(scenes, region)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SceneWarning)
        told = geomedsr.write(scenes, workers=workers)
    return [(each.resumed, each.regions) for each in told.values()]


def killed_naming(scenes: dict[Path, Scene], when: str, **options: bool) -> None:
    """Write scenes by their paths, and kill that ``before`` or ``after`` a file gets its name, such as "after 1"."""
    job = next(iter(scenes)).parent / "job"
    job.write_bytes(pickle.dumps(scenes))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "ignore", "-c", _NAMING, str(job), when, json.dumps(options)]
    assert subprocess.run(command, env=env, timeout=240).returncode == -signal.SIGKILL
    job.unlink()


def contents(*paths: Path) -> dict[str, bytes]:
    """Files, and all files in folders, by their names."""
    files = [file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*")))]
    return {str(file): file.read_bytes() for file in files if file.is_file()}
