"""Promises about results of other shapes than one image made finer in plane: the same size, new slices."""

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from toys import scene, stack, toy

import geomedsr
from geomedsr import Grid, Scene, verify
from geomedsr.geometry import Factors
from geomedsr.inference import process
from geomedsr.io import open_scene
from geomedsr.scene.provenance import provenance_of

MODELS = {
    Factors(1, 1, 1): toy(),
    Factors(2, 1, 1): toy(frame_factor=2),
    Factors(2, 2, 2): toy(frame_factor=2, scale=2),
}


def written(factors: Factors, folder: Path) -> tuple[Path, Path]:
    """A source of four slices and what a toy model makes of it."""
    source, result = folder / "in.nrrd", folder / "out.nrrd"
    geomedsr.write(stack(4), source)
    geomedsr.write(process(MODELS[factors], image=geomedsr.open(source), precision="float32")["image"], result)
    return source, result


def broken(source: Path, result: Path) -> list[str]:
    return [check.promise for check in verify(source, result) if check.kept is False]


@pytest.mark.parametrize("factors", MODELS)
def test_results_of_every_shape_keep_their_promises(factors: Factors, tmp_path: Path) -> None:
    source, result = written(factors, tmp_path)
    checks = {check.promise: check for check in verify(source, result)}
    assert [check for check in checks.values() if check.kept is False] == []
    block = f"{factors.y} × {factors.x} block" + " of 2 slices" * (factors.frame == 2)
    assert checks[f"the mean of each {block} is the source's pixel"].kept
    assert checks["same field of view: outer corners within 0.01 source pixel"].kept


@pytest.mark.parametrize("ending", [".tif", ".zarr"])
def test_a_raster_of_the_same_size_keeps_its_promises(ending: str, tmp_path: Path) -> None:
    source, result = tmp_path / f"in{ending}", tmp_path / f"out{ending}"
    geomedsr.write(scene(grid=Grid((40, 33), Affine(10, 0, 5e5, 0, -10, 4e6), "EPSG:32633")), source)
    geomedsr.write(process(toy(), image=geomedsr.open(source), precision="float32")["image"], result)
    checks = verify(source, result)
    assert [check for check in checks if check.kept is False] == []
    assert checks[0].detail == "33 × 40 to 33 × 40"
    assert next(check for check in checks if "1 × 1 block" in check.promise).kept
    assert not any("do not show" in check.promise for check in checks)  # there is nothing within a pixel


@pytest.mark.parametrize("factors", MODELS)
def test_one_voxel_or_slice_out_of_place_is_caught(factors: Factors, tmp_path: Path) -> None:
    source, result = written(factors, tmp_path)
    made = open_scene(result, force=True)
    values = made.data.values.copy()
    values[3, 0, 5, 7] += 1

    def again(name: str, values: np.ndarray, first: float = 0) -> Path:
        planes = tuple(plane.moved((0, 0, first)) for plane in made.grid.planes)
        grid = Grid(made.grid.shape, planes=planes)
        changed = Scene.from_array(values, grid=grid, bands=made.bands, provenance=provenance_of(made))
        geomedsr.write(changed, tmp_path / name)
        return tmp_path / name

    block = f"{factors.y} × {factors.x} block" + " of 2 slices" * (factors.frame == 2)
    assert broken(source, again("voxel.nrrd", values)) == [f"the mean of each {block} is the source's pixel"]
    moved = broken(source, again("moved.nrrd", made.data.values, 0.75))
    assert moved == ["same field of view: outer corners within 0.01 source pixel"]


def test_factors_between_shapes() -> None:
    assert Factors.between((4, 1, 10, 20), (8, 3, 10, 20)) == Factors(2, 1, 1)
    assert Factors.between((4, 10, 20), (4, 30, 40)) == Factors(1, 3, 2)
    for other in ((6, 1, 10, 20), (4, 1, 5, 20), (4, 1, 10, 0)):
        assert Factors.between((4, 1, 10, 20), other) is None
