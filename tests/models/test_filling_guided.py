"""A filling network with guides: planes without padding, and which guide fills what."""

from __future__ import annotations

import pytest
import torch
from toys import filler

from geomedsr.models.filling import MASK, MISSING, Filling
from geomedsr.models.filling_guided import GuidedFilling, covered, told
from geomedsr.models.ports import IMAGE


def network() -> GuidedFilling:
    module = filler().module
    assert isinstance(module, Filling)
    return GuidedFilling(module, 2)


def given(side: int) -> dict[str, torch.Tensor]:
    """An image, its masks, and two guides that cover its left and its upper half."""
    torch.manual_seed(1)
    mask = (torch.rand(1, 1, side, side) < 0.1).float()
    left, upper = torch.zeros_like(mask), torch.zeros_like(mask)
    left[..., : side // 2], upper[..., : side // 2, :] = 1, 1
    image = torch.rand(1, 1, side, side)
    return {
        IMAGE: image * (1 - mask),
        MASK: mask,
        MISSING: mask,
        told(0): image,
        covered(0): left,
        told(1): image + 1,
        covered(1): upper,
    }


def test_planes_are_the_padded_network_inside() -> None:
    net = network()
    inputs, edge = given(2 * net.receptive_radius + 20), net.receptive_radius
    others = {name: batch for name, batch in inputs.items() if name != IMAGE}
    inner = slice(edge, -edge)
    padded = net(inputs[IMAGE], **others)[..., inner, inner]
    torch.testing.assert_close(net.planes(inputs)[IMAGE][:, :, 0], padded, atol=2e-4, rtol=0)


def test_the_first_guide_that_covers_a_pixel_fills_it() -> None:
    net = network()
    inputs, edge = given(2 * net.receptive_radius + 20), net.receptive_radius
    made = net.planes(inputs)[IMAGE][0, 0, 0]
    inner = (0, 0, slice(edge, -edge), slice(edge, -edge))
    mask, left, upper, true = (inputs[name][inner] for name in (MASK, covered(0), covered(1), told(0)))
    near = (made - true).abs()
    # what either guide leaves is the same everywhere, 0 or -1, so that each is right where it tells
    first, second, alone = ((mask * part) > 0 for part in (left, (1 - left) * upper, (1 - left) * (1 - upper)))
    assert near[first].max() < 1e-3
    assert near[second].max() < 1e-3
    assert near[alone].max() > 0.05
    plain = net.filling.planes({name: inputs[name] for name in (IMAGE, MASK, MISSING)})[IMAGE][0, 0, 0]
    assert made[alone].tolist() == pytest.approx(plain[alone].tolist(), abs=1e-6)
    assert (made[mask == 0] == inputs[IMAGE][inner][mask == 0]).all()
