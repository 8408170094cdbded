import pytest
import torch
import torch.nn.functional as F

from geomedsr.models.compact import Compact
from geomedsr.models.interpolation import BicubicSkip, keys_cubic
from geomedsr.models.receptive_field import radius


@pytest.mark.parametrize(("blocks", "channels", "scale"), [(1, 1, 4), (3, 2, 2), (0, 1, 3)])
def test_the_receptive_radius_is_what_gradients_reach(blocks: int, channels: int, scale: int) -> None:
    torch.manual_seed(0)
    net = Compact(scale, channels, width=6, blocks=blocks).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.rand_like(parameter))  # all positive: nothing cancels, every ReLU passes
    size = 2 * net.receptive_radius + 9
    x = torch.rand(1, channels, size, size, dtype=torch.float64, requires_grad=True)
    middle = size // 2
    net(x)[..., middle * scale : (middle + 1) * scale, middle * scale : (middle + 1) * scale].sum().backward()
    rows = x.grad[0, 0].abs().sum(1).nonzero().ravel()
    cols = x.grad[0, 0].abs().sum(0).nonzero().ravel()
    reach = net.receptive_radius
    assert (int(rows.min()), int(rows.max())) == (middle - reach, middle + reach)
    assert (int(cols.min()), int(cols.max())) == (middle - reach, middle + reach)


def test_radius_adds_kernels_and_dilations() -> None:
    layers = [torch.nn.Conv2d(1, 1, 9), torch.nn.ReLU(), torch.nn.Conv2d(1, 1, 3, dilation=2), torch.nn.Conv2d(1, 1, 1)]
    assert radius(layers) == 4 + 2


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_the_skip_is_bicubic_interpolation(scale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.rand(2, 3, 12, 9)
    monkeypatch.setattr("geomedsr.models.interpolation.keys_cubic", lambda d: keys_cubic(d, a=-0.75))  # torch's
    ours = BicubicSkip(scale)(x)
    torchs = F.interpolate(x, scale_factor=scale, mode="bicubic", align_corners=False)
    torch.testing.assert_close(ours, torchs, atol=2e-6, rtol=0)


def test_keys_kernel_reproduces_quadratics() -> None:
    x = torch.arange(12.0, dtype=torch.float64)
    skip = BicubicSkip(4).double()
    fine = skip((x**2).reshape(1, 1, 1, 12).expand(1, 1, 12, 12))[0, 0, 20]
    where = (torch.arange(48, dtype=torch.float64) + 0.5) / 4 - 0.5
    torch.testing.assert_close(fine[12:-12], where[12:-12] ** 2, atol=1e-5, rtol=0)


def test_a_new_generator_is_exactly_bicubic() -> None:
    x = torch.randn(1, 2, 8, 8)
    net = Compact(4, channels=2, width=8, blocks=1)
    assert torch.equal(net(x), net.skip(x))
    assert net(x).shape == (1, 2, 32, 32)
