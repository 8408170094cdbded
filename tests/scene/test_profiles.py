"""The profile of a series' slices: from headers, from the series itself, and as the user says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from geomedsr import Grid, Scene
from geomedsr.errors import InputError
from geomedsr.geometry.grid import Plane
from geomedsr.geometry.profile import Profile
from geomedsr.scene.profiles import apart, estimated, stated, with_profile

FACTOR, SIDE = 5, 72


def blobs() -> np.ndarray:
    """An isotropic volume of soft blobs, float32 ``(150, 72, 72)``."""
    torch.manual_seed(0)
    noise = torch.randn(1, 1, 150 + 40, SIDE + 40, SIDE + 40)
    kernel = torch.exp(-(torch.arange(-12, 13) ** 2) / (2 * 4.0**2))
    for axis in (2, 3, 4):
        shape = [1] * 5
        shape[axis] = 25
        noise = torch.nn.functional.conv3d(noise, (kernel / kernel.sum()).reshape(shape))
    found = noise[0, 0, 8:158, 8 : 8 + SIDE, 8 : 8 + SIDE].numpy()
    return (found - found.min()) / np.ptp(found)


@pytest.fixture(scope="module")
def isotropic() -> np.ndarray:
    return blobs()


def thick(values: np.ndarray, profile: Profile, thickness: float | None = None, domain: str = "CT") -> Scene:
    weights = profile.weights(FACTOR)
    starts = range(0, len(values) - len(weights) + 1, FACTOR)
    slices = np.stack([np.tensordot(weights, values[at : at + len(weights)], 1) for at in starts])
    planes = tuple(
        Plane((0, 0, float(FACTOR * i)), (1, 0, 0), (0, 1, 0), (1, 1), thickness) for i in range(len(slices))
    )
    made = (1000 * slices[:, None]).astype(np.int16)
    grid = Grid(values.shape[1:], planes=planes)  # type: ignore[arg-type]
    return Scene.from_array(made, grid=grid, domain=domain).with_range(0, 1000)


@pytest.mark.parametrize("width", [0, 1.0, 1.2])
def test_the_series_itself_tells_its_profile(isotropic: np.ndarray, width: float) -> None:
    found = estimated(thick(isotropic, Profile(width)))
    assert found is not None
    assert found.origin == "estimated"
    if width:
        assert found.width == pytest.approx(width, abs=0.1)
    else:
        assert found.box


def test_small_series_tell_nothing(isotropic: np.ndarray) -> None:
    assert estimated(thick(isotropic[:55], Profile())) is None
    assert estimated(thick(isotropic[:, :30], Profile())) is None
    assert estimated(Scene.from_array(np.zeros((20, 20), np.int16))) is None


def test_headers_tell_the_width_of_ct_and_boxes_of_mr(isotropic: np.ndarray) -> None:
    ct = thick(isotropic, Profile(), 4.5)
    assert apart(ct) == FACTOR
    assert stated(ct) == Profile(0.9)
    assert stated(thick(isotropic, Profile(), 4.5, "MR")) == Profile()
    assert stated(thick(isotropic, Profile(), 1.0)) is None  # gaps
    assert stated(thick(isotropic, Profile())) is None


def test_what_the_user_says_comes_first_then_the_header_then_the_estimate(isotropic: np.ndarray) -> None:
    scene = thick(isotropic, Profile(1.0), 4.5)
    for asked, width, origin in (
        ("box", 0.0, "given"),
        ("5.5", 1.1, "given"),
        (4.0, 0.8, "given"),
        ("header", 0.9, "header"),
        (None, 0.9, "header"),
    ):
        found = with_profile(scene, asked).profile
        assert found is not None
        assert (found.width, found.origin) == (pytest.approx(width), origin)
    told = with_profile(thick(isotropic, Profile(1.0)), None).profile
    assert told is not None
    assert told.origin == "estimated"
    assumed = with_profile(thick(isotropic[:40], Profile()), None).profile
    assert (assumed, assumed and assumed.origin) == (Profile(), "assumed")
    with pytest.raises(InputError, match="whose header tells no such thickness"):
        with_profile(thick(isotropic, Profile()), "header")


def test_an_estimate_does_not_depend_on_contrast(isotropic: np.ndarray) -> None:
    scene = thick(isotropic, Profile(1.0))
    other = replace(scene, source=Scene.from_array(scene.data.values // 2 + 100).source).with_range(0, 1000)
    one, two = estimated(scene), estimated(other)
    assert one is not None
    assert two is not None
    assert one.width == pytest.approx(two.width, abs=0.05)
