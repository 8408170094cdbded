import pytest
import torch

from geomedsr.discriminators import build_discriminator
from geomedsr.errors import RecipeError


def test_srgans_has_the_papers_layers() -> None:
    net = build_discriminator("srgan", 3, {})
    convolutions = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [(c.out_channels, c.stride[0]) for c in convolutions] == [
        *[(64, 1), (64, 2), (128, 1), (128, 2)],
        *[(256, 1), (256, 2), (512, 1), (512, 2)],
    ]
    assert [m.out_features for m in net.modules() if isinstance(m, torch.nn.Linear)] == [1024, 1]
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules()) == 7
    features = net.features(torch.rand(2, 3, 96, 96))
    assert features.shape == (2, 512, 6, 6)  # as in the paper: nothing is averaged at 96 × 96
    assert torch.equal(net.judge[0](features), features)
    assert net(torch.rand(2, 3, 80, 64)).shape == (2, 1)


def test_unet_bounds_each_layers_gain() -> None:
    torch.manual_seed(0)
    net = build_discriminator("unet", 1, {"width": 8})
    for _ in range(60):  # the power iteration goes a step with each pass
        net(torch.rand(1, 1, 32, 32))
    normalised = [m for m in net.modules() if hasattr(m, "parametrizations")]
    assert len(normalised) == 8
    for layer in normalised:
        top = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        assert float(top) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("size", [(32, 32), (30, 45)])
def test_unet_judges_every_pixel_from_around_it(size: tuple[int, int]) -> None:
    net = build_discriminator("unet", 2, {"width": 4}).eval()
    image = torch.rand(1, 2, *size, requires_grad=True)
    logits = net(image)
    assert logits.shape == (1, 1, *size)
    logits[0, 0, size[0] // 2, size[1] // 2].backward()
    reach = image.grad.abs().sum((0, 1))
    assert float(reach[size[0] // 2, size[1] // 2]) > 0
    assert float(reach[0, 0]) > 0  # down to an eighth and up again: it sees far


def test_what_is_no_discriminator_is_refused() -> None:
    with pytest.raises(RecipeError, match="one of srgan, unet"):
        build_discriminator("patch", 1, {})
    with pytest.raises(RecipeError, match="options it takes"):
        build_discriminator("unet", 1, {"depth": 3})
    with pytest.raises(RecipeError, match="width 0 must be at least 1"):
        build_discriminator("unet", 1, {"width": 0})
