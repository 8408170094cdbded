"""Slices as bells: the nearest image that agrees, slabs that equal the whole, and what verify tells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toys import saved_toy, scene, toy

import geomedsr
from geomedsr import Grid, Scene, verify
from geomedsr.checks import Check
from geomedsr.geometry import Box, Factors
from geomedsr.geometry.grid import Plane
from geomedsr.geometry.profile import Profile
from geomedsr.inference import process
from geomedsr.operators import SliceMean, SliceProfile
from geomedsr.operators.slice_profile import Coupling

WIDTHS = [0.8, 1.0, 1.3]


def stack(count: int = 14, profile: float = 1.0, times: int = 1, dtype: str = "int16") -> Scene:
    planes = tuple(Plane((0, 0, 3.0 * (i % count)), (1, 0, 0), (0, 1, 0), (1, 1), 3.0) for i in range(count * times))
    made = scene(24, 21, 1, frames=count * times, grid=Grid((24, 21), planes=planes), domain="MR")
    values = made.source.read(Box.whole(made.shape)).astype(dtype)
    return Scene.from_array(values, grid=made.grid, domain="MR", profile=Profile(profile) if profile else None)


def result(image: Scene, factor: int = 3, **more: object) -> Scene:
    model = toy(frame_factor=factor, neighbours=1, operator="slice-profile")
    return process(model, image=image, precision="float32", **more)["image"]  # type: ignore[arg-type]


def seen(fine: np.ndarray, profile: Profile, factor: int) -> np.ndarray:
    """Slices as a profile sees new ones, mirrored at the ends: written anew, from its definition."""
    reach = profile.reach(factor)
    padded = np.concatenate([fine[: reach * factor][::-1], fine, fine[len(fine) - reach * factor :][::-1]])
    weights = profile.weights(factor)
    return np.stack(
        [
            np.tensordot(weights, padded[k * factor : k * factor + len(weights)].astype(float), 1)
            for k in range(len(fine) // factor)
        ]
    )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("factor", [2, 3, 5])
def test_results_agree_with_the_source_through_its_profile(width: float, factor: int) -> None:
    image = stack(profile=width)
    made = result(image, factor).data.values
    stored = image.data.values
    before = seen(result(image, factor, conserve=False).data.values, Profile(width), factor)
    deviation = np.abs(seen(made, Profile(width), factor) - stored)
    assert np.abs(before - stored).max() > 100  # what a toy makes is far off
    assert deviation.max() < 0.5 + (3e-4 if width <= 1 else 5e-3) * np.abs(before - stored).max()


def test_the_change_is_the_smallest_that_agrees() -> None:
    """Against the least-squares solution of numpy."""
    rng = np.random.default_rng(0)
    coupling = Coupling.of(Profile(1.0), 4)
    matrix = coupling.matrix(9, (True, True))
    fine, coarse = rng.normal(size=(36, 5)), rng.normal(size=(9, 5))
    change = np.linalg.lstsq(matrix, coarse - matrix @ fine, rcond=None)[0]
    np.testing.assert_allclose(coupling.agreed(fine.copy(), coarse, matrix), fine + change, atol=0.01)


def test_boxes_are_conserved_exactly_and_said_to_be() -> None:
    image = stack(profile=0)
    made = result(image)
    assert made.provenance.agreement.operator == "slice-mean"
    blocks = made.data.values.astype(int).reshape(14, 3, 1, 24, 21).sum(1)
    np.testing.assert_array_equal(blocks, 3 * image.data.values.astype(int))
    assert isinstance(SliceProfile().bind({"image": image}), SliceMean)


@pytest.mark.parametrize("times", [1, 2])
def test_slabs_equal_the_whole(times: int) -> None:
    image = stack(20, times=times)
    made = result(image)
    whole = made.data.values
    for first, last in ((0, 3), (7, 9), (29, 34), (57, 60)):
        box = Box((first, 0, 0), (last, 24, 21))
        np.testing.assert_array_equal(made.source.read(box), whole[first:last])


def test_clipped_pixels_are_verified_one_way(tmp_path: Path) -> None:
    """Air at the least that can be stored: new slices there may be clipped, but must not be darker than they can be."""
    image = stack(dtype="uint16")
    values = np.where(np.arange(21) < 10, 0, image.data.values).astype(np.uint16)
    image = replace(image, source=Scene.from_array(values).source, profile=Profile(1.0)).with_range(0, 4000)
    model = saved_toy(tmp_path, frame_factor=3, operator="slice-profile")
    made = process(model, image=image, precision="float32")["image"]
    fine = made.data.values
    assert (fine == 0).mean() > 0.1
    operator, boxes = SliceProfile(Profile(1.0), 14), list(Box.whole(image.shape).tiles((1, 24, 21)))

    def check(fine: np.ndarray) -> Check:
        changed = Scene.from_array(fine, grid=made.grid, domain="MR", provenance=made.provenance)
        return operator.check(image, changed, Factors(3, 1, 1), boxes, asked=True)

    kept = check(fine)
    assert kept.kept
    assert "may be clipped, and are compared one way" in kept.detail
    dark, bright = fine.copy(), fine.copy()
    dark[18:24, 0, 4:8, 12:16] = 0
    bright[18:24, 0, 4:8, 12:16] = 65535
    assert check(dark).kept is False
    assert check(bright).kept is False


@pytest.mark.parametrize("dtype", ["int16", "uint16", "float32"])
def test_files_are_verified(tmp_path: Path, dtype: str) -> None:
    image = stack(dtype=dtype)
    geomedsr.write(image, tmp_path / "in.nii")
    opened = geomedsr.open(tmp_path / "in.nii")
    opened = replace(opened, profile=Profile(1.0))
    model = saved_toy(tmp_path, frame_factor=3, operator="slice-profile")
    made = process(model, image=opened, precision="float32")["image"]
    assert (made.provenance.agreement.profile, made.provenance.agreement.operator) == (1.0, "slice-profile")
    geomedsr.write(made, tmp_path / "out.nii", workers=2)
    checks = verify(tmp_path / "in.nii", tmp_path / "out.nii")
    assert [check for check in checks if check.kept is False] == []
    assert any("a bell 1 slice distances wide, sees of the new ones" in check.promise for check in checks)
    values = geomedsr.io.open_scene(tmp_path / "out.nii", force=True)
    np.testing.assert_array_equal(values.data.values, made.data.values)
    tampered = values.data.values.copy()
    tampered[20, 0, 5, 5] += 30
    changed = Scene.from_array(tampered, grid=values.grid, domain="MR", provenance=made.provenance)
    check = SliceProfile(Profile(1.0), 14).check(
        opened, changed, Factors(3, 1, 1), Box.whole(opened.shape).tiles((1, 24, 21)), asked=True
    )
    assert check.kept is False
