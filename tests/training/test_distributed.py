"""Two processes, started by torchrun, against one."""

import csv
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from affine import Affine
from conftest import SAMPLE, recipe_file, texture
from safetensors.torch import load_file

from geomedsr.errors import DeviceError, RecipeError
from geomedsr.training import load_recipe, train
from geomedsr.training.distributed import ProcessGroup, process_group
from geomedsr.training.run import Run

UPPER = {"path": "reference.tif", "window": [0, 0, 384, 192], "attribution": "modified Copernicus Sentinel data"}
OPTIMISER = {"learning_rate": 1e-4, "warmup_steps": 0}
SMALL = {
    "data": {"root": str(SAMPLE), "train": [UPPER]},
    "content": {"steps": 4, "patch": 32, "batch": 8, "optimiser": OPTIMISER},
    "adversarial": {
        "steps": 4,
        "patch": 32,
        "batch": 8,
        "losses": [{"kind": "l1"}, {"kind": "consistency"}, {"kind": "relativistic", "weight": 0.1}],
        "discriminator": {"architecture": "unet", "options": {"width": 4}},
        "optimiser": OPTIMISER,
    },
    "device": "cpu",
    "log_every": 2,
    "checkpoint_every": 2,
}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def launch(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*TORCHRUN, *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


GRADIENTS = """
import sys
import torch
from geomedsr.training import load_recipe
from geomedsr.training.run import Run
from geomedsr.training.step import step
from geomedsr.training.distributed import process_group

recipe, folder, cases = sys.argv[1], sys.argv[2], [words.split(";") for words in sys.argv[3:]]
torch.manual_seed(0)
fine = torch.rand(8, 1, 32, 32) * 4 ** torch.arange(8.0)[:, None, None, None]  # so that shares differ much
results = []
with process_group("cpu") as (group, device):
    for words in cases:
        run = Run(load_recipe(recipe, words), device, group)
        run.begin_stage()
        given = {}
        for name, network, optimiser in (("generator", run.generator, run.optimiser),
                                         ("discriminator", run.discriminator, run.discriminator_optimiser)):
            def note(*_, name=name, network=network):
                given[name] = torch.cat([p.grad.flatten() for p in network.parameters()]).clone()
            optimiser.register_step_pre_hook(note)
        mine = fine[group.shard(range(8), run.stage.accumulate)]
        given["terms"] = step(run, {"target": mine, "image": torch.nn.functional.avg_pool2d(mine, 4)})
        results.append(given)
    torch.save(results, f"{folder}/{group.size}-{group.rank}.pt")
"""

CASES = {
    "relativistic": "content.steps=0;adversarial.optimiser.clip_norm=1e9",
    "relativistic, in parts": "content.steps=0;adversarial.optimiser.clip_norm=1e9;adversarial.accumulate=2",
    "wasserstein, clipped": "content.steps=0;adversarial.optimiser.clip_norm=0.01;"
    "adversarial.losses=[{kind: l1}, {kind: wasserstein, weight: 0.1}]",
}


def test_two_processes_give_the_gradients_of_one_with_twice_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "gradients.py"
    script.write_text(GRADIENTS)
    words = [str(script), str(recipe_file(tmp_path, **SMALL)), str(tmp_path), *CASES.values()]
    done = launch(*words)
    assert done.returncode == 0, done.stderr
    monkeypatch.setattr("sys.argv", words)
    exec(GRADIENTS, {})
    alone, first, second = (torch.load(tmp_path / f"{name}.pt") for name in ("1-0", "2-0", "2-1"))
    for case, one, two, other in zip(CASES, alone, first, second, strict=True):
        for name in ("generator", "discriminator"):
            most = float(one[name].abs().max())
            assert most > 1e-4, case
            assert float((two[name] - one[name]).abs().max()) < 1e-4 * most, case
            assert torch.equal(two[name], other[name])  # the same bits in both
        assert two["terms"] == other["terms"]
        assert two["terms"] == pytest.approx(one["terms"], rel=1e-5)


KILLED = """
import os, sys
from geomedsr.training import load_recipe, train
from geomedsr.training.run import Run
recipe, folder = load_recipe(sys.argv[1]), sys.argv[2]
train(recipe, f"{folder}/two", quiet=True)
save = Run.save
def save_and_die(self, folder):
    save(self, folder)
    if self.step == 6:
        os.kill(os.getpid(), 9)
Run.save = save_and_die
train(recipe, f"{folder}/killed", quiet=True)
"""


def test_a_run_of_two_ends_as_a_run_of_one_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    recipe, script = recipe_file(tmp_path, **SMALL), tmp_path / "killed.py"
    script.write_text(KILLED)
    alone = load_file(train(load_recipe(recipe), tmp_path / "alone", quiet=True))
    assert launch(script, recipe, tmp_path).returncode != 0
    two = load_file(tmp_path / "two" / "model.safetensors")
    assert alone.keys() == two.keys()
    for name, value in alone.items():
        torch.testing.assert_close(two[name], value, atol=2e-5, rtol=0)  # Adam's steps are 1e-4
    logs = []
    for folder in ("alone", "two"):
        with open(tmp_path / folder / "log.csv", newline="") as file:
            logs.append([row["step"] + row["stage"] + f" {float(row['l1']):.4f}" for row in csv.DictReader(file)])
    assert logs[0] == logs[1]
    assert len(logs[0]) == 4

    assert (tmp_path / "killed" / "checkpoint.pt").exists()
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    done = launch("-m", "geomedsr.cli", "train", recipe, "--out", tmp_path / "killed")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(tmp_path / "killed" / "model.safetensors")]  # told once
    again = load_file(tmp_path / "killed" / "model.safetensors")
    assert all(torch.equal(again[name], value) for name, value in two.items())


def test_warnings_about_pairs_are_told_once(raster: Callable[..., Path], tmp_path: Path) -> None:
    fine = texture(1, 64, 64)
    raster(fine, "fine.tif", transform=Affine(10, 0, 435730, 0, -10, 4179460))
    coarse = fine.reshape(1, 32, 2, 32, 2).mean((2, 4)).astype("float32")
    raster(coarse, "coarse.tif", transform=Affine(20, 0, 435732, 0, -20, 4179460))
    recipe = recipe_file(
        tmp_path,
        generator={"scale": 2, "options": {"width": 4, "blocks": 1}},
        data={"root": str(tmp_path), "pairs": [{"fine": "fine.tif", "coarse": "coarse.tif", "attribution": ""}]},
        content={"steps": 1, "patch": 16, "batch": 2, "optimiser": OPTIMISER},
        device="cpu",
    )
    done = launch("-m", "geomedsr.cli", "train", recipe, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("warning:")]
    assert told == [
        "warning: the pair fine.tif and coarse.tif, whose grids do not quite meet: "
        "up to 0.20 fine pixels off in windows of 8 × 8 coarse ones"
    ]


def test_of_each_piece_every_process_has_the_same_part() -> None:
    batch = range(12, 24)
    assert ProcessGroup().shard(batch, 3) == list(batch)
    assert ProcessGroup(0, 2).shard(batch, 3) == [12, 13, 16, 17, 20, 21]
    assert ProcessGroup(1, 2).shard(batch, 3) == [14, 15, 18, 19, 22, 23]


def test_a_batch_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file(tmp_path, **SMALL), ["content.batch=6", "content.accumulate=2"])
    with pytest.raises(RecipeError, match=r"batch 6 for 2 processes \(accumulate 2\), expected a multiple of 4"):
        Run(recipe, torch.device("cpu"), ProcessGroup(0, 2))
    Run(load_recipe(recipe_file(tmp_path, **SMALL), ["content.accumulate=4"]), torch.device("cpu"), ProcessGroup(0, 2))


ENDED = """
import os
from geomedsr.errors import DeviceError
from geomedsr.training.distributed import process_group
try:
    with process_group("cpu") as (group, device):
        group.means({"l1": 1.0}, device)
        if not group.first:
            os._exit(1)
        group.means({"l1": 1.0}, device)
except DeviceError as error:
    print(error)
    if os.path.exists("/proc/self/task"):
        threads = [open(f"/proc/self/task/{number}/comm").read().strip() for number in os.listdir("/proc/self/task")]
        print([name for name in threads if "gloo" in name])
"""


def test_the_end_of_another_process_is_one_line() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    words = [sys.executable, "-c", ENDED]
    first, second = (
        subprocess.Popen(words, env={**shared, "RANK": rank}, stdout=subprocess.PIPE, text=True) for rank in "01"
    )
    told = [process.communicate(timeout=120)[0] for process in (first, second)]
    line, *left = told[0].splitlines()
    assert line.startswith("got no answer from another process of this run")
    assert left in ([], ["[]"])  # no thread is left that could abort the process at its end
    assert (told[1], first.returncode, second.returncode) == ("", 0, 1)


def test_a_process_by_itself_is_a_group_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")  # as some clusters set it, with no torchrun
    monkeypatch.delenv("RANK", raising=False)
    with process_group("cpu") as (group, device):
        assert (group, device) == (ProcessGroup(), torch.device("cpu"))
    with pytest.raises(DeviceError, match="device 'gpu'"), process_group("gpu"):
        pass
