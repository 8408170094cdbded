"""Volumes cut along axial, coronal and sagittal planes: voxels, places, directions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from geomedsr import Grid, Scene
from geomedsr.errors import InputError
from geomedsr.geometry import Box, Factors
from geomedsr.geometry.grid import Plane
from geomedsr.scene.reformat import PLANES, reformatted, repeated

SLICES, ROWS, COLUMNS = 5, 7, 9

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
OBLIQUE = ((0.96, 0.28, 0.0), (-0.28, 0.96, 0.0))


def volume(way: tuple[tuple[float, float, float], tuple[float, float, float]], back: bool = False) -> Scene:
    """Each voxel holds its own number."""
    right, down = way
    normal = np.cross(right, down) * (-1 if back else 1)
    planes = tuple(
        Plane(tuple(float(v) for v in np.array([3, 4, 5]) + 2.5 * i * normal), right, down, (0.8, 0.5), 2.5)
        for i in range(SLICES)
    )
    values = np.arange(SLICES * ROWS * COLUMNS, dtype=np.int16).reshape(SLICES, 1, ROWS, COLUMNS)
    return Scene.from_array(values, grid=Grid((ROWS, COLUMNS), planes=planes), domain="MR")


def places(scene: Scene) -> dict[int, tuple[float, ...]]:
    """Where each voxel's value lies in the patient."""
    values = scene.data.values
    return {
        int(values[f, 0, r, c]): tuple(np.round(scene.grid.planes[f].at(r, c), 6))
        for f in range(values.shape[0])
        for r in range(values.shape[2])
        for c in range(values.shape[3])
    }


@pytest.mark.parametrize("way", [AXIAL, SAGITTAL, OBLIQUE])
@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("plane", PLANES)
def test_every_voxel_stays_where_it_is(way: tuple, back: bool, plane: str) -> None:
    scene = volume(way, back)
    cut = reformatted(scene, plane)
    assert places(cut) == places(scene)
    normal = np.abs(cut.grid.planes[0].normal)
    assert int(normal.argmax()) == PLANES[plane]
    first = cut.grid.planes[0]
    wanted = {"axial": ((0, 1), (1, 1)), "coronal": ((0, 1), (2, -1)), "sagittal": ((1, 1), (2, -1))}[plane]
    for direction, (axis, sign) in zip((first.along_row, first.along_column), wanted, strict=True):
        assert int(np.abs(direction).argmax()) == axis
        assert direction[axis] * sign > 0


def test_parts_are_read_alone() -> None:
    cut = reformatted(volume(AXIAL), "coronal")
    whole = cut.data.values
    box = Box((2, 1, 3), (4, 4, 8))
    np.testing.assert_array_equal(cut.source.read(box), whole[box.index])
    assert cut.source.valid(box).all()
    assert cut.grid.planes[0].spacing == (2.5, 0.5)


def test_slices_of_several_slopes_become_physical() -> None:
    scene = replace(volume(AXIAL), rescale=tuple((1.0 + i, 10.0 * i) for i in range(SLICES)))
    cut = reformatted(scene, "sagittal")
    stored = scene.data.values[:, 0, :, 4].astype(float)
    physical = stored * (1 + np.arange(SLICES))[:, None] + 10 * np.arange(SLICES)[:, None]
    np.testing.assert_allclose(cut.data.values[4, 0], physical[::-1])
    same = reformatted(replace(scene, rescale=((2.0, 1.0),) * SLICES), "sagittal")
    assert (same.bands[0].scale, same.bands[0].offset, str(same.dtype)) == (2.0, 1.0, "int16")


def test_repeated_voxels_lie_within_their_own() -> None:
    scene = volume(AXIAL)
    fine = repeated(scene, Factors(2, 3, 3))
    np.testing.assert_array_equal(fine.data.values, scene.data.values.repeat(2, 0).repeat(3, 2).repeat(3, 3))
    box = Box((3, 4, 5), (6, 8, 10))
    np.testing.assert_array_equal(fine.source.read(box), fine.data.values[box.index])
    assert fine.grid.planes[0].spacing == pytest.approx((0.8 / 3, 0.5 / 3))


def test_what_cannot_be_cut_is_refused() -> None:
    scene = volume(AXIAL)
    with pytest.raises(InputError, match="the plane 'oblique', expected one of sagittal, coronal, axial"):
        reformatted(scene, "oblique")
    with pytest.raises(InputError, match="coronal planes of array, expected a stack of slices"):
        reformatted(Scene.from_array(np.zeros((4, 4), np.int16)), "coronal")
    planes = list(scene.grid.planes)
    planes[2] = planes[2].moved((0, 0, 1.0))
    with pytest.raises(InputError, match="spacing that differs"):
        reformatted(replace(scene, grid=replace(scene.grid, planes=tuple(planes))), "coronal")
