"""Architectures and operators of other packages."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from toys import scene, toy

import geomedsr
from geomedsr import plugins
from geomedsr.errors import ModelError
from geomedsr.models import Descriptor, load_model
from geomedsr.models.store import ARCHITECTURES, build
from geomedsr.operators import OPERATORS, BlockMean

MODULE = """
import torch
from torch import nn
from geomedsr.models.network import Network
from geomedsr.models.store import ARCHITECTURES
from geomedsr.operators import OPERATORS, BlockMean


class Doubling(Network):
    receptive_radius = 1

    def __init__(self, scale: int, channels: int) -> None:
        super().__init__()
        self.scale = scale
        self.layer = nn.Conv2d(channels, channels * scale**2, 3, padding=1)
        self.up = nn.PixelShuffle(scale)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.up(self.layer(image))


class Means(BlockMean):
    name = "other-means"
    keeps = "their means"


ARCHITECTURES.register("doubling", Doubling)
OPERATORS.register("other-means", Means())
"""

FACTS = {"name": "other", "version": "0", "scale": 2, "value_range": (1, 99)}


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file of a model whose architecture and operator are those of a module beside it, which is not imported yet."""
    (tmp_path / "others_own.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    made = "import torch, others_own\nfrom geomedsr.models import Descriptor, save_model\n"
    made += f"card = Descriptor(architecture='doubling', operator='other-means', **{FACTS})\n"
    made += "torch.manual_seed(0); save_model(others_own.Doubling(2, 1), card, 'other.safetensors')"
    env = {"PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", made], cwd=tmp_path, env=env, check=True)
    yield tmp_path / "other.safetensors"
    sys.modules.pop("others_own", None)
    for registry, name in ((ARCHITECTURES, "doubling"), (OPERATORS, "other-means")):
        registry._things.pop(name, None)
        registry._modules.pop(name, None)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Entry points that are installed."""
    added: list[object] = []
    monkeypatch.setattr(plugins, "entry_points", lambda group: added if group == plugins.GROUP else [])
    plugins._modules.cache_clear()
    yield added
    plugins._modules.cache_clear()


def test_an_installed_package_is_found_by_its_entry_point(other: Path, found: list[object]) -> None:
    def load() -> object:
        import others_own

        return others_own

    found.append(SimpleNamespace(name="others", load=load))
    made = geomedsr.upscale(scene(), load_model(other))
    assert made.provenance["GEOMEDSR_OPERATOR"] == "other-means"
    assert "doubling" in ARCHITECTURES
    means = made.data.values.astype(int).reshape(1, 2, 40, 2, 33, 2).sum((3, 5))
    np.testing.assert_array_equal(means, 4 * scene().data.values.astype(int))


def test_a_file_names_no_module(other: Path, found: list[object]) -> None:
    with pytest.raises(ModelError, match=r"the architecture 'doubling', expected one of .*compact.*: update"):
        load_model(other)
    assert "others_own" not in sys.modules


def test_a_package_that_fails_is_told_of_where_something_lacks(other: Path, found: list[object]) -> None:
    def load() -> object:
        raise ImportError("no libfoo")

    found.append(SimpleNamespace(name="broken", load=load))
    with pytest.raises(ModelError, match=r"broken \(not loading: ImportError: no libfoo\)"):
        load_model(other)
    assert load_model("satellite-x4")  # it needs none


def test_worker_processes_know_what_a_program_imported(other: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    import others_own

    assert others_own.Means.keeps
    made = geomedsr.upscale(scene(300, 280), load_model(other), tile=64)
    geomedsr.write(made, tmp_path / "threads.npy", workers=2)
    geomedsr.write(made, tmp_path / "cluster.npy", cluster="local:2")
    np.testing.assert_array_equal(np.load(tmp_path / "cluster.npy"), np.load(tmp_path / "threads.npy"))


def test_a_process_that_lacks_the_module_says_so(other: Path, tmp_path: Path) -> None:
    import others_own

    (tmp_path / "model").write_bytes(pickle.dumps(load_model(other)))
    read = f"import pickle; print(pickle.load(open({str(tmp_path / 'model')!r}, 'rb')).descriptor.name)"
    env = {"PYTHONPATH": ":".join(sys.path)}
    run = subprocess.run([sys.executable, "-c", read], env=env, capture_output=True, text=True, check=False)
    assert run.stdout == "other\n"
    Path(others_own.__file__).unlink()
    run = subprocess.run([sys.executable, "-c", read], env=env, capture_output=True, text=True, check=False)
    assert "the module others_own, which this process cannot import" in run.stderr


def test_what_a_program_itself_defines_stays_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(BlockMean):
        name = "own"

    monkeypatch.setattr(Own, "__module__", "__main__")
    monkeypatch.setattr(OPERATORS, "_things", dict(OPERATORS._things))
    monkeypatch.setattr(OPERATORS, "_modules", {})
    OPERATORS.register("own", Own())
    model = toy(operator="own", scale=2)
    assert geomedsr.upscale(scene(), model).data.values.shape == (1, 2, 80, 66)
    with pytest.raises(ModelError, match="'own', which is defined in the program itself, expected a module that"):
        pickle.dumps(model)


def test_names_are_taken_once() -> None:
    with pytest.raises(
        ModelError, match="operator 'block-mean' of test_plugins, expected a name that geomedsr does not use"
    ):
        OPERATORS.register("block-mean", type("Own", (BlockMean,), {"__module__": "test_plugins"})())
    assert OPERATORS["block-mean"].keeps == "block means"
    assert build(Descriptor(architecture="compact", **FACTS)).scale == 2  # type: ignore[arg-type]
