"""Two processes on one device: two jobs at once, and a training by two. On a CPU they speak Gloo."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch
import yaml
from step import HOME, Step, imagery, main

TRAIN = "import sys; from geomedsr.cli import main; sys.exit(main(sys.argv[1:]))"


def work(step: Step) -> None:
    """Each in little time: processes that wait for each other wait for long."""
    part: dict[str, Any] = step.settings["processes"]
    with step.part("two jobs at once"):
        _jobs(step, part["side"])
    with step.part("a training by two processes"):
        _pair(step, part)


def _jobs(step: Step, side: int) -> None:
    """Each plans as if it were alone; both must end, with the pixels of one alone."""
    np.save(step.scratch / "pair.npy", imagery("satellite", 1, 4, side)[0])
    words = [sys.executable, "-m", "geomedsr.cli", "upscale", str(step.scratch / "pair.npy")]
    ends = ["--model", "satellite-x4", "--quiet", "--overwrite", "--device", step.device]
    seconds = {}
    for count in (1, 2):
        started = time.perf_counter()
        jobs = [_started([*words, str(step.scratch / f"pair{count}{i}.npy"), *ends]) for i in range(count)]
        _ended(jobs)
        seconds[count] = time.perf_counter() - started
    made = [np.load(step.scratch / f"pair{name}.npy") for name in ("10", "20", "21")]
    same = all((made[0] == other).all() for other in made[1:])
    step.figure("two jobs at once: their time", seconds[2] / seconds[1], "times that of one", f"{seconds[2]:.1f} s")
    step.figure("two jobs at once: pixels", "the same" if same else "differ")
    if not same:
        raise AssertionError("two jobs at once have other pixels than one alone")
    for name in ("10", "20", "21"):
        (step.scratch / f"pair{name}.npy").unlink()


def _pair(step: Step, part: dict[str, Any]) -> None:
    """The same steps by one process and by two, which on one card NCCL may refuse: then that is what is found."""
    data = step.scratch / "pair.npy"
    np.save(data, imagery("satellite", 1, 1, 4 * part["patch"])[0])
    steps = {"steps": part["steps"], "batch": part["batch"], "patch": part["patch"]}
    losses = [{"kind": "l1"}, {"kind": "relativistic", "weight": 0.01}]
    recipe = {
        "name": "pair",
        "version": "0",
        "generator": {"options": {"width": 16, "blocks": 2}},
        "data": {"root": str(step.scratch), "train": [{"path": data.name, "attribution": "none"}]},
        "content": {**steps, "losses": [{"kind": "l1"}]},
        "adversarial": {**steps, "losses": losses, "discriminator": {"options": {"width": 8}}},
        "log_every": 1,
    }
    (step.scratch / "pair.yaml").write_text(yaml.safe_dump(recipe))
    rows = {}
    for count in (1, 2):
        try:
            rows[count] = _trained(step, count)
        except RuntimeError as error:
            if count == 1 or not step.cuda:
                raise
            line = str(error).strip().splitlines()[-1][:200]
            step.figure("a training by two processes on one card", "refused", "", line)
            return
    off = max(abs(a - b) / max(abs(b), 1e-6) for a, b in zip(rows[2], rows[1], strict=True))
    step.figure("a training by two processes: losses", off, "of theirs off those of one", f"{len(rows[1])} steps")
    if off > 0.02:
        raise AssertionError(f"losses of two processes are {off:.1%} off those of one")


def _trained(step: Step, count: int) -> list[float]:
    """The content loss of each step."""
    out = step.scratch / f"pair-{count}-{time.time_ns()}"
    words = [sys.executable, "-c", TRAIN, "train", str(step.scratch / "pair.yaml"), f"device={step.device}", "--quiet"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    several = torch.cuda.is_available() and torch.cuda.device_count() >= count
    environment = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    jobs = [
        _started([*words, "--out", str(out)], RANK=str(i), LOCAL_RANK=str(i if several else 0), **environment)
        for i in range(count)
    ]
    _ended(jobs)
    with open(out / "log.csv", newline="") as file:
        return [float(row["l1"]) for row in csv.DictReader(file)]


def _started(words: list[str], **environment: str) -> subprocess.Popen[str]:
    told = {**os.environ, **environment}
    return subprocess.Popen(words, cwd=HOME, env=told, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _ended(jobs: list[subprocess.Popen[str]], seconds: float = 75) -> None:
    """Wait for all.

    Raises:
        RuntimeError: one failed, or they took too long; with what it said.
    """
    end, said = time.monotonic() + seconds, []
    for job in jobs:
        try:
            text, _ = job.communicate(timeout=max(1.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            for other in jobs:
                other.kill()
            text = f"{job.communicate()[0]}\nno end within {seconds:.0f} s"
        if job.returncode:
            said.append(text)
    if said:
        raise RuntimeError("\n".join(said)[-3000:])


main(work)
