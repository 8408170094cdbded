"""New slices: where they lie, and series of which none are made."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planes import OBLIQUE, at_depths
from toys import scene, stack, toy

import geomedsr
from geomedsr import Grid
from geomedsr.errors import InputError, OutputError
from geomedsr.geometry import Factors
from geomedsr.geometry.grid import Plane
from geomedsr.geometry.slices import finer_slices
from geomedsr.inference import process
from geomedsr.scene.context import descended
from geomedsr.scene.scaling import ValueScale


def depths(planes: tuple[Plane, ...] | list[Plane]) -> np.ndarray:
    normal = np.array(OBLIQUE.normal)
    return np.array([np.dot(np.subtract(plane.position, OBLIQUE.position), normal) for plane in planes])


def thick(planes: list[Plane], thickness: float | None) -> list[Plane]:
    return [replace(plane, thickness=thickness) for plane in planes]


@pytest.mark.parametrize("factor", [2, 3, 5])
@pytest.mark.parametrize("thickness", [None, 3.0, 3.1])
@pytest.mark.parametrize("step", [3.0, -3.0])
def test_new_slices_tile_the_old_and_outer_faces_stay(factor: int, thickness: float | None, step: float) -> None:
    old = thick(at_depths(0, step, 2 * step, 3 * step), thickness)
    new = finer_slices(old, factor)
    finer = depths(new)
    np.testing.assert_allclose(np.diff(finer), step / factor, atol=1e-12)
    np.testing.assert_allclose(finer.reshape(4, factor).mean(1), depths(old), atol=1e-12)
    assert finer[0] - step / factor / 2 == pytest.approx(-step / 2)
    assert finer[-1] + step / factor / 2 == pytest.approx(3.5 * step)
    expected = None if thickness is None else pytest.approx(3 / factor)
    assert all(plane.thickness == expected for plane in new)
    assert {(plane.along_row, plane.along_column, plane.spacing) for plane in new} == {
        (OBLIQUE.along_row, OBLIQUE.along_column, OBLIQUE.spacing)
    }


def test_one_slice_is_as_deep_as_it_is_thick() -> None:
    new = finer_slices(thick(at_depths(4), 5.0), 5)
    np.testing.assert_allclose(depths(new), [2, 3, 4, 5, 6])
    assert all(plane.thickness == pytest.approx(1) for plane in new)


def test_each_of_several_volumes_is_made_finer_by_itself() -> None:
    new = finer_slices(at_depths(0, 3, 6) * 4, 2)
    assert len(new) == 24
    np.testing.assert_allclose(depths(new[:6]), [-0.75, 0.75, 2.25, 3.75, 5.25, 6.75])
    assert new[:6] * 4 == new


def test_what_scanners_round_is_even() -> None:
    new = finer_slices(thick(at_depths(0, 3.001, 5.999, 9), 3.0), 4)
    np.testing.assert_allclose(depths(new).reshape(4, 4).mean(1), [0, 3.001, 5.999, 9], atol=1e-12)


@pytest.mark.parametrize(
    ("planes", "said"),
    [
        (at_depths(4), "new slices of one without a thickness, expected its SliceThickness"),
        (thick(at_depths(0, 3, 6), 2.4), "new slices of 3 with gaps between them: 2.4 mm thick, 3 mm apart"),
        (thick(at_depths(0, 3, 6), 5), "new slices of 3 with overlaps: 5 mm thick, 3 mm apart"),
        (at_depths(0, 3, 6, 12), "with gaps where 1 slice would fit"),
        (at_depths(0, 3, 6.3, 9), "with slice spacing that differs by up to 10%"),
        (at_depths(0, 3, 6.1, 9), "with places up to 0.1 mm from equal steps"),
        (at_depths(0, 3, 3, 6), "with 1 slice at the position of another"),
        (at_depths(0, 0, 0), "new slices of one without a thickness"),
        (at_depths(0, 3, 6, lean=(0.1, 0)), "with slices stacked 5.7° off their normal"),
    ],
)
def test_of_others_none_are_made(planes: list[Plane], said: str) -> None:
    with pytest.raises(InputError) as told:
        finer_slices(planes, 4)
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_frames_in_no_place_have_none_between_them() -> None:
    for image in (scene(), scene(frames=3, domain="CT")):
        with pytest.raises(
            InputError, match="array, whose frames have no position in space, for new slices by the model"
        ):
            process(toy(frame_factor=2), image=image)


@pytest.mark.parametrize("name", ["out.tif", "out.zarr", "out.png"])
def test_formats_without_room_for_slices_say_so_before_any_work(name: str, tmp_path: Path) -> None:
    made = process(toy(frame_factor=2), image=stack(4), precision="float32")["image"]
    with pytest.raises(OutputError) as told:
        geomedsr.write(made, tmp_path / name)
    assert "\n" not in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_lineage_is_that_of_each_step_after_the_other() -> None:
    planes = stack(4).grid.planes
    assert descended((), 4, planes, 1, 0) == ()
    assert descended((), 4, planes, 2, 0) == ((0,), (0,), (1,), (1,), (2,), (2,), (3,), (3,))
    seen = descended((), 4, planes, 1, 1)
    assert seen == ((0, 1), (1, 0, 2), (2, 1, 3), (3, 2))
    assert descended(seen, 4, planes, 2, 0)[2:4] == ((1, 0, 2),) * 2
    finer = Grid((26, 30), planes=planes).refined(Factors(frame=2)).planes
    assert descended(descended((), 4, planes, 2, 0), 8, finer, 1, 1)[:3] == ((0,), (0, 1), (1, 0))
    assert descended((), 8, planes * 2, 1, 1)[3:5] == ((3, 2), (4, 5))  # another volume's slice is no neighbour
    made = process(toy(frame_factor=3, neighbours=1), image=stack(4))["image"]
    assert made.lineage[3:6] == ((1, 0, 2),) * 3


def test_a_scale_of_each_slice_goes_to_those_made_of_it() -> None:
    lines = tuple((1.0, float(i)) for i in range(4))
    image = replace(stack(4), rescale=lines, domain="CT")
    made = process(toy(frame_factor=2, value_scale="physical"), image=image, precision="float32")["image"]
    assert made.rescale == tuple(line for line in lines for _ in range(2))
    assert made.values == ValueScale.from_physical(1, 99, *made.slopes_and_offsets)
