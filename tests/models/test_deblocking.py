"""The deblocking network: it begins as no change, its tiles see as much as it says, and its numbers are in steps."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from toys import STEPS

from geomedsr.models.deblocking import Deblocking
from geomedsr.models.ports import Port, Ports


def network(**options: int) -> Deblocking:
    torch.manual_seed(1)
    return Deblocking(ports=STEPS, **{"width": 4, "blocks": 1, **options}).eval()


def moved(net: Deblocking) -> Deblocking:
    nn.init.normal_(net.tail.weight, 0, 0.1)
    return net.requires_grad_(False)


def test_a_new_one_changes_nothing() -> None:
    x = torch.rand(2, 1, 21, 30)
    torch.testing.assert_close(network()(x, steps=torch.full_like(x, 0.1)), x)


@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_a_pixel_sees_no_farther_than_the_receptive_radius(blocks: int) -> None:
    net = moved(network(blocks=blocks))
    side = 2 * net.receptive_radius + 16
    x = torch.rand(1, 1, side, side, requires_grad=True)
    middle = side // 2
    net(x, steps=torch.full((1, 1, side, side), 0.05))[..., middle, middle].sum().backward()
    seen = x.grad.abs()[0, 0].nonzero()
    assert (seen - middle).abs().max() <= net.receptive_radius
    assert net.receptive_radius % 8 == 0


def test_planes_are_the_whole_without_its_halo() -> None:
    net = moved(network())
    edge = net.receptive_radius
    x, steps = torch.rand(1, 1, 40 + 2 * edge, 24 + 2 * edge), torch.rand(1, 1, 40 + 2 * edge, 24 + 2 * edge) / 9
    whole = net(x, steps=steps)
    planes = net.planes({"image": x, "steps": steps})["image"]
    torch.testing.assert_close(planes[:, :, 0], whole[..., edge:-edge, edge:-edge])
    shifted = {"image": x[..., 8:, 16:], "steps": steps[..., 8:, 16:]}
    torch.testing.assert_close(net.planes(shifted)["image"], planes[..., 8:, 16:], atol=1e-5, rtol=1e-5)


def test_changes_are_in_units_of_steps() -> None:
    net = moved(network())
    x, steps = torch.rand(1, 1, 32, 32), torch.full((1, 1, 32, 32), 1 / 64)
    change = net(x, steps=steps) - x
    brighter = net(x + 0.25, steps=steps) - (x + 0.25)
    torch.testing.assert_close(change, brighter, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "ports"),
    [
        ({"scale": 2}, STEPS),
        ({"channels": 3}, STEPS),
        ({"width": 0}, STEPS),
        ({}, None),
        ({}, Ports(inputs=(Port(name="steps", meaning="mask"),))),
    ],
)
def test_what_it_is_not_for(options: dict[str, int], ports: Ports | None) -> None:
    with pytest.raises(ValueError, match="deblocking network"):
        Deblocking(ports=ports, **options)
