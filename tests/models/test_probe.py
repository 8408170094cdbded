"""What running a network tells of it, beside what its layers tell."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from geomedsr.models.compact import Compact
from geomedsr.models.probe import peak_memory, probed_radius, tiles_exactly
from geomedsr.models.rrdb import RRDBNet
from geomedsr.models.srresnet import SRResNet


@pytest.mark.parametrize(
    ("net", "scale"),
    [
        (Compact(4, 3, width=4, blocks=3), 4),
        (Compact(3, 1, width=4, blocks=0), 3),
        (RRDBNet(2, 3, width=4, growth=2, blocks=1), 2),
        (SRResNet(4, 1, width=4, blocks=2), 4),
    ],
)
def test_the_probe_finds_the_radius_that_the_layers_tell(net: nn.Module, scale: int) -> None:
    channels = next(p.shape[1] for p in net.parameters() if p.ndim == 4)
    with torch.inference_mode():
        found = probed_radius(net.eval(), channels, scale, most=40)
        assert found == net.receptive_radius
        assert tiles_exactly(net, channels, scale, found)


def test_radii_by_hand() -> None:
    wide = nn.Conv2d(1, 1, (1, 5), padding=(0, 4), dilation=2)  # 2 taps of 2 pixels on each side, across
    aside = nn.Sequential(nn.ZeroPad2d((6, 0, 0, 0)), nn.Conv2d(1, 1, (1, 7)))  # six pixels to the left alone
    for net, radius in ((wide, 4), (aside, 6), (nn.Sequential(wide, aside), 10), (nn.Conv2d(1, 1, 1), 0)):
        assert probed_radius(net, 1, 1, most=20) == radius
    assert probed_radius(wide, 1, 1, most=4) == 4
    assert probed_radius(wide, 1, 1, most=3) is None
    zero = nn.Conv2d(1, 1, 3, padding=1)
    nn.init.zeros_(zero.weight)  # what it was trained to is not asked
    assert probed_radius(zero, 1, 1, most=3) == 1


def test_what_is_not_alike_everywhere_has_no_radius() -> None:
    def averaged(x: torch.Tensor) -> torch.Tensor:
        return x + x.mean((2, 3), keepdim=True)

    def windows(x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(F.avg_pool2d(x, 4, ceil_mode=True), scale_factor=4)[..., : x.shape[2], : x.shape[3]]

    def shuffled(x: torch.Tensor) -> torch.Tensor:
        even = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        fine = F.pixel_shuffle(F.pixel_unshuffle(even, 2) * torch.tensor([1, 2, 3, 4]).view(1, 4, 1, 1), 2)
        return F.avg_pool2d(fine, 3, 1, 1)[..., : x.shape[2], : x.shape[3]]

    assert probed_radius(averaged, 1, 1, most=20) is None
    assert probed_radius(windows, 1, 1, most=20) is None
    assert probed_radius(lambda x: torch.nan_to_num(x), 1, 1, most=20) is None
    assert probed_radius(shuffled, 1, 1, most=20) == 1  # by where it reaches
    assert not tiles_exactly(shuffled, 1, 1, 1)  # but not by what it computes there


def test_a_radius_too_small_shows() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 5, padding=2), nn.Conv2d(4, 4, 3, padding=1), nn.PixelShuffle(2))
    with torch.inference_mode():
        assert tiles_exactly(net, 1, 2, 3)
        assert not tiles_exactly(net, 1, 2, 2)


def test_memory_is_what_lives_at_once() -> None:
    image = torch.zeros(1, 1, 10, 10)
    fine, held = peak_memory(lambda x: ((x + 1) * 2).repeat(1, 3, 1, 1), image)
    assert float(fine.mean()) == 2
    assert held == 100 + 300  # x + 1 is gone when the copies are made
    layers = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 3, padding=1))
    with torch.inference_mode():
        assert peak_memory(layers, image)[1] == 2 * 800
        layers[1] = nn.ReLU(inplace=True)
        assert peak_memory(layers, image)[1] == 800 + 200
