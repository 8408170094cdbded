"""New slices between those of a volume: where they lie in each format, and what the header says of them."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from placing import check_halved
from toys import toy

import geomedsr
from geomedsr.errors import InputError
from geomedsr.geometry import Factors
from geomedsr.inference import process
from geomedsr.io import open_scene
from volume.conftest import broken, stored

MODELS = {
    Factors(2, 1, 1): toy(frame_factor=2),
    Factors(2, 2, 2): toy(frame_factor=2, scale=2),
    Factors(5, 1, 1): toy(frame_factor=5),
}

#: Turned about two axes, with voxels of 0.8 × 0.9 × 3 mm.
OBLIQUE = np.array([[0.8, 0, 0, -30], [0, 0.9, 0, 12], [0, 0, 3, 7], [0, 0, 0, 1.0]])
TURN = np.eye(4)
TURN[:3, :3] = [[0.8, -0.48, 0.36], [0.6, 0.64, -0.48], [0.0, 0.6, 0.8]]


def voxels(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(1, 200, shape).astype("int16")


def image(axis: int = 2, **more: object) -> nibabel.Nifti1Image:
    """Five slices along an axis of an oblique volume, whose two ways of placing it differ."""
    shape = [20, 24]
    shape.insert(axis, 5)
    order = [0, 1]
    order.insert(axis, 2)
    matrix = TURN @ OBLIQUE[:, [*order, 3]]
    made = nibabel.Nifti1Image(voxels(*shape), matrix)
    made.set_sform(matrix, 1)
    if np.linalg.det(matrix[:3, :3]) > 0:
        aside = matrix.copy()
        aside[:3, 3] += 4
        made.set_qform(aside, 2)
    made.header.set_dim_info(slice=axis)
    for name, value in more.items():
        made.header[name] = value
    return made


def finer(source: Path, result: Path, factors: Factors) -> geomedsr.Scene:
    made = process(MODELS[factors], image=geomedsr.open(source), precision="float32")["image"]
    geomedsr.write(made, result)
    assert broken(source, result) == []
    np.testing.assert_array_equal(open_scene(result, force=True).data.values, made.data.values)
    return made


@pytest.mark.filterwarnings("ignore:.*slices are taken along")
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("factors", MODELS)
def test_both_forms_of_nifti_are_finer_along_the_slice_axis(factors: Factors, axis: int, tmp_path: Path) -> None:
    before = image(axis, slice_code=1, slice_end=4, slice_duration=0.5)
    nibabel.save(before, tmp_path / "in.nii")
    finer(tmp_path / "in.nii", tmp_path / "out.nii", factors)
    after = nibabel.load(tmp_path / "out.nii")
    by = [factors.y, factors.y]
    by.insert(axis, factors.frame)
    assert after.shape == tuple(np.multiply(before.shape, by))
    steps = np.diag([*(1 / np.array(by)), 1.0])
    steps[:3, 3] = (1 / np.array(by) - 1) / 2
    np.testing.assert_allclose(after.get_sform(), before.get_sform() @ steps, atol=1e-5)
    np.testing.assert_allclose(after.get_qform(), before.get_qform() @ steps, atol=1e-5)
    assert (after.header["sform_code"], after.header["qform_code"]) == (1, before.header["qform_code"])
    np.testing.assert_allclose(after.header["pixdim"][1:4], before.header["pixdim"][1:4] / by, rtol=1e-6)
    for name in ("slice_code", "slice_end", "slice_duration"):
        assert after.header[name] == 0  # the times of other slices
    corners = [np.array([-0.5, -0.5, -0.5, 1]), np.array([*(np.array(before.shape) - 0.5), 1])]
    ends = [np.array([-0.5, -0.5, -0.5, 1]), np.array([*(np.array(after.shape) - 0.5), 1])]
    for old, new in zip(corners, ends, strict=True):
        np.testing.assert_allclose(after.affine @ new, before.affine @ old, atol=1e-4)
    blocks = stored(after).astype(np.int64)
    for at, count in enumerate(by):
        shape = [*blocks.shape[:at], before.shape[at], count, *blocks.shape[at + 1 :]]
        blocks = blocks.reshape(shape).sum(at + 1)
    np.testing.assert_array_equal(blocks, np.asarray(before.dataobj).astype(np.int64) * factors.volume)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".mhd"])
def test_other_programs_find_new_slices_within_the_old(suffix: str, tmp_path: Path) -> None:
    nibabel.save(image(), tmp_path / "in.nii.gz")
    before = sitk.ReadImage(str(tmp_path / "in.nii.gz"))
    sitk.WriteImage(before, str(tmp_path / f"in{suffix}"))
    finer(tmp_path / f"in{suffix}", tmp_path / f"out{suffix}", Factors(2, 2, 2))
    check_halved(before, sitk.ReadImage(str(tmp_path / f"out{suffix}")))


def test_each_of_several_volumes_gets_slices_of_its_own(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(voxels(20, 24, 3, 4), TURN @ OBLIQUE), tmp_path / "in.nii")
    made = finer(tmp_path / "in.nii", tmp_path / "out.nii", Factors(2, 1, 1))
    after = nibabel.load(tmp_path / "out.nii")
    assert after.shape == (20, 24, 6, 4)
    sums = stored(after).astype(int).reshape(20, 24, 3, 2, 4).sum(3)
    np.testing.assert_array_equal(sums, 2 * stored(nibabel.load(tmp_path / "in.nii")))
    assert made.lineage[:7] == ((0,), (0,), (1,), (1,), (2,), (2,), (3,))
    with pytest.raises(geomedsr.errors.OutputError, match="of 4 volumes, for"):
        geomedsr.write(made, tmp_path / "out.nrrd")


def test_slices_and_then_pixels_are_as_both_at_once(tmp_path: Path) -> None:
    nibabel.save(image(), tmp_path / "in.nii")
    once = process(MODELS[Factors(5, 1, 1)], image=geomedsr.open(tmp_path / "in.nii"), precision="float32")["image"]
    both = process(toy(scale=2), image=once, precision="float32")["image"]
    assert both.lineage == once.lineage
    geomedsr.write(both, tmp_path / "out.nii")
    after = nibabel.load(tmp_path / "out.nii")
    assert after.shape == (40, 48, 25)
    np.testing.assert_allclose(after.header["pixdim"][1:4], (0.4, 0.45, 0.6), rtol=1e-6)
    told = open_scene(tmp_path / "out.nii", force=True).provenance
    assert [(step.factor, step.frame_factor) for step in told.before] == [(1, 5)]
    assert told.note == "Detail finer than 2 pixels or 5 slices of this image is a model's guess, not a measurement"
    assert once.name == "in.nii ×5 slices"


def test_one_slice_of_unknown_depth_is_refused(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(voxels(20, 24, 1), OBLIQUE), tmp_path / "in.nii")
    with pytest.raises(InputError, match="new slices of one without a thickness"):
        process(MODELS[Factors(2, 1, 1)], image=geomedsr.open(tmp_path / "in.nii"))


def test_what_other_programs_leave_tells_of_new_slices(tmp_path: Path) -> None:
    nibabel.save(image(), tmp_path / "in.nii")
    finer(tmp_path / "in.nii", tmp_path / "out.nii", Factors(2, 2, 2))
    bare = nibabel.load(tmp_path / "out.nii")
    bare.header.extensions.clear()
    nibabel.save(bare, tmp_path / "bare.nii")
    assert open_scene(tmp_path / "bare.nii", force=True).provenance.model.factors == Factors(2, 2, 2)
