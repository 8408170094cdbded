"""The guided network: what it begins with, what its tiles see, and which cards it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import SAMPLE
from toys import scene

import geomedsr
from geomedsr import Model, Scene
from geomedsr.inference import process
from geomedsr.models import Descriptor, load_model
from geomedsr.models.guided import Guided
from geomedsr.models.interpolation import BicubicSkip
from geomedsr.models.ports import Port, Ports
from geomedsr.models.store import build

PAN = Ports(inputs=(Port(name="guide", bands=("pan",), factors=(1, 2, 2)),))
FOUR = Ports(inputs=(Port(name="guide", bands=("a", "b", "c", "d"), factors=(1, 2, 2)),))


def random(ports: Ports, **options: int) -> Model:
    """A model with random weights in all layers."""
    torch.manual_seed(2)
    facts = {"name": "g", "version": "0", "architecture": "guided", "scale": 2, "value_range": (1, 99)}
    card = Descriptor(**facts, ports=ports, channels=1 if ports == PAN else 2, options=options)  # type: ignore[arg-type]
    module = build(card).eval().requires_grad_(False)
    torch.nn.init.normal_(module.tail.weight, 0, 0.05)  # type: ignore[arg-type]
    return Model(card, module, str(options), "g")


def test_a_new_one_is_bicubic() -> None:
    image, guide = torch.rand(2, 2, 9, 8), torch.rand(2, 4, 18, 16)
    torch.testing.assert_close(Guided(2, 2, 8, 1, ports=FOUR)(image, guide=guide), BicubicSkip(2)(image))


def test_a_regression_gives_a_line_of_the_guide_back() -> None:
    torch.manual_seed(0)
    guide = torch.rand(1, 1, 40, 40)
    truth = 0.6 * guide + 0.1
    image = torch.nn.functional.avg_pool2d(truth, 2)
    made = Guided(2, 1, 8, 1, 2, ports=PAN)(image, guide=guide)
    inner = (..., slice(8, -8), slice(8, -8))
    bicubic = (BicubicSkip(2)(image) - truth)[inner].abs().mean()
    assert (made - truth)[inner].abs().mean() < 0.03 * bicubic


@pytest.mark.parametrize(("ports", "options"), [(PAN, {"window": 2}), (PAN, {"window": 0}), (FOUR, {})])
def test_tiles_equal_the_untiled_result(ports: Ports, options: dict[str, int]) -> None:
    model = random(ports, width=8, blocks=2, **options)
    assert model.radius == 6 + options.get("window", 0)
    image, guide = scene(40, 33, 2), scene(80, 66, len(ports.inputs[0].bands), 5)
    whole, tiled = (
        process(model, image=image, guide=guide, tile=tile, precision="float32")["image"].data.values.astype(int)
        for tile in (64, 9)
    )
    assert np.abs(whole - tiled).max() <= 1
    assert (whole != tiled).mean() < 1e-3
    np.testing.assert_array_equal(whole.reshape(2, 40, 2, 33, 2).sum((2, 4)), image.data.values[0].astype(int) * 4)
    assert whole.reshape(2, 40, 2, 33, 2).std((2, 4)).mean() > 1


@pytest.mark.parametrize("ports", [PAN, FOUR])
def test_planes_are_what_the_network_makes_without_its_halo(ports: Ports) -> None:
    model = random(ports, width=8, blocks=2, window=2 if ports == PAN else 0)
    net, halo = model.module, model.radius
    channels, count = model.descriptor.channels, len(ports.inputs[0].bands)
    image, guide = (
        torch.rand(1, channels, 12 + 2 * halo, 10 + 2 * halo),
        torch.rand(1, count, 24 + 4 * halo, 20 + 4 * halo),
    )
    planes = net.planes({"image": image.clone(), "guide": guide})["image"]
    whole = torch.nn.functional.pixel_unshuffle(net(image, guide=guide), 2)
    wanted = whole[..., halo:-halo, halo:-halo].reshape(1, channels, 4, 12, 10)
    torch.testing.assert_close(planes, wanted, rtol=1e-4, atol=1e-5)
    # what lies at the halo's edge is seen, and nothing beyond it
    image.requires_grad_(True)
    net(image, guide=guide)[..., 2 * halo, 2 * halo].sum().backward()
    seen = image.grad[0].abs().sum(0).nonzero()  # type: ignore[index]
    assert seen.min() >= 0
    assert int(seen.max()) <= 2 * halo


@pytest.mark.parametrize(("name", "most"), [("pan-x2", 0.5), ("pan-x4", 0.6)])
def test_the_shipped_ones_are_nearer_to_the_truth_than_bicubic(name: str, most: float) -> None:
    """By Wald's protocol on the sample, with a panchromatic band that is the mean of blue, green and red."""
    scale = load_model(name).descriptor.scale
    truth = geomedsr.open(SAMPLE / "reference.tif").data.values[0].astype(np.float32)
    _, height, width = truth.shape
    coarse = truth.reshape(4, height // scale, scale, width // scale, scale).mean((2, 4))
    image, guide = Scene.from_array(coarse), Scene.from_array(truth[:3].mean(0, keepdims=True))
    made = process(name, image=image, guide=guide)["image"].data.values[0]
    bicubic = BicubicSkip(scale)(torch.from_numpy(coarse)[None])[0].numpy()
    ours, theirs = (np.sqrt(((x - truth)[:3] ** 2).mean((1, 2))) for x in (made, bicubic))
    assert (ours < most * theirs).all()
    means = made.astype(np.float64).reshape(4, height // scale, scale, width // scale, scale).mean((2, 4))
    np.testing.assert_allclose(means, coarse, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "ports", "said"),
    [
        ({}, Ports(), "takes one input besides the image, of factors"),
        ({}, Ports(inputs=(Port(name="guide", bands=("pan",)),)), "of factors"),
        ({"width": 0}, FOUR, "width 0"),
        ({"window": 1}, FOUR, "a window of 1 for 4 bands"),
    ],
)
def test_what_it_cannot_do_is_refused(options: dict[str, int], ports: Ports, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Guided(2, 2, ports=ports, **options)
