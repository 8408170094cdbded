"""The filling network: what it never looks at, what its tiles see, and how deep it fills."""

from __future__ import annotations

import pytest
import torch
from toys import GAPS, filler

from geomedsr.models.compact import cropped
from geomedsr.models.filling import Filling
from geomedsr.models.ports import Port, Ports


def gap(size: int, height: int = 4) -> torch.Tensor:
    """A band of rows that is missing, and some pixels."""
    mask = (torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(1)) < 0.02).float()
    mask[..., size // 2 - height // 2 : size // 2 + height // 2, :] = 1
    return mask


def made(net: Filling, image: torch.Tensor, mask: torch.Tensor, missing: torch.Tensor | None = None) -> torch.Tensor:
    given = {"image": image, "mask": mask, "missing": mask if missing is None else missing}
    with torch.inference_mode():
        return net.planes(given)["image"][:, :, 0]


def test_a_new_one_fills_calm_ground_with_its_level() -> None:
    net = Filling(ports=GAPS, width=4).eval()
    image = torch.full((1, 1, 60, 60), 0.3)
    mask = gap(60)
    got = net(image.masked_fill(mask > 0, 9.0), mask=mask, missing=mask)
    torch.testing.assert_close(got, torch.full_like(got, 0.3))


def test_a_line_through_the_values_goes_through_the_fill() -> None:
    net = filler().module
    side = 2 * net.receptive_radius + 40
    image, mask = torch.rand(1, 1, side, side), gap(side)
    one, other = made(net, image, mask), made(net, image * 2 - 0.4, mask)
    inside = cropped(mask, net.receptive_radius) > 0
    torch.testing.assert_close(other[inside], one[inside] * 2 - 0.4, atol=0.01, rtol=0)
    assert (one[inside] - 0.5).std() > 0.02


def test_what_is_missing_is_never_looked_at() -> None:
    net = filler().module
    side = 2 * net.receptive_radius + 40
    image, mask = torch.rand(1, 1, side, side), gap(side)
    beside = mask.clone()
    beside[..., :70, 60:80] = 1  # no data, whose fill nobody wants
    wild = image.masked_fill(beside > 0, 77.0)
    one, other = made(net, image, mask, beside), made(net, wild, mask, beside)
    wanted = cropped(mask, net.receptive_radius) > 0
    assert torch.equal(one[wanted], other[wanted])


@pytest.mark.parametrize("height", [4, 20, 40])
def test_tiles_equal_the_whole_in_one_pass_and_in_several(height: int) -> None:
    net = filler().module
    halo = net.receptive_radius
    side = 2 * halo + 48
    image, mask = torch.rand(1, 1, side, side), gap(side, height)
    whole, forward = made(net, image, mask), cropped(net(image, mask=mask, missing=mask), halo)
    wanted = cropped(mask, halo) > 0
    deep = height / 2 > net.depth
    if not deep:
        torch.testing.assert_close(forward, whole, atol=1e-5, rtol=0)
    for row, col, high, wide in ((0, 0, 20, 48), (13, 7, 9, 11), (20, 30, 28, 18)):
        part = (..., slice(row, row + high + 2 * halo), slice(col, col + wide + 2 * halo))
        tile = made(net, image[part], mask[part])
        here = (..., slice(row, row + high), slice(col, col + wide))
        torch.testing.assert_close(tile[wanted[here]], whole[here][wanted[here]], atol=1e-5, rtol=0)
    assert torch.equal(whole[~wanted], cropped(image, halo)[~wanted])


def test_nothing_beyond_the_halo_is_seen() -> None:
    net = filler().module
    halo = net.receptive_radius
    side = 2 * halo + 31
    image, mask = torch.rand(1, 1, side, side), gap(side, 20)
    image.requires_grad_(True)
    net.planes({"image": image, "mask": mask, "missing": mask})["image"][..., 15, 15].sum().backward()
    seen = image.grad[0, 0].abs().nonzero()  # type: ignore[index]
    assert len(seen)
    assert int(seen.min()) >= 15
    assert int(seen.max()) <= 2 * halo + 15


def test_nothing_is_computed_where_nothing_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    net = filler().module
    monkeypatch.setattr(net, "_detail", None)
    image = torch.rand(1, 1, 2 * net.receptive_radius + 8, 2 * net.receptive_radius + 8)
    empty = torch.zeros_like(image)
    assert torch.equal(made(net, image, empty, gap(image.shape[-1])), cropped(image, net.receptive_radius))


@pytest.mark.parametrize(
    ("options", "ports", "said"),
    [
        ({}, Ports(), "two masks"),
        ({}, Ports(inputs=(Port(name="mask", meaning="mask"), Port(name="missing"))), "two masks"),
        ({"scale": 2}, GAPS, "scale 2"),
        ({"reach": 21}, GAPS, "reach 21"),
        ({"passes": 0}, GAPS, "passes 0"),
    ],
)
def test_what_it_cannot_do_is_refused(options: dict[str, int], ports: Ports, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Filling(ports=ports, **options)
