import numpy as np
import pytest

import geomedsr
from geomedsr.errors import InputError
from geomedsr.scene.scene import Band, Scene
from geomedsr.viewing.stretch import limits, shades


def ramp(**more: object) -> Scene:
    return Scene.from_array(np.arange(10_000, dtype=np.uint16).reshape(1, 100, 100), **more)


def test_percentiles_are_of_physical_values() -> None:
    scene = ramp(bands=[Band("a", scale=0.5, offset=-10, nodata=0)])
    ((low, high),) = limits(scene)
    assert low == pytest.approx(0.5 * np.percentile(np.arange(1, 10_000), 1) - 10)
    assert high == pytest.approx(0.5 * np.percentile(np.arange(1, 10_000), 99) - 10)
    ((low, high),) = limits(scene, percentiles=(10, 50))
    assert (low, high) == pytest.approx((0.5 * 1000.8 - 10, 0.5 * 5000 - 10))


def test_a_negative_slope_keeps_low_below_high() -> None:
    ((low, high),) = limits(ramp(bands=[Band("a", scale=-1.0)]))
    assert (low, high) == pytest.approx((-9899.01, -99.99))


def test_a_result_has_its_inputs_limits(sentinel: Scene) -> None:
    sr = geomedsr.upscale(sentinel, "satellite-x4")
    assert limits(sr) == limits(sentinel)
    assert limits(sr, percentiles=(5, 95)) == limits(sentinel, percentiles=(5, 95)) != limits(sentinel)


def test_ct_has_windows(ct: Scene) -> None:
    assert limits(ct) == ((-160, 240),) == limits(ct, level="soft tissue")
    assert limits(ct, level="lung") == ((-1350, 150),)
    assert limits(ct, level="Bone") == ((-500, 1300),)
    assert limits(ct, level="brain") == ((0, 80),)
    assert limits(ct, level=(50, 10)) == ((45, 55),)
    low, high = limits(ct, percentiles=(1, 99))[0]
    hu = ct.physical().values
    assert low == pytest.approx(np.percentile(hu, 1), abs=2)
    assert high == pytest.approx(np.percentile(hu, 99), abs=2)


def test_wrong_windows_are_refused(ct: Scene) -> None:
    with pytest.raises(InputError, match=r"the CT window 'lung' for array, which is no CT"):
        limits(ramp(), level="lung")
    with pytest.raises(InputError, match=r"'liver', expected one of soft tissue, lung, bone, brain"):
        limits(ct, level="liver")
    with pytest.raises(InputError, match="a width above 0"):
        limits(ct, level=(40, 0))
    with pytest.raises(InputError, match="the lower first"):
        limits(ramp(), percentiles=(99, 1))
    with pytest.raises(InputError, match="one of them"):
        limits(ct, percentiles=(1, 99), level="lung")


def test_shades() -> None:
    values = np.array([[[0.0, 5.0, 10.0, 20.0, -3.0, np.nan]]])
    valid = np.array([[[True, True, True, True, True, False]]])
    image = shades(values, valid, [(0, 10)])
    assert image.shape == (1, 6, 4)
    assert image[0, :, 0].tolist()[:5] == [0, 128, 255, 255, 0]
    assert (image[..., 0] == image[..., 2]).all()
    assert image[0, :, 3].tolist() == [255] * 5 + [0]


def test_three_bands_become_red_green_blue() -> None:
    values = np.array([[[1.0]], [[2.0]], [[3.0]]])
    image = shades(values, np.ones((3, 1, 1), bool), [(0, 1), (0, 4), (0, 12)])
    assert image[0, 0].tolist() == [255, 128, 64, 255]
