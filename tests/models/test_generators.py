"""All generators: bicubic at birth, exact receptive radius, tiles that equal the whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import save_tiny, texture
from pydantic import ValidationError

import geomedsr
from geomedsr import Scene
from geomedsr.errors import ModelError
from geomedsr.models import Descriptor
from geomedsr.models.interpolation import BicubicSkip
from geomedsr.models.rrdb import RRDBNet
from geomedsr.models.srresnet import SRResNet
from geomedsr.models.store import ARCHITECTURES, build

SMALL: dict[str, dict[str, int]] = {
    "compact": {"width": 6, "blocks": 1},
    "srresnet": {"width": 6, "blocks": 1},
    "rrdb": {"width": 4, "growth": 2, "blocks": 1},
}


def descriptor(architecture: str, scale: int, channels: int = 1, **more: Any) -> Descriptor:
    facts = {"name": "t", "version": "1", "value_range": (1, 99), "options": SMALL[architecture]} | more
    return Descriptor(architecture=architecture, scale=scale, channels=channels, **facts)


def test_all_are_tried() -> None:
    beside = {
        "deblocking",
        "filling",
        "guided",
        "slices",
    }  # take off JPEG, fills gaps, takes a guide, makes slices: tests of their own
    assert tuple(sorted({*SMALL} | beside)) == ARCHITECTURES.own


@pytest.mark.parametrize("architecture", SMALL)
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_a_new_one_is_bicubic(architecture: str, scale: int) -> None:
    x = torch.rand(2, 3, 9, 7)
    torch.testing.assert_close(build(descriptor(architecture, scale, 3))(x), BicubicSkip(scale)(x))


@pytest.mark.parametrize("architecture", SMALL)
def test_a_new_one_that_sees_neighbours_is_bicubic_of_the_middle_frame(architecture: str) -> None:
    net = build(descriptor(architecture, 2, 2, neighbours=2))
    x = torch.rand(1, 10, 12, 9)  # five frames of two bands
    torch.testing.assert_close(net(x), BicubicSkip(2)(x[:, 4:6]))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.rand_like(parameter) * 0.1)
    seen = x.clone().requires_grad_()
    net(seen)[:, 0].sum().backward()
    assert (seen.grad.abs().amax((0, 2, 3)) > 0).all()  # every frame and band has its say


def test_names_of_bands_fit_the_channels() -> None:
    assert descriptor("compact", 2, 2, bands=("red", "nir")).sees == "red, nir jointly"
    assert descriptor("compact", 2, 4, neighbours=2).sees == "4 bands jointly, with 2 slices before and after"
    assert descriptor("compact", 2, neighbours=1).sees == "band by band, with 1 slice before and after"
    assert descriptor("compact", 2, 4, neighbours=2).inputs == 20
    for channels, bands, said in (
        (3, ("red", "nir"), "as many as channels"),
        (1, ("red",), "expected 2 or more"),
        (2, ("red", "RED"), "each name once"),
        (2, ("red", " "), "none empty"),
    ):
        with pytest.raises(ValidationError, match=said):
            descriptor("compact", 2, channels, bands=bands)
    with pytest.raises(ModelError, match="frames follow from neighbours"):
        build(descriptor("compact", 2, options={"frames": 3}))


@pytest.mark.parametrize("architecture", SMALL)
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_the_receptive_radius_is_what_gradients_reach(architecture: str, scale: int) -> None:
    torch.manual_seed(0)
    net = build(descriptor(architecture, scale)).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.rand_like(parameter))  # all positive: nothing cancels
    reach = int(net.receptive_radius)
    size, middle = 2 * reach + 5, reach + 2
    x = torch.rand(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    net(x)[..., middle * scale : (middle + 1) * scale, middle * scale : (middle + 1) * scale].sum().backward()
    rows, cols = (x.grad[0, 0].abs().sum(axis).nonzero().ravel() for axis in (1, 0))
    assert (int(rows.min()), int(rows.max())) == (middle - reach, middle + reach)
    assert (int(cols.min()), int(cols.max())) == (middle - reach, middle + reach)


@pytest.mark.parametrize("architecture", ["srresnet", "rrdb"])
def test_tiles_equal_the_whole(architecture: str, tmp_path: Path) -> None:
    path = save_tiny(tmp_path / "m.safetensors", architecture=architecture, options=SMALL[architecture], size=0.1)
    scene = Scene.from_array(texture(2, 70, 60))
    whole = geomedsr.upscale(scene, path, tile=256).data.values
    assert not np.array_equal(whole, geomedsr.upscale(scene, save_bicubic(tmp_path, architecture)).data.values)
    np.testing.assert_array_equal(geomedsr.upscale(scene, path, tile=23).data.values, whole)


def save_bicubic(folder: Path, architecture: str) -> Path:
    return save_tiny(folder / "b.safetensors", architecture=architecture, options=SMALL[architecture], size=0.0)


def test_they_are_as_large_as_the_papers_say() -> None:
    def count(net: torch.nn.Module) -> int:
        return sum(p.numel() for p in net.parameters())

    srresnet = SRResNet(4, channels=3)
    convolution = 64 * 64 * 9 + 64
    head, tail, up = 3 * 81 * 64 + 64, 64 * 81 * 3 + 3, 64 * 256 * 9 + 256
    assert count(srresnet) == head + 1 + 16 * (2 * convolution + 1) + convolution + 2 * (up + 1) + tail
    assert len(srresnet.body) == 17
    assert count(RRDBNet(4, channels=3)) == 16_697_987  # ESRGAN's released network


def test_scales_and_options_they_lack_are_refused() -> None:
    for architecture in ("srresnet", "rrdb"):
        with pytest.raises(ModelError, match="scale 5: this architecture has 2, 3, 4, 8"):
            build(descriptor(architecture, 5))
    with pytest.raises(ModelError, match="options it takes"):
        build(descriptor("srresnet", 2, options={"growth": 3}))
    with pytest.raises(ModelError, match="growth 0 must be at least 1"):
        build(descriptor("rrdb", 2, options={"growth": 0}))
