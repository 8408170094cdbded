"""Each loss against a value worked out by hand, or its published formula."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from geomedsr import operators
from geomedsr.losses import (
    L1,
    LDL,
    MSE,
    AnyLoss,
    Charbonnier,
    Consistency,
    FourierAmplitude,
    Gradient,
    LeastSquares,
    LogMSE,
    Perceptual,
    Relativistic,
    Sample,
    SpectralAngle,
    Stationarity,
    TotalVariation,
    Vanilla,
    Wasserstein,
)
from geomedsr.models.vgg19 import LAYERS, VGG19

BLOCK = operators.get("block-mean")


def sample(prediction: torch.Tensor, hr: torch.Tensor, coarse: torch.Tensor | None = None) -> Sample:
    coarse = BLOCK.forward(hr, 2) if coarse is None else coarse
    return Sample.of(prediction, hr, coarse, BLOCK, 2)


HR = torch.tensor([[[[0.0, 2.0], [4.0, 2.0]]]])  # mean 2
PREDICTION = torch.tensor([[[[3.0, 3.0], [3.0, 7.0]]]])  # mean 4; projected 1 1 1 5


def test_content_losses_see_the_projected_prediction() -> None:
    made = sample(PREDICTION, HR)
    assert made.sr.ravel().tolist() == [1, 1, 1, 5]
    assert float(L1()(made)) == (1 + 1 + 3 + 3) / 4
    assert float(MSE()(made)) == (1 + 1 + 9 + 9) / 4


def test_stationarity_compares_steps_at_borders_with_those_inside() -> None:
    row = torch.tensor([0.0, 1, 4, 5])  # 2 fine pixels a pixel: steps of 1 inside, 3 across the border
    across = row.expand(1, 1, 4, 4)
    term = ((3 - 1) / (2 + 0.5)) ** 2
    loss = Stationarity(window=1, floor=0.5)
    assert float(loss(free(across, across, 2))) == pytest.approx(term)  # down there are no steps
    assert float(loss(free(across.mT, across, 2))) == pytest.approx(term)
    assert float(loss(free(across + across.mT, across, 2))) == pytest.approx(2 * term)
    assert float(loss(free(across * 100, across, 2))) == pytest.approx((200 / 200.5) ** 2)
    assert float(loss(free(2 * row[:2].expand(1, 1, 2, 2), across, 2))) == 0  # no border is seen


def test_stationarity_is_of_windows_and_none_in_a_slope() -> None:
    left, right = [0.0, 1, 4, 5, 8], [11.0, 12, 15]  # across 1 3 1 3 3 1 3 1: a shift half-way
    calm = torch.tensor(left + right[:1]).expand(1, 1, 2, 6)
    expected = [((3 - 1) / 2.01) ** 2, ((3 - 1) / 2.01) ** 2]
    assert float(Stationarity(window=1)(free(calm, calm, 2))) == pytest.approx(sum(expected) / 2)
    mixed = torch.tensor([0.0, 1, 4, 7, 8, 9]).expand(1, 1, 4, 6)  # 1 3 | 3 1: alike on the whole, not in each
    assert float(Stationarity(window=1)(free(mixed, mixed, 2))) == pytest.approx((2 / 2.01) ** 2)
    assert float(Stationarity(window=4)(free(mixed, mixed, 2))) == 0
    slope = torch.arange(16.0).expand(1, 1, 8, 16)
    assert float(Stationarity()(free(slope, slope, 4))) == 0


def test_stationarity_of_slices_is_along_them() -> None:
    rows = torch.tensor([0.0, 1, 4, 5, 8, 9]).expand(4, 6).T  # 2 new slices from each of 3
    planes = rows.reshape(3, 2, 4).transpose(0, 1)[None]
    made = replace(free(planes, planes, 1), slices=2)
    assert float(Stationarity(window=1, floor=0.5)(made)) == pytest.approx(((3 - 1) / (2 + 0.5)) ** 2)
    slope = torch.arange(12.0).reshape(1, 3, 4, 1).expand(1, 3, 4, 8).transpose(1, 2)
    ramp = replace(free(slope, slope, 1), slices=4)
    assert float(Stationarity()(ramp)) == 0


def test_ldl_weighs_errors_by_their_restlessness() -> None:
    hr, slow = torch.rand(2, 1, 16, 18), torch.rand(2, 1, 16, 18)
    made = torch.rand(2, 1, 16, 18, requires_grad=True)
    given = Sample(made, made, hr, BLOCK.forward(hr, 2), BLOCK, 2, average=slow)
    own, other = ((hr - x).abs()[:, 0].detach().numpy() for x in (made, slow))
    total = 0.0
    for image, beside, whole in zip(own, other, own.var((1, 2), ddof=1) ** 0.2, strict=True):
        around = np.pad(image, 3, mode="reflect")
        for row, col in np.ndindex(image.shape):
            local = around[row : row + 7, col : col + 7].var(ddof=1)
            total += image[row, col] * (0 if image[row, col] < beside[row, col] else whole * local)
    value = LDL()(given)
    assert float(value.detach()) == pytest.approx(total / own.size, rel=1e-5)
    value.backward()
    at = np.unravel_index(np.argmax(own - other), own.shape)
    far = made.grad[at[0], 0, at[1], at[2]]
    assert float(far) != 0  # and that way which lessens the error
    assert torch.sign(far) == torch.sign((made - hr).detach()[at[0], 0, at[1], at[2]])
    assert (made.grad[:, 0].numpy()[own < other] == 0).all()


def test_log_mse_is_the_mean_over_images_in_decibels() -> None:
    hr = torch.zeros(2, 1, 2, 2)
    made = torch.tensor([0.1, 0.001]).reshape(2, 1, 1, 1) * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    assert float(LogMSE(floor=1e-12)(free(made, hr))) == pytest.approx((-20 - 60) / 2, abs=1e-4)
    assert float(LogMSE()(free(hr, hr))) == pytest.approx(-50)
    assert float(LogMSE(floor=1e-6)(free(made[1:], hr[1:]))) == pytest.approx(10 * np.log10(2e-6), abs=1e-4)


def test_consistency_sees_what_projection_hides() -> None:
    assert float(Consistency()(sample(PREDICTION, HR))) == (4 - 2) ** 2
    whole = replace(sample(PREDICTION, HR), operator=operators.get("k-space-crop"))
    assert float(Consistency()(whole)) == 0
    free = Sample.of(PREDICTION, HR, HR[..., :1, :1], operators.get("none"), 2)
    assert torch.equal(free.sr, PREDICTION)
    assert float(Consistency()(free)) == 0


def free(prediction: torch.Tensor, hr: torch.Tensor, scale: int = 1) -> Sample:
    """A sample that nothing is projected in."""
    return Sample.of(prediction, hr, hr, operators.get("none"), scale)


def test_charbonnier_rounds_the_tip_of_the_absolute() -> None:
    made = sample(PREDICTION, HR)  # differences 1, 1, 3, 3
    assert float(Charbonnier(epsilon=0.75)(made)) == pytest.approx((2 * 1.25 + 2 * np.sqrt(9.5625)) / 4, rel=1e-6)
    assert float(Charbonnier()(sample(HR, HR))) == pytest.approx(1e-3)  # its least value is ε


def test_gradient_compares_absolute_differences_of_neighbours() -> None:
    made = sample(PREDICTION, HR)
    across = (abs(0 - 2) + abs(4 - 2)) / 2  # |∂x|: 0, 4 of the prediction, 2, 2 of the truth
    down = (abs(0 - 4) + abs(4 - 0)) / 2
    assert float(Gradient()(made)) == across + down
    assert float(Gradient()(free(5 - HR, HR))) == 0  # neither sign nor level


def test_total_variation_is_the_mean_length_of_the_gradient() -> None:
    prediction = torch.tensor([[[[0.0, 3.0], [4.0, 3.0]]]])  # (3, 4) at the first pixel; (0, 0), (−1, 0), (0, 0)
    assert float(TotalVariation()(free(prediction, HR))) == (5 + 0 + 1 + 0) / 4
    flat = torch.full((1, 2, 4, 4), 0.3, requires_grad=True)
    loss = TotalVariation()(free(flat, torch.rand(1, 2, 4, 4)))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(flat.grad, torch.zeros_like(flat))


def test_fourier_amplitude_is_the_published_formula() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random((2, 2, 3, 4, 6))

    def amplitudes(images: np.ndarray) -> np.ndarray:
        """The sums written out: window, transform, length."""
        y, x = np.arange(4), np.arange(6)
        window = np.outer(np.sin(np.pi * y / 4) ** 2, np.sin(np.pi * x / 6) ** 2)
        rows = np.exp(-2j * np.pi * np.outer(y, y) / 4)
        columns = np.exp(-2j * np.pi * np.outer(x, x) / 6)
        return np.abs(rows @ (images * window) @ columns) / np.sqrt(24)

    expected = np.abs(amplitudes(one) - amplitudes(other)).mean()
    made = free(torch.from_numpy(one).float(), torch.from_numpy(other).float())
    assert float(FourierAmplitude()(made)) == pytest.approx(expected, rel=1e-5)


def test_fourier_amplitude_counts_noise_alike_in_patches_of_any_size_and_has_finite_slopes() -> None:
    torch.manual_seed(0)
    values = [float(FourierAmplitude()(free(torch.randn(8, 1, n, n), torch.zeros(8, 1, n, n)))) for n in (32, 128)]
    assert values[0] == pytest.approx(values[1], rel=0.05)
    black = torch.zeros(1, 1, 8, 8, requires_grad=True)
    FourierAmplitude()(free(black, torch.rand(1, 1, 8, 8))).backward()
    assert black.grad.isfinite().all()


def spectra(*pixels: tuple[float, ...]) -> torch.Tensor:
    """Pixels side by side, ``(1, bands, 1, n)``."""
    return torch.tensor(pixels).T[None, :, None]


def test_spectral_angle_is_the_mean_angle_in_radians() -> None:
    made = spectra((1.0, 0.0), (1.0, 0.0), (3.0, 4.0), (1.0, 1.0), (0.0, 0.0))
    real = spectra((1.0, 1.0), (0.0, 2.0), (6.0, 8.0), (-1.0, -1.0), (1.0, 1.0))
    angle = float(SpectralAngle()(free(made, real)))
    assert angle == pytest.approx((np.pi / 4 + np.pi / 2 + 0 + np.pi + 0) / 5, rel=1e-6)


def test_spectral_angle_is_the_published_formula_and_exact_where_arccos_is_not() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 2, 5, 6, 7))
    cosine = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    made = free(torch.from_numpy(one).float(), torch.from_numpy(other).float())
    assert float(SpectralAngle()(made)) == pytest.approx(float(np.arccos(cosine).mean()), rel=1e-5)
    near = free(spectra((1.0, 1e-4)), spectra((1.0, 0.0)))  # a cosine of 1 in float32
    assert float(SpectralAngle()(near)) == pytest.approx(1e-4, rel=1e-4)


def test_spectral_angle_has_finite_slopes_everywhere() -> None:
    made = spectra((1.0, 2.0), (0.0, 0.0), (0.0, 0.0), (1.0, 1.0), (1e-20, 0.0), (-1.0, -2.0))
    real = spectra((1.0, 2.0), (0.0, 0.0), (1.0, 1.0), (0.0, 0.0), (1.0, 1.0), (1.0, 2.0))
    made.requires_grad_()
    SpectralAngle()(free(made, real)).backward()
    assert made.grad.isfinite().all()
    assert float(made.grad.abs().max()) < 1
    black = torch.zeros(1, 3, 2, 2, requires_grad=True)  # no pixel has a direction
    loss = SpectralAngle()(free(black, torch.zeros(1, 3, 2, 2)))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(black.grad, torch.zeros_like(black))


def logits(real: list[float], fake: list[float]) -> Sample:
    return replace(sample(PREDICTION, HR), real=torch.tensor(real), fake=torch.tensor(fake))


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


def test_least_squares_is_the_published_formula() -> None:
    made = logits([2.0, 0.0], [-1.0, 3.0])
    assert float(LeastSquares()(made)) == (2**2 + 2**2) / 2 / 2
    assert float(LeastSquares().discriminator(made.real, made.fake)) == (1 + 1) / 2 / 2 + (1 + 9) / 2 / 2
    perfect = logits([1.0, 1.0], [0.0, 0.0])
    assert float(LeastSquares().discriminator(perfect.real, perfect.fake)) == 0


def test_wasserstein_is_the_published_formula() -> None:
    made = logits([2.0, 1.0], [-1.0, 4.0])
    assert float(Wasserstein()(made)) == -1.5
    assert float(Wasserstein().discriminator(made.real, made.fake)) == 1.5 - 1.5
    assert float(Wasserstein().discriminator(made.real, -made.fake)) == -1.5 - 1.5


class Slope(torch.nn.Module):
    """``D(x) = w · x``, whose slope is w everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor([3.0, 4.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ self.w[:, None]


def test_the_penalty_of_a_line_is_known() -> None:
    judge, images = Slope(), torch.rand(4, 1, 1, 2)
    penalty = Wasserstein().gradient_penalty(judge, images, torch.rand(4, 1, 1, 2), torch.rand(4))
    penalty.backward()
    assert penalty.item() == pytest.approx(10 * (5 - 1) ** 2)
    torch.testing.assert_close(judge.w.grad, 2 * 10 * (5 - 1) * torch.tensor([0.6, 0.8]))
    assert float(Vanilla().gradient_penalty(judge, images, images, torch.rand(4))) == 0


class Bowl(torch.nn.Module):
    """``‖x‖² / 2``, whose slope is x, as two judgements whose mean that is."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        half = x.flatten(1).square().sum(1, keepdim=True) / 2
        return torch.cat((half - 7, half + 7), 1)


def test_the_penalty_is_taken_between_real_and_made_for_each_image() -> None:
    hr, sr = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([[0.0, 0.0], [0.0, 6.0]])
    images = (hr.reshape(2, 1, 1, 2), sr.reshape(2, 1, 1, 2))
    # Half of (3, 4) has the length 2.5; a quarter of (0, 2) and three of (0, 6) that of 5.
    penalty = Wasserstein(penalty=2).gradient_penalty(Bowl(), *images, torch.tensor([0.5, 0.25]))
    assert penalty.item() == pytest.approx(2 * (1.5**2 + 4**2) / 2)
    flat = Wasserstein().gradient_penalty(Bowl(), torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), torch.zeros(1))
    assert flat.item() == 10  # a slope of 0 is as wrong as one of 2, and is finite


def test_the_penalty_is_float32_whatever_autocast_says() -> None:
    torch.manual_seed(0)
    judge = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.LeakyReLU(0.2), torch.nn.Conv2d(4, 1, 3))
    given = (judge, torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8), torch.rand(2))
    alone = Wasserstein().gradient_penalty(*given)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(Wasserstein().gradient_penalty(*given), alone)


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
    hr, prediction = torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32)
    made = sample(prediction, hr)
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


def test_perceptual_pulls_the_prediction_towards_the_truth(vgg: VGG19) -> None:
    torch.manual_seed(1)
    hr = torch.rand(1, 1, 32, 32)
    prediction = (hr + 0.3 * torch.randn_like(hr)).requires_grad_()
    loss = Perceptual(layers={"VGG22": 1.0})
    before = loss(sample(prediction, hr))
    before.backward()
    with torch.no_grad():
        after = loss(sample(prediction - 0.02 * prediction.grad / prediction.grad.abs().max(), hr))
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
