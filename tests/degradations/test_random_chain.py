"""Random chains and the parts that only they are likely to use: blur and resize."""

import math
import pickle

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from geomedsr import Scene
from geomedsr.degradations import JPEG, Blur, DeadPixels, GaussianPSF, PoissonGaussian, RandomChain, Resize, Stripes
from geomedsr.degradations.blur import Ellipse
from geomedsr.degradations.resize import Resampling
from geomedsr.training import Patches

SECOND_ORDER = RandomChain(
    choose=(Blur(), Resize(), PoissonGaussian(), JPEG()), probability=1, shuffle=False, repeat=(2, 2)
)


def test_blur_has_the_covariance_of_its_ellipse() -> None:
    drawn = Ellipse(2.0, 1.0, math.pi / 6)
    impulse = torch.zeros(1, 1, 41, 41, dtype=torch.float64)
    impulse[..., 20, 20] = 1
    spread = Blur().apply(impulse, drawn)[0, 0].numpy()
    y, x = np.mgrid[-20:21, -20:21]
    turn = np.array([[math.cos(math.pi / 6), -math.sin(math.pi / 6)], [math.sin(math.pi / 6), math.cos(math.pi / 6)]])
    sigma = turn @ np.diag([4.0, 1.0]) @ turn.T
    assert spread.sum() == pytest.approx(1)
    moments = [(spread * a * b).sum() for a, b in ((x, x), (x, y), (y, y))]
    assert moments == pytest.approx([sigma[0, 0], sigma[0, 1], sigma[1, 1]], rel=0.01)
    for row, col in ((0, 1), (2, 1), (-3, 2)):
        at = np.array([col, row])
        assert spread[20 + row, 20 + col] / spread[20, 20] == pytest.approx(
            math.exp(-0.5 * at @ np.linalg.inv(sigma) @ at)
        )


def test_blur_keeps_flat_images_even_those_smaller_than_itself() -> None:
    for side in (1, 2, 30):
        flat = torch.full((1, 3, side, side), 0.7)
        torch.testing.assert_close(Blur().apply(flat, Ellipse(3, 2, 0.4)), flat)


def test_resize_there_and_back_by_hand() -> None:
    image = torch.tensor([[0.0, 2, 4, 6], [2, 4, 6, 8], [1, 1, 5, 5], [3, 3, 7, 7]])[None, None]
    out = Resize().apply(image, Resampling(0.5, "area", "area"))
    expected = torch.tensor([[2.0, 2, 6, 6], [2, 2, 6, 6], [2, 2, 6, 6], [2, 2, 6, 6]])[None, None]
    torch.testing.assert_close(out, expected)
    plane = (torch.arange(24.0)[:, None] + 2 * torch.arange(32.0))[None, None]
    for there in ("bilinear", "bicubic"):
        out = Resize().apply(plane, Resampling(0.5, there, "bilinear"))  # type: ignore[arg-type]
        torch.testing.assert_close(out[..., 8:-8, 8:-8], plane[..., 8:-8, 8:-8], atol=2e-3, rtol=0)
    larger = Resize().apply(plane, Resampling(2.0, "area", "area"))
    torch.testing.assert_close(larger, plane)


def test_second_order_is_each_part_twice_in_order() -> None:
    drawn = SECOND_ORDER.draw(np.random.default_rng(0))
    assert [pick for pick, _ in drawn] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert drawn[0] != drawn[4]
    image = torch.rand(1, 1, 24, 24)
    by_hand = image
    for part, (_, parameters) in zip((*SECOND_ORDER.choose, *SECOND_ORDER.choose), drawn, strict=True):
        by_hand = part.apply(by_hand, parameters)  # type: ignore[arg-type]
    assert torch.equal(SECOND_ORDER.apply(image, drawn), by_hand)
    assert float((by_hand - image).abs().mean()) > 0.02


def test_what_takes_part_how_often_and_in_which_order() -> None:
    rng = np.random.default_rng(1)
    part = RandomChain(choose=(DeadPixels(), Stripes(), JPEG()), probability=0.3, repeat=(0, 2))
    draws = [[pick for pick, _ in part.draw(rng)] for _ in range(2000)]
    assert np.mean([len(picks) for picks in draws]) == pytest.approx(0.3 * 3 * 1, abs=0.06)
    counts = np.bincount(np.concatenate([np.array(picks, int) for picks in draws]), minlength=3)
    assert counts == pytest.approx(np.full(3, 600), abs=100)
    every = RandomChain(choose=(DeadPixels(), Stripes(), JPEG()), probability=1)
    orders = [tuple(pick for pick, _ in every.draw(rng)) for _ in range(600)]
    assert len(set(orders)) == 6
    assert all(orders.count(order) == pytest.approx(100, abs=40) for order in set(orders))
    assert RandomChain(choose=(JPEG(),), probability=0).draw(rng) == ()


def test_patches_with_a_random_chain_are_a_function_of_seed_and_index() -> None:
    array = np.random.default_rng(0).integers(300, 4000, (1, 64, 64)).astype("uint16")
    patches = Patches([Scene.from_array(array)], 32, 2, (GaussianPSF(), SECOND_ORDER), seed=1)
    first = patches[5]
    again = pickle.loads(pickle.dumps(patches))[5]
    assert all(torch.equal(one, other) for one, other in zip(first.values(), again.values(), strict=True))
    assert not torch.equal(
        first["image"], Patches([Scene.from_array(array)], 32, 2, (GaussianPSF(),), seed=1)[5]["image"]
    )


def test_what_a_random_chain_refuses() -> None:
    for wrong in ({"choose": ()}, {"choose": (JPEG(),), "repeat": (3, 2)}, {"choose": (JPEG(),), "probability": 2}):
        with pytest.raises(ValidationError):
            RandomChain(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="random"):
        RandomChain.model_validate({"choose": [{"kind": "random", "choose": [{"kind": "jpeg"}]}]})
    with pytest.raises(ValidationError, match=r"0\.1 <= low"):
        Resize(factor=(0.0, 1.0))
    with pytest.raises(ValidationError, match=r"0\.05 <= low"):
        Blur(sigma=(1.0, 0.5))
