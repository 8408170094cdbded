"""Checkpoints of others: read without running them, tiled as exactly as they allow, and honest about it."""

import json
import pickle
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import FLOAT32, block_sums, texture
from rasterio.enums import ColorInterp
from safetensors.torch import save_file
from torch import nn

import geomedsr
from geomedsr import Band, Scene
from geomedsr.cli import main
from geomedsr.errors import DeviceError, InputError, ModelError
from geomedsr.geometry import Factors
from geomedsr.inference.memory import Need
from geomedsr.metrics.evaluate import evaluate
from geomedsr.models import Model, load_model
from geomedsr.models.export import export_onnx
from geomedsr.models.import_spandrel import import_spandrel
from geomedsr.models.third_party import CommunityNet, _try_out
from geomedsr.operators.conserve import conserve
from geomedsr.operators.sub_pixel import split
from geomedsr.scene.provenance import Provenance
from geomedsr_dicom.prose import describe, stated

if find_spec("spandrel") is None:
    pytest.skip("spandrel is not installed: pip install 'geomedsr[community]'", allow_module_level=True)
import_spandrel("these tests")

from spandrel.architectures.Compact import Compact  # noqa: E402
from spandrel.architectures.ESRGAN import ESRGAN  # noqa: E402
from spandrel.architectures.SwinIR import SwinIR  # noqa: E402

NAMES = ("B02", "B03", "B04", "B08")


def random(net: nn.Module, seed: int = 0, size: float = 0.1) -> nn.Module:
    """The network with weights that make every layer matter."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape) * size)
    return net.eval()


def compact(**options: Any) -> nn.Module:
    return random(Compact(**{"num_feat": 8, "num_conv": 2, "upscale": 4} | options))


def deep() -> nn.Module:
    """One whose radius, 62, is too large for an exact halo."""
    return compact(num_feat=4, num_conv=60, upscale=2)


def esrgan(blocks: int, **options: Any) -> nn.Module:
    return random(ESRGAN(**{"num_filters": 8, "num_blocks": blocks, "scale": 2} | options))


def swinir() -> nn.Module:
    size = {"depths": [2], "embed_dim": 12, "num_heads": [2], "window_size": 8, "img_size": 16}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.meshgrid's
        return random(SwinIR(upscale=2, upsampler="pixelshuffledirect", **size), size=0.3)


def saved(net: nn.Module, path: Path) -> Path:
    """As its authors save it: by name, in a dict of their own."""
    if path.suffix == ".safetensors":
        save_file(net.state_dict(), path)
    else:
        torch.save({"params_ema": net.state_dict(), "iteration": 5}, path)
    return path


def rgb(array: np.ndarray) -> Scene:
    """A scene of three bands that say what they show."""
    return Scene.from_array(array, bands=[Band("red"), Band("green"), Band("blue")])


def untiled(net: nn.Module, array: np.ndarray, halo: int, scale: int, multiple: int = 1) -> np.ndarray:
    """One call of the network on the whole image, padded by numpy; block means put right."""
    values = Scene.from_array(array).values
    ends = [halo + -(n + 2 * halo) % multiple for n in array.shape[1:]]
    padded = np.pad(array[None], [(0, 0), (0, 0), (halo, halo), (halo, halo)], mode="reflect")
    padded = np.pad(padded, [(0, 0), (0, 0), *((0, end - halo) for end in ends)], mode="reflect")
    with torch.inference_mode():
        fine = net(values.normalise(padded)).numpy()
    cut = [slice(halo * scale, (halo + n) * scale) for n in array.shape[1:]]
    return conserve(
        array[None], split(fine[(..., *cut)], Factors.in_plane(scale)), Factors.in_plane(scale), values.bounds()[1]
    )


def largest(a: np.ndarray, b: np.ndarray) -> float:
    """As a part of the range of values."""
    return float(np.abs(a.astype(float) - b).max() / np.ptp(b))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_network_of_known_radius_is_tiled_exactly(tmp_path: Path, suffix: str) -> None:
    net = compact()
    model = load_model(saved(net, tmp_path / f"real compact{suffix}"))
    card = model.descriptor
    assert (card.name, card.architecture, card.scale, card.channels) == ("real-compact", "spandrel:Compact", 4, 3)
    assert card.bands == ("red", "green", "blue")
    assert card.version == model.sha256[:12]
    assert (model.radius, model.tiling) == (4, "exact")  # four convolutions, each by one pixel
    array = texture(3, 50, 43, "float32")
    expected = untiled(net, array, 4, 4)
    for tile in (13, 100):
        sr = geomedsr.upscale(rgb(array), model, tile=tile)
        assert largest(sr.data.values, expected) < 1e-5
        assert sr.provenance["GEOMEDSR_TILING"] == "exact"


def test_an_esrgan_is_exact_where_it_is_small_and_approximate_where_it_is_large(tmp_path: Path) -> None:
    small = load_model(saved(esrgan(1), tmp_path / "small.pth"))
    # At low resolution 1 + 15 + 1 convolutions, at ×2 three more: 3 fine pixels are 2 coarse ones.
    assert (small.radius, small.tiling) == (1 + 15 + 1 + 2, "exact")
    array = texture(3, 40, 37, "float32")
    assert largest(geomedsr.upscale(rgb(array), small, tile=20).data.values, untiled(esrgan(1), array, 19, 2)) < 1e-5
    net = esrgan(4)  # 60 convolutions in its blocks
    large = load_model(saved(net, tmp_path / "large.pth"))
    assert (large.radius, large.tiling) == (32, "approximate tiling, halo 32")
    array = texture(3, 40, 40, "uint16")
    sr = geomedsr.upscale(rgb(array), large, tile=64)
    out = sr.data.values
    assert np.abs(out.astype(int) - untiled(net, array, 32, 2)).max() <= 1
    assert (block_sums(out[0], 2) == array.astype(object) * 4).all()
    assert sr.provenance["GEOMEDSR_TILING"] == "approximate tiling, halo 32"


def test_attention_in_windows_runs_with_a_declared_halo(tmp_path: Path) -> None:
    net = swinir()
    model = load_model(saved(net, tmp_path / "swin.pth"))
    assert model.tiling == "approximate tiling, halo 32"
    array = texture(3, 37, 30, "float32")
    sr = geomedsr.upscale(rgb(array), model, tile=64)
    assert largest(sr.data.values, untiled(net, array, 32, 2)) < 1e-5


def test_sizes_that_a_network_wants_are_made_by_reflection(tmp_path: Path) -> None:
    net = esrgan(1, in_nc=12, scale=4, shuffle_factor=2)  # as Real-ESRGAN's ×2: pixels go into channels first
    model = load_model(saved(net, tmp_path / "x2plus.pth"))
    assert (model.descriptor.scale, model.descriptor.channels) == (2, 3)
    assert model.tiling == "approximate tiling, halo 32"  # it is not alike at odd and even pixels
    array = texture(3, 41, 38, "float32")
    sr = geomedsr.upscale(rgb(array), model, tile=64)
    assert largest(sr.data.values, untiled(net, array, 32, 2, multiple=4)) < 1e-5


def test_a_grey_network_runs_band_by_band(tmp_path: Path) -> None:
    net = compact(num_in_ch=1, num_out_ch=1, upscale=2)
    model = load_model(saved(net, tmp_path / "grey.pth"))
    assert (model.descriptor.channels, model.descriptor.bands, model.tiling) == (1, (), "exact")
    array = texture(2, 30, 35, "float32")
    sr = geomedsr.upscale(Scene.from_array(array), model, tile=16).data.values
    for band in (0, 1):
        alone = array[band : band + 1]
        assert largest(sr[:, band : band + 1], untiled(net, alone, 4, 2)) < 1e-5


def test_red_green_and_blue_are_found_by_name(tmp_path: Path) -> None:
    model = load_model(saved(compact(upscale=2), tmp_path / "m.pth"))
    array = texture(5, 24, 24)
    bands = [*(Band(name) for name in NAMES), Band("SCL", kind="nearest")]
    scene = Scene.from_array(array, bands=bands)
    with pytest.raises(InputError, match="choose them with --bands blue=B02,green=B03,red=B04"):
        geomedsr.upscale(scene, model)
    sr = geomedsr.upscale(scene.select(["B02", "B03", "B04", "SCL"]), model)
    reordered = geomedsr.upscale(rgb(array[[2, 1, 0]]), model)
    assert (sr.data.values[:, [2, 1, 0]] == reordered.data.values).all()
    assert (sr.data.values[0, 3] == array[4].repeat(2, 0).repeat(2, 1)).all()
    with pytest.raises(InputError, match="do not identify red, green, blue"):
        geomedsr.upscale(Scene.from_array(array[:3]), model)


def test_the_command_says_approximate_and_verify_too(
    tmp_path: Path, raster: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def named(dataset: Any) -> None:
        dataset.descriptions = NAMES
        dataset.colorinterp = [ColorInterp.undefined] * 4

    path, model = raster(texture(4, 30, 34), edit=named), saved(deep(), tmp_path / "RealESRGAN_x2.pth")
    out = tmp_path / "out.tif"
    choice = ["--bands", "B04,B03,B02"]
    assert main(["upscale", str(path), str(out), "--model", str(model), *choice]) == 0
    assert "×2 by RealESRGAN_x2 " in (said := capsys.readouterr().out)
    assert ", approximate tiling, halo 32, " in said
    assert main(["upscale", str(path), str(out), "--model", str(model), "--json", "--overwrite", *choice]) == 0
    told = json.loads(capsys.readouterr().out)["provenance"]
    assert told["GEOMEDSR_TILING"] == "approximate tiling, halo 32"
    result = geomedsr.open(out, force=True)
    assert result.tags[""]["GEOMEDSR_TILING"] == "approximate tiling, halo 32"
    assert json.loads(result.tags[""]["GEOMEDSR_BANDS"]) == ["B04", "B03", "B02"]
    checks = {check.promise: check for check in geomedsr.verify(path, out)}
    assert checks["tiles equal the untiled result"].kept is None
    assert checks["tiles equal the untiled result"].detail == "approximate tiling, halo 32"
    assert all(check.kept is not False for check in checks.values()), checks
    assert checks["the mean of each 2 × 2 block is the source's pixel"].kept
    assert main(["report", str(path), str(out), "-o", str(tmp_path / "report.html")]) == 0
    assert "approximate tiling, halo 32" in (tmp_path / "report.html").read_text()
    assert "approximate tiling, halo 32" in repr(
        geomedsr.upscale(geomedsr.open(path).select(["B04", "B03", "B02"]), model)
    )
    assert "approximate tiling, halo 32" in load_model(model)._repr_html_()


def test_an_evaluation_says_approximate_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geomedsr.metrics.tally.CROPS", 0)
    model = load_model(saved(deep(), tmp_path / "deep.pth"))
    told = evaluate(model, [rgb(texture(3, 64, 64))], against=["bicubic"])
    assert [s.method for s in told.scores] == ["bicubic", "deep"]
    assert told.words[0].endswith(". deep: approximate tiling, halo 32.")


def test_dicom_text_tells_approximate_tiling() -> None:
    facts = {
        "VERSION": "1",
        "MODEL": "m",
        "MODEL_VERSION": "2",
        "MODEL_SHA256": "0" * 64,
        "REALISM": "0",
        "FACTOR": "2",
    }
    facts |= {"OPERATOR": "block-mean", "CONSERVED": "yes", "TILING": "approximate tiling, halo 32"}
    told = {f"GEOMEDSR_{key}": value for key, value in facts.items()}
    text = describe(Provenance.of(told))
    assert ", approximate tiling, halo 32, " in text
    assert stated(text) == told
    exact = describe(Provenance.of(told | {"GEOMEDSR_TILING": "exact"}))
    assert "exact" not in exact
    assert stated(exact) == {k: v for k, v in told.items() if k != "GEOMEDSR_TILING"}


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_other_kinds_are_refused_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "for restoration" in refusal(saved(compact(upscale=1), tmp_path / "denoise.pth"))
    assert "4 channels of 4" in refusal(saved(compact(num_in_ch=4, num_out_ch=4), tmp_path / "rgbn.pth"))
    torch.save({"x": torch.zeros(3)}, tmp_path / "x.pth")
    assert "unknown architecture" in refusal(tmp_path / "x.pth")
    save_file({"x": torch.zeros(3)}, tmp_path / "x.safetensors")
    assert "x.safetensors without geomedsr's description of an unknown architecture" in refusal(
        tmp_path / "x.safetensors"
    )
    broken = {"body.0.weight": torch.zeros(8, 3, 3, 3), "body.1.weight": torch.zeros(8)}  # the rest is missing
    torch.save(broken, tmp_path / "part.pth")
    assert "fit no network" in refusal(tmp_path / "part.pth")
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    assert "holds a list" in refusal(tmp_path / "list.pth")
    whole = saved(compact(), tmp_path / "whole.pth").read_bytes()
    for name, content in {"cut": whole[:-200], "none": b"", "text": b"hello " * 50, "page": b"<!DOCTYPE html>"}.items():
        (tmp_path / f"{name}.pth").write_bytes(content)
        assert "cannot be read as weights (damaged" in refusal(tmp_path / f"{name}.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is going out of use
        torch.jit.save(torch.jit.script(nn.Conv2d(3, 3, 1)), tmp_path / "script.pt")
    assert "it holds a TorchScript program, and no code of a file is run" in refusal(tmp_path / "script.pt")
    torch.save(nn.Conv2d(3, 3, 1), tmp_path / "module.pt")
    assert "it calls torch.nn.modules.conv.Conv2d, and no code of a file is run" in refusal(tmp_path / "module.pt")
    architecture = import_spandrel("these tests").MAIN_REGISTRY["Compact"].architecture
    for purpose, said in (("FaceSR", "for faces"), ("Inpainting", "for inpainting")):
        load = architecture.load

        def of_another_kind(state: Any, load: Any = load, purpose: str = purpose) -> Any:
            found = load(state)
            found._purpose = purpose
            return found

        with monkeypatch.context() as patch:
            patch.setattr(architecture, "load", of_another_kind)
            assert said in refusal(saved(compact(), tmp_path / f"{purpose}.pth"))


def test_a_network_that_draws_at_random_or_makes_another_size_is_refused() -> None:
    class Noisy(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x + torch.rand_like(x)).repeat(1, 1, 2, 2)

    with pytest.raises(ModelError, match="at random"):
        _try_out("noisy.pth", CommunityNet(Noisy(), 2), 3, "Noisy")
    with pytest.raises(ModelError, match="gives \\(32, 32\\) for 16 × 16"):
        _try_out("other.pth", CommunityNet(nn.Upsample(scale_factor=2), 3), 3, "Other")
    with pytest.raises(ModelError, match="does not run"):
        _try_out("tuple.pth", CommunityNet(nn.MaxPool2d(1, return_indices=True), 2), 3, "Tuple")


def test_networks_are_given_one_image_at_a_time() -> None:
    class Single(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * x.mean()).repeat_interleave(2, -1).repeat_interleave(2, -2)  # of a batch, another mean

    batch = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1).expand(2, 1, 4, 4)
    assert CommunityNet(Single(), 2)(batch).mean((1, 2, 3)).tolist() == [1, 9]


def test_no_code_of_a_checkpoint_runs(
    tmp_path: Path, raster: Callable[..., Path], capsys: pytest.CaptureFixture
) -> None:
    marker = tmp_path / "ran"

    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (marker,)

    path = tmp_path / "bomb.pth"
    state = {"params": {**compact().state_dict(), "bomb": Bomb()}}
    for zipped in (True, False):
        torch.save(state, path, _use_new_zipfile_serialization=zipped)
        assert main(["upscale", str(raster(texture(3, 20, 20))), str(tmp_path / "o.tif"), "--model", str(path)]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert said.count("\n") == 1
        assert re.search(r"it calls [\w.]*getattr, and no code of a file is run", said)
        assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists()  # elsewhere it would have run


def test_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = saved(compact(), tmp_path / "m.pth")
    model = load_model(path)
    with pytest.raises(ModelError, match="realism of"):
        load_model(path, 0.5)
    with pytest.raises(DeviceError, match="bfloat16 for m"):
        geomedsr.upscale(rgb(texture(3, 20, 20)), model, precision="bfloat16")
    with pytest.raises(ModelError, match="its authors' tools"):
        export_onnx(model, tmp_path / "m.onnx")


def test_workers_load_the_file_themselves(tmp_path: Path) -> None:
    model = load_model(saved(compact(), tmp_path / "m.pth"))
    data = pickle.dumps(model)
    assert len(data) < 500
    again: Model = pickle.loads(data)
    assert (again.sha256, again.radius) == (model.sha256, model.radius)
    array = texture(3, 60, 70)
    sr = geomedsr.upscale(rgb(array), model, tile=20)
    assert (pickle.loads(pickle.dumps(sr)).data.values == sr.data.values).all()


def test_memory_is_planned_from_what_the_network_held(tmp_path: Path) -> None:
    model = load_model(saved(compact(), tmp_path / "m.pth"))
    assert model.module.activations == 96  # at the end 48 values, and 48 of the enlarged input to add to them
    need = Need.of(model, FLOAT32, 3, 2)
    for tile in (64, 128):
        assert need.network(tile) == pytest.approx(1.8 * 4 * 96 * (tile + 8) ** 2, abs=1)  # with its halo


WITHOUT = """
import sys, geomedsr
model = geomedsr.load_model(sys.argv[1])
print(model.tiling, "torchvision" in sys.modules)
"""


def test_torchvision_may_be_of_another_torch(tmp_path: Path) -> None:
    path = saved(compact(), tmp_path / "m.pth")
    folder = tmp_path / "torchvision"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})" + WITHOUT
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.stdout == "exact False\n", done.stderr


def test_without_spandrel_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    said = refusal(saved(compact(), tmp_path / "m.pth"))
    assert "no package spandrel" in said
    assert "pip install 'geomedsr[community]'" in said
