import numpy as np
import pytest
import torch

from geomedsr.discriminators import Wavelets, build_discriminator, mixes_images
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
    assert torch.equal(net.score[0](features), features)
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


def kinds(net: torch.nn.Module) -> list[str]:
    """The layers in order, containers left out: what stands between convolutions."""
    return [type(m).__name__ for m in net.modules() if not list(m.children())]


def parameters(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_dcgan_follows_its_guidelines() -> None:
    net = build_discriminator("dcgan", 3, {})
    block = ["Conv2d", "BatchNorm2d", "LeakyReLU"]
    assert kinds(net) == ["Conv2d", "LeakyReLU", *block * 3, "AdaptiveAvgPool2d", "Flatten", "Linear"]
    convolutions = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    assert all((c.stride, c.kernel_size) == ((2, 2), (5, 5)) for c in convolutions)
    strided = 25 * (3 * 128 + 128 * 256 + 256 * 512 + 512 * 1024) + 128
    assert parameters(net) == strided + 2 * (256 + 512 + 1024) + 4 * 4 * 1024 + 1
    features = net.features(torch.rand(2, 3, 64, 64))
    assert features.shape == (2, 1024, 4, 4)  # figure 1 the other way round
    assert torch.equal(net.score[0](features), features)
    assert net(torch.rand(2, 3, 96, 32)).shape == (2, 1)
    assert all(m.negative_slope == 0.2 for m in net.modules() if isinstance(m, torch.nn.LeakyReLU))


def test_patchgan_has_the_papers_layers() -> None:
    net = build_discriminator("patchgan", 3, {})
    block = ["Conv2d", "BatchNorm2d", "LeakyReLU"]
    assert kinds(net) == ["Conv2d", "LeakyReLU", *block * 3, "Conv2d"]
    c64_to_c512 = 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512) + 64
    assert parameters(net) == c64_to_c512 + 2 * (128 + 256 + 512) + 16 * 512 + 1
    deep = build_discriminator("patchgan", 1, {"layers": 5})
    widths = [m.out_channels for m in deep.modules() if isinstance(m, torch.nn.Conv2d)]
    assert widths == [64, 128, 256, 512, 512, 512, 1]  # C64-C128-C256-C512-C512-C512: the 286 × 286 one


@pytest.mark.parametrize(("layers", "reach"), [(1, 16), (2, 34), (3, 70), (4, 142), (5, 286)])
def test_patchgans_logits_see_the_papers_patches(layers: int, reach: int) -> None:
    torch.manual_seed(0)
    options = {"width": 1, "layers": layers, "batch_norm": 0}
    net = build_discriminator("patchgan", 1, options).double()
    side = (reach // 2**layers + 5) * 2**layers
    image = torch.rand(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    logits = net(image)
    assert logits.shape == (1, 1, side // 2**layers - 2, side // 2**layers - 2)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    rows, columns = torch.nonzero(image.grad[0, 0], as_tuple=True)
    assert int(rows.max() - rows.min()) + 1 == int(columns.max() - columns.min()) + 1 == reach


@pytest.mark.parametrize("architecture", ["dcgan", "patchgan"])
def test_weights_begin_small_and_batch_norm_can_be_left_out(architecture: str) -> None:
    torch.manual_seed(0)
    net = build_discriminator(architecture, 1, {"width": 32})
    weights = [m.weight.detach() for m in net.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    for weight in weights:
        assert float(weight.std()) == pytest.approx(0.02, rel=0.15)
    assert mixes_images(architecture, {})
    assert not mixes_images(architecture, {"batch_norm": 0})
    free = build_discriminator(architecture, 1, {"width": 4, "batch_norm": 0})
    convolutions = [m for m in free.modules() if isinstance(m, torch.nn.Conv2d)]
    assert all(c.bias is not None and not c.bias.any() for c in convolutions)
    images = torch.rand(3, 1, 64, 64)
    torch.testing.assert_close(free(images)[:1], free(images[:1]))  # an image's judgement is its own
    mixed = build_discriminator(architecture, 1, {"width": 4})
    assert float((mixed(images)[:1] - mixed(images[:1])).detach().abs().max()) > 1e-4


def test_wavelets_show_details_alone() -> None:
    seen: list[torch.Tensor] = []

    class Discriminator(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return x

    image = torch.rand(1, 2, 8, 9)
    Wavelets(Discriminator(), 2)(image)
    Wavelets(Discriminator(), 2)(image + 3)
    torch.testing.assert_close(seen[0], seen[1], atol=1e-6, rtol=0)  # not how bright it is
    x = image[0].numpy()
    down, across, both = (seen[0][0, k : k + 2].numpy() for k in (0, 2, 4))
    a, b, c, d = x[:, :-1, :-1], x[:, :-1, 1:], x[:, 1:, :-1], x[:, 1:, 1:]
    np.testing.assert_allclose(down[:, :-1, :-1], (a + b - c - d) / 2, atol=1e-6)
    np.testing.assert_allclose(across[:, :-1, :-1], (a + c - b - d) / 2, atol=1e-6)
    np.testing.assert_allclose(both[:, :-1, :-1], a - b - c + d, atol=1e-6)
    means = (a + b + c + d) / 4
    second = seen[0][0, 6:8].numpy()
    expected = (means[:, :-2, :-2] + means[:, :-2, 2:] - means[:, 2:, :-2] - means[:, 2:, 2:]) / 2
    np.testing.assert_allclose(second[:, :-3, :-3], expected, atol=1e-6)


@pytest.mark.parametrize("architecture", ["dcgan", "patchgan", "srgan", "unet"])
def test_every_discriminator_takes_wavelets(architecture: str) -> None:
    options = {"width": 4, "wavelets": 2} | ({"dense": 8} if architecture == "srgan" else {})
    net = build_discriminator(architecture, 2, options).eval()
    plain = build_discriminator(architecture, 12, {k: v for k, v in options.items() if k != "wavelets"}).eval()
    plain.load_state_dict({k.removeprefix("discriminator."): v for k, v in net.state_dict().items()})
    image = torch.rand(2, 2, 64, 64)
    assert net(image).shape == plain(torch.zeros(2, 12, 64, 64)).shape
    torch.testing.assert_close(net(torch.ones_like(image)), plain(torch.zeros(2, 12, 64, 64)))
    with pytest.raises(RecipeError, match="wavelets -1 must be at least 0"):
        build_discriminator(architecture, 2, {**options, "wavelets": -1})


def test_which_discriminators_mix_images() -> None:
    assert mixes_images("srgan", {})
    assert not mixes_images("unet", {})


def test_what_is_no_discriminator_is_refused() -> None:
    with pytest.raises(RecipeError, match="one of dcgan, patchgan, srgan, unet"):
        build_discriminator("patch", 1, {})
    with pytest.raises(RecipeError, match="options it takes"):
        build_discriminator("unet", 1, {"depth": 3})
    with pytest.raises(RecipeError, match="width 0 must be at least 1"):
        build_discriminator("unet", 1, {"width": 0})
    with pytest.raises(RecipeError, match="layers 0 must be at least 1"):
        build_discriminator("patchgan", 1, {"layers": 0})
    with pytest.raises(RecipeError, match="batch_norm 2 0 or 1"):
        build_discriminator("dcgan", 1, {"batch_norm": 2})
