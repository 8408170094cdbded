"""The bundle for a machine with a GPU: built small, and run whole on the CPU where PyTorch is and nothing else."""

import hashlib
import json
import os
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import texture
from packaging.requirements import Requirement

import geomedsr
from geomedsr import Scene
from geomedsr.geometry.box import Box

ROOT = Path(__file__).parents[1]

#: What the other machine has.
THERE = ("torch", "numpy", "safetensors", "torchmetrics")

RECIPE: dict[str, Any] = {
    "name": "small-x2",
    "version": "0.0.1",
    "generator": {"scale": 2, "options": {"width": 8, "blocks": 1}, "start": None},
    "content": {"steps": 4, "batch": 2, "patch": 32},
    "adversarial": {
        "steps": 2,
        "batch": 2,
        "patch": 32,
        "losses": [
            {"kind": "l1"},
            {"kind": "relativistic", "weight": 0.01},
            {"kind": "perceptual", "layers": {"VGG22": 1.0}},
        ],
        "discriminator": {"options": {"width": 8}},
    },
}


def environment(folder: Path) -> Path:
    """A Python that finds those packages, and what they ask for, and no others."""
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    links = folder / "packages"
    links.mkdir()
    found, left = set(), list(THERE)
    while left:
        name = left.pop().lower()
        if name in found:
            continue
        found.add(name)
        here = metadata.distribution(name)
        for path in {Path(str(here.locate_file(file.parts[0]))) for file in here.files or () if file.parts[0] != ".."}:
            if not (links / path.name).exists() and path.name != "__pycache__":
                (links / path.name).symlink_to(path)
        needs = map(Requirement, here.requires or ())
        left += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (site / "there.pth").write_text(str(links))
    return folder / "venv/bin/python"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "data").mkdir()
    np.save(folder / "data/a.npy", texture(3, 90, 80))
    np.save(folder / "data/b.npy", texture(1, 30, 30, seed=1))
    entries = {
        key: [{"path": f"{name}.npy", "attribution": "none"}] for key, name in (("train", "a"), ("validation", "b"))
    }
    (folder / "small.yaml").write_text(yaml.safe_dump({**RECIPE, "data": {"root": str(folder / "data"), **entries}}))
    words = ["--recipes", str(folder / "small.yaml"), "--out", str(folder / "bundle"), "--tiny", "--here"]
    done = subprocess.run([sys.executable, str(ROOT / "gpu/bundle.py"), *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "bundle"


def test_it_runs_whole_where_pytorch_is_and_nothing_else(bundle: Path, tmp_path: Path) -> None:
    python = environment(tmp_path)
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    names = "rasterio", "pydicom", "SimpleITK", "xarray", "pandas", "PIL", "dask", "pydantic", "geomedsr", "pytest"
    code = f"import importlib.util as u; print([name for name in {names} if u.find_spec(name)])"
    assert (
        subprocess.run([python, "-c", code], capture_output=True, text=True, env=alone, cwd=tmp_path).stdout == "[]\n"
    )
    words = [python, "gpu/run.py", "--device", "cpu", "--copy", str(tmp_path / "back")]
    done = subprocess.run(words, cwd=bundle, env=alone, capture_output=True, text=True)
    report = json.loads((bundle / "results/report.json").read_text())
    failures = [failure["traceback"] for entry in report["steps"].values() for failure in entry["failures"]]
    assert done.returncode == 0, [done.stdout, done.stderr, *failures]
    # What is carried needs nothing else: what is there may be of older versions.
    found = [str(bundle / "packages" / name) for name in ("site", "cp{}{}".format(*sys.version_info[:2]))]
    code = f"import sys; sys.path[:0] = {found}; import affine, dask.threaded, pydantic, pytest, tqdm, wrapt, yaml"
    done = subprocess.run([python, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    steps = report["steps"]
    assert list(steps) == ["tests", "scene", "equality", "series", "processes", "ways", "train-small-x2"]
    assert {name: entry["status"] for name, entry in steps.items()} == dict.fromkeys(steps, "done")
    figures = {name: {f["name"]: f["value"] for f in entry["figures"]} for name, entry in steps.items()}
    assert figures["tests"]["tests passed"] >= 5
    assert figures["scene"]["whole scene, float32, memory by default"] > 0
    shares = [value for name, value in figures["equality"].items() if "float32" in name]
    assert shares == [0.0] * 4  # this device is the CPU
    assert figures["processes"]["two jobs at once: pixels"] == "the same"
    assert figures["processes"]["a training by two processes: losses"] < 0.02
    assert any("no CUDA device" in text for text in steps["ways"]["skipped"])
    assert all(f["command"].startswith("python3 gpu/run.py --only ") for e in steps.values() for f in e["figures"])

    trained = figures["train-small-x2"]
    assert (trained["content: steps"], trained["adversarial: steps"]) == (4, 2)
    model = geomedsr.load_model(bundle / "results/models/small-x2.safetensors")
    assert model.descriptor.adversarial
    assert model.descriptor.training["commit"] == report["settings"]["commit"]
    assert model.descriptor.training["stages"]["content"]["steps"] == 4
    assert trained["psnr"] == model.descriptor.metrics["psnr"] > 5
    y, x = np.mgrid[:24, :20]
    surface = (1000 + 500 * np.sin(x / 2) * np.cos(y / 3)).astype("uint16")
    sr = geomedsr.upscale(Scene.from_array(surface).with_range(0, 2000), model, device="cpu", precision="float32")
    made = sr.source.read(Box.whole(sr.shape))
    assert hashlib.sha256(made.tobytes()).hexdigest()[:16] == trained["model"]
    assert "| psnr |" in (bundle / "results/report.md").read_text()

    back = {path.name: path.stat().st_size for path in (tmp_path / "back").iterdir()}
    assert set(back) == {"report.json", "report.md", "models.zip", "results.zip.0"}
    assert max(back.values()) < 16 << 20
    again = [*words, "--results", str(tmp_path / "there"), "--from", str(tmp_path / "back")]
    done = subprocess.run(again, cwd=bundle, env=alone, capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "all is done"), done.stderr
