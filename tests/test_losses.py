"""Each loss against a value worked out by hand, or its published formula."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from geomedsr import operators
from geomedsr.losses import L1, MSE, AnyLoss, Consistency, Perceptual, Relativistic, Sample, Vanilla
from geomedsr.models.vgg19 import LAYERS, VGG19

BLOCK = operators.get("block-mean")


def sample(guess: torch.Tensor, hr: torch.Tensor, coarse: torch.Tensor | None = None) -> Sample:
    coarse = BLOCK.down(hr, 2) if coarse is None else coarse
    return Sample.of(guess, hr, coarse, BLOCK, 2)


HR = torch.tensor([[[[0.0, 2.0], [4.0, 2.0]]]])  # mean 2
GUESS = torch.tensor([[[[3.0, 3.0], [3.0, 7.0]]]])  # mean 4; projected 1 1 1 5


def test_content_losses_see_the_projected_guess() -> None:
    made = sample(GUESS, HR)
    assert made.sr.ravel().tolist() == [1, 1, 1, 5]
    assert float(L1()(made)) == (1 + 1 + 3 + 3) / 4
    assert float(MSE()(made)) == (1 + 1 + 9 + 9) / 4


def test_consistency_sees_what_projection_hides() -> None:
    assert float(Consistency()(sample(GUESS, HR))) == (4 - 2) ** 2
    whole = replace(sample(GUESS, HR), operator=operators.get("k-space-crop"))
    assert float(Consistency()(whole)) == 0
    free = Sample.of(GUESS, HR, HR[..., :1, :1], operators.get("none"), 2)
    assert torch.equal(free.sr, GUESS)
    assert float(Consistency()(free)) == 0


def logits(real: list[float], fake: list[float]) -> Sample:
    return replace(sample(GUESS, HR), real=torch.tensor(real), fake=torch.tensor(fake))


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def test_vanilla_is_the_published_formula() -> None:
    made = logits([2.0, 0.0], [-1.0, 3.0])
    generator = -(np.log(sigmoid(-1)) + np.log(sigmoid(3))) / 2
    assert float(Vanilla()(made)) == pytest.approx(generator, rel=1e-6)
    judge = -(np.log(sigmoid(2)) + np.log(sigmoid(0))) / 2 - (np.log(1 - sigmoid(-1)) + np.log(1 - sigmoid(3))) / 2
    assert float(Vanilla().discriminator(made.real, made.fake)) == pytest.approx(judge, rel=1e-6)


def test_relativistic_is_the_published_formula() -> None:
    made = logits([2.0, 0.0], [-1.0, 3.0])  # means 1 and 1

    def one_sided(first: list[float], mean_of_second: float, target: int) -> float:
        p = np.array([sigmoid(v - mean_of_second) for v in first])
        return float(-np.log(p if target else 1 - p).mean())

    judge = one_sided([2, 0], 1, 1) + one_sided([-1, 3], 1, 0)
    generator = one_sided([2, 0], 1, 0) + one_sided([-1, 3], 1, 1)
    assert float(Relativistic().discriminator(made.real, made.fake)) == pytest.approx(judge, rel=1e-6)
    assert float(Relativistic()(made)) == pytest.approx(generator, rel=1e-6)


@pytest.fixture
def vgg(monkeypatch: pytest.MonkeyPatch) -> VGG19:
    """Random weights: what is tested here is what is done with the maps."""
    torch.manual_seed(0)
    net = VGG19(bgr_255=False).eval().requires_grad_(False)
    monkeypatch.setattr("geomedsr.losses.perceptual.load_vgg19", lambda file, device: net)
    return net


@pytest.mark.parametrize("activated", [False, True])
def test_perceptual_is_the_weighted_squared_distance_of_maps(vgg: VGG19, activated: bool) -> None:
    torch.manual_seed(1)
    hr, guess = torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32)
    made = sample(guess, hr)
    loss = Perceptual(layers={"VGG22": 2.0, "VGG34": 0.5}, activated=activated, relative=False)
    expected = 0.0
    for name, weight in loss.layers.items():
        one, other = (stretched_maps(vgg, image, hr, name, activated) for image in (made.sr, hr))
        expected += weight * float((one - other).square().mean())
    assert float(loss(made)) == pytest.approx(expected, rel=1e-4)
    relative = Perceptual(layers={"VGG22": 1.0}, activated=activated)
    one, other = (stretched_maps(vgg, image, hr, "VGG22", activated) for image in (made.sr, hr))
    assert float(relative(made)) == pytest.approx(float((one - other).square().mean() / other.var()), rel=1e-4)


def stretched_maps(net: VGG19, image: torch.Tensor, hr: torch.Tensor, layer: str, activated: bool) -> torch.Tensor:
    """By another way: numpy's percentiles, torchvision's layout."""
    low, high = (torch.tensor(np.percentile(hr.numpy(), q, axis=(2, 3), keepdims=True)).float() for q in (0.5, 99.5))
    x = ((image - low) / (high - low)).repeat(1, 3, 1, 1)
    x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    for name, convolution in zip(LAYERS, net.convolutions, strict=True):
        x = convolution(torch.nn.functional.max_pool2d(x, 2) if name in ("VGG21", "VGG31", "VGG41", "VGG51") else x)
        if name == layer:
            return x.relu() if activated else x
        x = x.relu()
    raise AssertionError


def test_perceptual_pulls_the_guess_towards_the_truth(vgg: VGG19) -> None:
    torch.manual_seed(1)
    hr = torch.rand(1, 1, 32, 32)
    guess = (hr + 0.3 * torch.randn_like(hr)).requires_grad_()
    loss = Perceptual(layers={"VGG22": 1.0})
    before = loss(sample(guess, hr))
    before.backward()
    with torch.no_grad():
        after = loss(sample(guess - 0.02 * guess.grad / guess.grad.abs().max(), hr))
    assert after < before
    assert float(loss(sample(hr, hr))) == 0


def test_a_loss_is_told_by_its_kind_and_refuses_what_it_does_not_know() -> None:
    read = TypeAdapter(AnyLoss).validate_python
    assert read({"kind": "mse", "weight": 2}) == MSE(weight=2)
    for wrong in (
        {"kind": "ssim"},
        {"kind": "l1", "layers": {}},
        {"kind": "l1", "weight": -1},
        {"kind": "l1", "weight": "x"},
    ):
        with pytest.raises(ValidationError):
            read(wrong)
