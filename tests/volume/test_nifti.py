"""What NIfTI files say besides their values, in results: places, scales, kinds, volumes, and what is no data."""

import gzip
import json
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from dicom.conftest import pixels

import geomedsr
from geomedsr.cli import main
from geomedsr.errors import InputError, OutputError, SceneWarning
from geomedsr.geometry import Box
from geomedsr.inference.passes import boxes_of
from geomedsr.io import jobs, open_sink
from geomedsr.models import Model
from geomedsr_volume.files import created
from geomedsr_volume.nifti_header import read_header
from volume.conftest import broken, stored

AFFINE = np.array([[-0.8, 0, 0, 10], [0, 0.7, 0, 20], [0, 0, 3, 30], [0, 0, 0, 1.0]])


def voxels(*shape: int, kind: str = "int16") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 3000, shape).astype(kind)


def raw_header(path: Path) -> nibabel.Nifti1Header:
    """The header as it is in the file: images set some fields aside."""
    data = path.read_bytes()
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    kind = nibabel.Nifti2Header if struct.unpack("<i", data[:4])[0] == 540 else nibabel.Nifti1Header
    return kind(data[: kind.sizeof_hdr])


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("order", "<>")
def test_no_number_is_no_data_voxel_by_voxel(finer: Callable[..., Any], kind: str, order: str) -> None:
    values = np.random.default_rng(0).normal(50, 20, (32, 30, 4)).astype(kind)
    values[8:16, 8:16] = np.nan
    values[0, 0, 1], values[1, 0, 1] = np.inf, -np.inf
    image = nibabel.Nifti1Image(values, AFFINE, nibabel.Nifti1Header(endianness=order))
    seen = stored(finer(image))
    expected = values.repeat(2, 0).repeat(2, 1)
    for what in (np.isnan, np.isposinf, np.isneginf):
        np.testing.assert_array_equal(what(seen), what(expected))
    means = seen.astype(float).reshape(32, 2, 30, 2, 4).mean((1, 3))
    finite = np.isfinite(values)
    np.testing.assert_allclose(means[finite], values[finite], atol=1e-4)
    alone = finer(nibabel.Nifti1Image(np.where(finite, values, 7e5).astype(kind), AFFINE), "b.nii", "b2.nii")
    assert np.abs(stored(alone)[finite.repeat(2, 0).repeat(2, 1)]).max() < 7e5


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("codes", [(1, 4), (1, 0), (0, 4), (2, 3), (0, 0)])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_both_forms_keep_their_codes_and_their_places(
    finer: Callable[..., Any], suffix: str, codes: tuple[int, int], kind: type
) -> None:
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    scanner, atlas = np.eye(4), AFFINE.copy()
    scanner[:3, :3], scanner[:3, 3] = turn @ np.diag([0.8, 0.7, 3]), (5, -6, 7)
    atlas[:3, 3] += (112, -90, 40)
    atlas[0, 1], atlas[1, 2] = 0.2, 0.5  # a shear
    image = kind(voxels(24, 20, 4), None)
    image.set_qform(scanner, codes[0])
    image.set_sform(atlas, codes[1])
    after = finer(image, f"in{suffix}", f"out{suffix}")
    assert type(after) is kind
    assert (int(after.header["qform_code"]), int(after.header["sform_code"])) == codes
    for point in ((0, 0, 0), (23, 19, 3), (7.25, 3.5, 1.5)):
        there = [(point[0] + 0.5) * 2 - 0.5, (point[1] + 0.5) * 2 - 0.5, point[2], 1]
        for form in ("get_qform", "get_sform"):
            place = getattr(image.header, form)() @ [*point, 1]
            np.testing.assert_allclose(getattr(after.header, form)() @ there, place, atol=2e-5)
        np.testing.assert_allclose(after.affine @ there, image.affine @ [*point, 1], atol=2e-5)
    for name in ("quatern_b", "quatern_c", "quatern_d"):
        assert after.header[name] == image.header[name]


def test_nibabel_and_simpleitk_see_source_and_result_alike(finer: Callable[..., Any], tmp_path: Path) -> None:
    after = finer(nibabel.Nifti1Image(voxels(24, 20, 4), AFFINE))
    itk = {name: sitk.ReadImage(str(tmp_path / f"{name}.nii")) for name in ("in", "out")}
    before = nibabel.load(tmp_path / "in.nii")
    for point in ((0.0, 0.0, 0.0), (23.0, 19.0, 3.0), (7.25, 3.5, 1.5)):
        finer_point = ((point[0] + 0.5) * 2 - 0.5, (point[1] + 0.5) * 2 - 0.5, point[2])
        for seen, where, image in ((itk["in"], point, before), (itk["out"], finer_point, after)):
            x, y, z = seen.TransformContinuousIndexToPhysicalPoint(where)
            np.testing.assert_allclose((-x, -y, z), (image.affine @ [*where, 1])[:3], atol=1e-4)
        np.testing.assert_allclose(after.affine @ [*finer_point, 1], before.affine @ [*point, 1], atol=1e-4)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(itk["out"]).T, stored(after))
    np.testing.assert_array_equal(
        stored(after).astype(int).reshape(24, 2, 20, 2, 4).sum((1, 3)), 4 * stored(before).astype(int)
    )


def test_a_window_lies_where_it_does_in_its_source(tmp_path: Path, ct: Model) -> None:
    for codes in ((1, 1), (0, 0)):
        image = nibabel.Nifti1Image(voxels(24, 20, 4), None)
        image.set_qform(AFFINE, codes[0])
        image.set_sform(AFFINE, codes[1])
        nibabel.save(image, tmp_path / "in.nii")
        scene = geomedsr.upscale(geomedsr.open(tmp_path / "in.nii"), ct).crop(geomedsr.Window(7, 4, 12, 10))
        geomedsr.write(scene, tmp_path / "out.nii", overwrite=True)
        after = nibabel.load(tmp_path / "out.nii")
        np.testing.assert_allclose(
            after.affine @ [0, 0, 2, 1], image.affine @ [(7 + 0.5) / 2 - 0.5, (4 + 0.5) / 2 - 0.5, 2, 1], atol=1e-5
        )


def test_two_axes_keep_their_depth(finer: Callable[..., Any]) -> None:
    image = nibabel.Nifti1Image(voxels(24, 20), AFFINE)
    after = finer(image)
    assert after.shape == (48, 40)
    np.testing.assert_allclose(after.affine @ [-0.5, -0.5, 0, 1], AFFINE @ [-0.5, -0.5, 0, 1], atol=1e-5)
    assert after.affine[2, 3] == 30


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("depth", [0, 30])
def test_two_axes_keep_their_depth_in_other_formats(
    finer: Callable[..., Any], tmp_path: Path, suffix: str, depth: float
) -> None:
    matrix = np.array([[-0.8, 0, 0, 10], [0, -0.7, 0, 20], [0, 0, 1, depth], [0, 0, 0, 1.0]])
    finer(nibabel.Nifti1Image(voxels(24, 20), matrix), "in.nii", f"out{suffix}")
    image = sitk.ReadImage(str(tmp_path / f"out{suffix}"))
    assert image.GetSize() == ((48, 40, 1) if depth else (48, 40))
    assert image.GetOrigin() == pytest.approx((-10 - 0.2, -20 - 0.175, *([depth] if depth else [])))


@pytest.mark.parametrize(("unit", "mm"), [("meter", 1000.0), ("micron", 0.001), ("unknown", 1.0)])
def test_lengths_are_in_the_unit_that_the_header_names(
    finer: Callable[..., Any], tmp_path: Path, unit: str, mm: float
) -> None:
    image = nibabel.Nifti1Image(voxels(24, 20, 4), AFFINE)
    image.header.set_xyzt_units(unit)
    after = finer(image)
    assert after.header.get_xyzt_units()[0] == unit
    np.testing.assert_allclose(after.header.get_zooms(), (0.4, 0.35, 3), rtol=1e-6)
    assert geomedsr.open(tmp_path / "in.nii").grid.planes[0].spacing == pytest.approx((0.7 * mm, 0.8 * mm))


def test_a_form_that_places_nothing_is_left_aside_and_kept(tmp_path: Path, ct: Model) -> None:
    image = nibabel.Nifti1Image(voxels(24, 20, 4), None)
    image.set_qform(AFFINE, 1)
    image.header["sform_code"] = 2
    nibabel.save(image, tmp_path / "in.nii")
    data = bytearray((tmp_path / "in.nii").read_bytes())
    struct.pack_into("<2h", data, 252, 1, 2)
    struct.pack_into("<12f", data, 280, *[0] * 12)
    (tmp_path / "in.nii").write_bytes(data)
    with pytest.warns(SceneWarning, match="a sform that is not a valid transform"):
        scene = geomedsr.open(tmp_path / "in.nii")
    assert scene.grid.planes[0].position == pytest.approx((-10, -20, 30))
    geomedsr.write(geomedsr.upscale(scene, ct), tmp_path / "out.nii")
    header = raw_header(tmp_path / "out.nii")
    assert (int(header["qform_code"]), int(header["sform_code"])) == (1, 2)
    assert not header["srow_x"].any()
    np.testing.assert_allclose(header.get_qform()[:3, 3], (10.2, 19.825, 30), atol=1e-5)


@pytest.mark.parametrize(
    ("sizes", "mm", "header", "asked", "axis"),
    [
        ((8, 20, 24), (5, 0.8, 0.8), None, None, 0),
        ((20, 8, 24), (0.8, 5, 0.8), None, None, 1),
        ((20, 24, 8), (0.8, 0.8, 5), None, None, 2),
        ((20, 24, 8), (1, 1, 1), None, None, 2),
        ((20, 24, 8), (3, 1, 3), None, None, 2),
        ((8, 20, 24), (1, 1, 1), 0, None, 0),
        ((20, 24, 8), (5, 0.8, 0.8), 2, None, 2),
        ((20, 24, 8), (5, 0.8, 0.8), None, 3, 2),
        ((20, 8, 24), (1, 1, 1), None, 2, 1),
        ((20, 1, 24), (1, 1, 1), None, None, 1),
    ],
)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.filterwarnings("ignore::geomedsr.errors.SceneWarning")
def test_slices_lie_along_the_axis_that_is_told(
    finer: Callable[..., Any],
    tmp_path: Path,
    sizes: tuple[int, ...],
    mm: tuple[float, ...],
    header: int | None,
    asked: int | None,
    axis: int,
    suffix: str,
) -> None:
    values = voxels(*sizes)
    if suffix in (".nrrd", ".mha"):
        if header is not None:
            pytest.skip("only NIfTI tells it")
        image = sitk.GetImageFromArray(values.T)
        image.SetSpacing(mm)
        sitk.WriteImage(image, str(tmp_path / f"in{suffix}"))
        scene = geomedsr.open(tmp_path / f"in{suffix}", slice_axis=asked)
        finer(None, f"in{suffix}", f"out{suffix}", slice_axis=asked)
        seen = sitk.ReadImage(str(tmp_path / f"out{suffix}"))
        after, spacing, corner = sitk.GetArrayFromImage(seen).T, seen.GetSpacing(), np.array(seen.GetOrigin())
    else:
        image = nibabel.Nifti1Image(values, np.diag([*mm, 1]))
        if header is not None:
            image.header.set_dim_info(slice=header)
        result = finer(image, f"in{suffix}", f"out{suffix}", slice_axis=asked)
        scene = geomedsr.open(tmp_path / f"in{suffix}", slice_axis=asked)
        after, spacing, corner = stored(result), result.header.get_zooms(), result.affine[:3, 3]
    factor = [1 if a == axis else 2 for a in range(3)]
    assert after.shape == tuple(s * f for s, f in zip(sizes, factor, strict=True))
    assert spacing == pytest.approx([m / f for m, f in zip(mm, factor, strict=True)])
    np.testing.assert_allclose(corner, [(1 / f - 1) / 2 * m for m, f in zip(mm, factor, strict=True)], atol=1e-6)
    i, j, k = sizes
    blocks = after.astype(int).reshape(i, factor[0], j, factor[1], k, factor[2]).sum((1, 3, 5))
    np.testing.assert_array_equal(blocks, 4 * values.astype(int))
    np.testing.assert_array_equal(scene.data.values[1 % sizes[axis], 0], values.take(1 % sizes[axis], axis).T)


def test_another_slice_axis_than_the_third_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = str(tmp_path / "in.nii"), str(tmp_path / "out.nii")
    nibabel.save(nibabel.Nifti1Image(voxels(8, 20, 24), np.diag([5, 0.8, 0.8, 1])), source)
    assert main(["upscale", source, out, "--model", "ct-x2"]) == 0
    told = "slices are taken along its first axis, since voxels are 5 × 0.8 × 0.8 mm; --slice-axis chooses another"
    assert told in capsys.readouterr().err
    assert nibabel.load(out).shape == (8, 40, 48)
    assert main(["info", out]) == 0
    assert "8 slices, 5 mm apart along axis 1 of the file; pixels 0.4 × 0.4 mm" in capsys.readouterr().out
    assert main(["upscale", source, out, "--model", "ct-x2", "--slice-axis", "3", "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert nibabel.load(out).shape == (16, 40, 24)
    assert main(["verify", source, out]) == 0
    assert main(["report", source, out, "-o", str(tmp_path / "page.html"), "--quiet"]) == 0
    with pytest.raises(InputError, match=r"slice axis 4.* 1, 2 or 3"):
        geomedsr.open(source, slice_axis=4)
    with pytest.raises(InputError, match=r"--slice-axis for .*\.tif, expected a volume"):
        geomedsr.open("examples/sentinel2_coast/input.tif", slice_axis=1)


@pytest.mark.filterwarnings("ignore::geomedsr.errors.SceneWarning")
def test_times_of_slices_along_another_axis_are_not_kept(tmp_path: Path, ct: Model) -> None:
    image = nibabel.Nifti1Image(voxels(8, 20, 24), np.diag([5, 0.8, 0.8, 1]))
    image.header.set_dim_info(0, 1, 2)
    image.header["slice_code"], image.header["slice_end"], image.header["slice_duration"] = 1, 23, 0.5
    nibabel.save(image, tmp_path / "in.nii")
    for axis, expected in ((1, (0, 0, 0)), (3, (1, 23, 0.5))):
        scene = geomedsr.open(tmp_path / "in.nii", slice_axis=axis)
        geomedsr.write(geomedsr.upscale(scene, ct), tmp_path / "out.nii", overwrite=True)
        header = raw_header(tmp_path / "out.nii")
        assert tuple(float(header[f"slice_{name}"]) for name in ("code", "end", "duration")) == expected


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("order", "<>")
def test_type_slope_and_all_other_fields_stay(
    finer: Callable[..., Any], tmp_path: Path, suffix: str, order: str
) -> None:
    image = nibabel.Nifti1Image(voxels(24, 20, 4), AFFINE, nibabel.Nifti1Header(endianness=order))
    image.header.set_data_dtype("int16")
    image.header.set_slope_inter(0.5, -1000)
    given = {"cal_max": 100, "cal_min": -5, "toffset": 5, "slice_code": 3, "slice_duration": 0.25, "slice_end": 3}
    given |= {"intent_code": 1001, "intent_p1": 2.5, "intent_name": b"name", "aux_file": b"aux", "db_name": b"db"}
    for name, value in given.items():
        image.header[name] = value
    image.header.set_dim_info(1, 0, 2)
    image.header.set_xyzt_units("mm", "msec")
    foreign = [(2, b"\x08\x00\x05\x00CS\x02\x00A "), (4, b"<AFNI/>"), (44, b'{"a": 1}'), (6, b"by A")]
    for code, content in foreign:
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(code, content))
    after = finer(image, f"in{suffix}", f"out{suffix}")
    before, header = raw_header(tmp_path / f"in{suffix}"), raw_header(tmp_path / f"out{suffix}")
    assert header.endianness == order
    for name in before:
        if name not in ("dim", "pixdim", "vox_offset", "descrip") and not name.startswith(("qoffset", "srow")):
            assert header[name].tobytes() == before[name].tobytes(), name
    assert header.get_data_dtype() == np.dtype(f"{order}i2")
    assert (after.dataobj.slope, after.dataobj.inter) == (0.5, -1000)
    fields = read_header(str(tmp_path / f"out{suffix}")).fields
    assert fields is not None
    *theirs, (code, ours) = fields.extensions
    assert theirs == foreign
    assert code == 6
    assert json.loads(ours)["GEOMEDSR_MODEL"] == "tiny-ct"
    assert [e.get_code() for e in after.header.extensions] == [2, 4, 44, 6, 6]
    scene = geomedsr.open(tmp_path / f"in{suffix}")
    np.testing.assert_array_equal(scene.physical().values[:, 0].T, voxels(24, 20, 4) * 0.5 - 1000)


@pytest.mark.parametrize("slope", [0.0, float("nan"), float("inf")])
def test_a_slope_that_is_none_changes_nothing(tmp_path: Path, slope: float) -> None:
    nibabel.save(nibabel.Nifti1Image(voxels(24, 20, 4), AFFINE), tmp_path / "in.nii")
    data = bytearray((tmp_path / "in.nii").read_bytes())
    struct.pack_into("<2f", data, 112, slope, 7.0)
    (tmp_path / "in.nii").write_bytes(data)
    band = geomedsr.open(tmp_path / "in.nii").bands[0]
    assert (band.scale, band.offset) == (1.0, 0.0)


def test_a_scaled_volume_becomes_values_in_formats_without_a_slope(finer: Callable[..., Any], tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(voxels(24, 20, 4), AFFINE)
    image.header.set_slope_inter(0.5, 0)
    nibabel.save(image, tmp_path / "in.nii")
    scene = geomedsr.open(tmp_path / "in.nii")
    geomedsr.write(scene, tmp_path / "out.nrrd")
    seen = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out.nrrd")))
    np.testing.assert_allclose(seen.T, voxels(24, 20, 4) * 0.5, rtol=1e-6)


@pytest.mark.parametrize("name", ["ct", "mr"])
@pytest.mark.parametrize("intent", ["label", "neuroname"])
def test_labels_are_repeated(finer: Callable[..., Any], request: pytest.FixtureRequest, name: str, intent: str) -> None:
    values = voxels(24, 20, 4) % 5
    image = nibabel.Nifti1Image(values.astype("int16"), AFFINE)
    image.header.set_intent({"label": 1002, "neuroname": 1003}[intent], allow_unknown=True)
    after = finer(image, model=request.getfixturevalue(name))
    np.testing.assert_array_equal(stored(after), values.repeat(2, 0).repeat(2, 1))
    assert int(after.header["intent_code"]) == {"label": 1002, "neuroname": 1003}[intent]


def test_verify_sees_labels_that_were_computed(tmp_path: Path, mr: Model) -> None:
    nibabel.save(nibabel.Nifti1Image((voxels(24, 20, 4) % 5).astype("int16"), AFFINE), tmp_path / "in.nii")
    scene = geomedsr.open(tmp_path / "in.nii").with_nearest([1])
    geomedsr.write(geomedsr.upscale(scene, mr), tmp_path / "out.nii")
    assert broken(tmp_path / "in.nii", tmp_path / "out.nii") == []
    data = bytearray((tmp_path / "out.nii").read_bytes())
    data[-1] ^= 1
    (tmp_path / "out.nii").write_bytes(data)
    assert [c.promise for c in broken(tmp_path / "in.nii", tmp_path / "out.nii")] == [
        "classes and flags are the source's, repeated"
    ]


def test_few_whole_numbers_are_told(tmp_path: Path, ct: Model) -> None:
    for values, told in ((voxels(24, 20, 4) % 5, True), (voxels(24, 20, 4), False)):
        nibabel.save(nibabel.Nifti1Image(values.astype("int16"), AFFINE), tmp_path / "in.nii")
        scene = geomedsr.open(tmp_path / "in.nii")
        if told:
            with pytest.warns(SceneWarning, match="at most 5 different whole numbers in band 1: .*--nearest 1"):
                geomedsr.upscale(scene, ct)
        geomedsr.upscale(scene.with_nearest([1]) if told else scene, ct)  # and no others


@pytest.mark.parametrize(
    ("kind", "base", "spread"),
    [("int32", 0, 10**9), ("int32", -(2**31) + 10**6, 10**6), ("uint32", 2**32 - 10**8, 10**6)]
    + [("uint64", 2**60, s) for s in (400, 4000, 10**6)]
    + [("int64", -(2**60), 4000), ("int64", -(10**16), 10**17)],
)
@pytest.mark.parametrize("name", ["ct", "mr"])
def test_large_whole_numbers_keep_their_promises(
    finer: Callable[..., Any], request: pytest.FixtureRequest, kind: str, base: int, spread: int, name: str
) -> None:
    rng = np.random.default_rng(0)
    values = (rng.integers(0, spread, (24, 20, 2)) + base).astype(kind)
    seen = stored(finer(nibabel.Nifti1Image(values, AFFINE, dtype=kind), model=request.getfixturevalue(name)))
    assert seen.dtype == np.dtype(kind)
    means = (seen.astype(object) - base).reshape(24, 2, 20, 2, 2).sum((1, 3)) / 4
    away = np.abs(means - (values.astype(object) - base)).astype(float)
    assert away.max() <= (0 if name == "ct" else 1.5 * spread)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("shape", [(24, 20, 4, 3), (24, 20, 4, 1, 3), (24, 20, 4, 1)])
def test_several_volumes_become_as_many(finer: Callable[..., Any], suffix: str, shape: tuple[int, ...]) -> None:
    values = voxels(*shape)
    image = nibabel.Nifti1Image(values, AFFINE)
    image.header["pixdim"][4] = 2.5
    after = finer(image, f"in{suffix}", f"out{suffix}")
    assert after.shape == (48, 40, *shape[2:])
    assert after.header["pixdim"][4] == 2.5
    sums = stored(after).astype(int).reshape(24, 2, 20, 2, *shape[2:]).sum((1, 3))
    np.testing.assert_array_equal(sums, 4 * values.astype(int))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_one_of_several_volumes_is_chosen_by_number(
    finer: Callable[..., Any], tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    values = voxels(24, 20, 4, 3)
    image = nibabel.Nifti1Image(values, AFFINE)
    image.header["pixdim"][4], image.header["toffset"] = 2.5, 1
    after = finer(image, f"in{suffix}", f"out{suffix}", series="2")
    assert after.shape == (48, 40, 4)
    assert after.header["toffset"] == 3.5
    sums = stored(after).astype(int).reshape(24, 2, 20, 2, 4).sum((1, 3))
    np.testing.assert_array_equal(sums, 4 * values[..., 1].astype(int))
    source = str(tmp_path / f"in{suffix}")
    assert main(["verify", source, str(tmp_path / f"out{suffix}"), "--series", "2"]) == 0
    assert main(["verify", source, str(tmp_path / f"out{suffix}"), "--series", "1"]) == 1
    for wrong in ("0", "4", "x", "-1"):
        with pytest.raises(InputError, match="expected a number from 1 to 3"):
            geomedsr.open(source, series=wrong)
    assert main(["info", source]) == 0
    assert "4 slices × 3 volumes, 3 mm apart" in capsys.readouterr().out
    with pytest.raises(OutputError, match=r"3 volumes, for \.nrrd, expected one: .*--series"):
        geomedsr.write(geomedsr.open(source), tmp_path / "out.nrrd")


@pytest.mark.parametrize("name", ["in.hdr", "in.img"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
def test_a_pair_is_read_by_either_name(finer: Callable[..., Any], tmp_path: Path, name: str, kind: type) -> None:
    values = voxels(24, 20, 4)
    image = kind(values, AFFINE)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(4, b"<AFNI/>"))
    after = finer(image, name)
    np.testing.assert_array_equal(
        stored(after).astype(int).reshape(24, 2, 20, 2, 4).sum((1, 3)), 4 * values.astype(int)
    )
    assert after.header.extensions[0].get_content() == b"<AFNI/>"
    with pytest.raises(OutputError, match="read, not written"):
        geomedsr.write(geomedsr.open(tmp_path / name), tmp_path / f"out{name[2:]}")
    (tmp_path / {"in.hdr": "in.img", "in.img": "in.hdr"}[name]).unlink()
    with pytest.raises(InputError):
        geomedsr.open(tmp_path / name)


def test_what_is_none_of_nifti_is_refused_by_what_it_is(tmp_path: Path) -> None:
    nibabel.save(nibabel.AnalyzeImage(voxels(24, 20, 4), np.eye(4)), tmp_path / "old.hdr")
    with pytest.raises(InputError, match=r"Analyze 7\.5, which does not tell left from right"):
        geomedsr.open(tmp_path / "old.img")
    (tmp_path / "other.nii").write_bytes(bytes(1000))
    with pytest.raises(InputError, match="no NIfTI file"):
        geomedsr.open(tmp_path / "other.nii")
    colours = np.zeros((24, 20, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    for values, said in ((colours, "of colours"), (np.zeros((24, 20, 4), "complex64"), "of complex numbers")):
        nibabel.save(nibabel.Nifti1Image(values, AFFINE), tmp_path / "a.nii")
        with pytest.raises(InputError, match=f"{said}, expected one real number"):
            geomedsr.open(tmp_path / "a.nii")
    nibabel.save(nibabel.Nifti1Image(voxels(24, 20, 4), AFFINE), tmp_path / "fewer.nii")
    content = bytearray((tmp_path / "fewer.nii").read_bytes())
    for size in (-24, 0):
        struct.pack_into("<h", content, 42, size)
        (tmp_path / "fewer.nii").write_bytes(content)
        with pytest.raises(InputError, match=r"fewer\.nii without voxels"):
            geomedsr.open(tmp_path / "fewer.nii")
    nibabel.save(nibabel.Nifti1Image(np.zeros((5000, 1, 1), "f4"), AFFINE), tmp_path / "surface.nii")
    with pytest.raises(InputError, match="5000 × 1 × 1 voxels, a row of values"):
        geomedsr.open(tmp_path / "surface.nii")


@pytest.mark.parametrize("suffix", [".mgh", ".mgz"])
@pytest.mark.parametrize("kind", ["uint8", "int16", "int32", "float32"])
def test_freesurfers_volumes_are_read(finer: Callable[..., Any], tmp_path: Path, suffix: str, kind: str) -> None:
    values = voxels(24, 20, 4) // (16 if kind == "uint8" else 1)
    after = finer(nibabel.MGHImage(values.astype(kind), AFFINE), f"in{suffix}", "out.nii.gz")
    assert after.get_data_dtype() == np.dtype(kind)
    np.testing.assert_allclose(after.affine @ [-0.5, -0.5, 2, 1], AFFINE @ [-0.5, -0.5, 2, 1], atol=1e-4)
    means = stored(after).astype(float).reshape(24, 2, 20, 2, 4).mean((1, 3))
    np.testing.assert_allclose(means, values, rtol=1e-6, atol=1e-3)
    with pytest.raises(OutputError, match="read, not written"):
        geomedsr.write(geomedsr.open(tmp_path / f"in{suffix}"), tmp_path / "out.mgz")


def test_a_detached_nrrd_header_is_read(finer: Callable[..., Any], tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(voxels(4, 20, 24)), str(tmp_path / "in.nhdr"))
    after = finer(None, "in.nhdr", "out.nii")
    assert after.shape == (48, 40, 4)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_slice_is_read_without_the_others(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.stack([pixels(seed=i) for i in range(6)]).astype("int16")
    nibabel.save(nibabel.Nifti1Image(values.T, AFFINE), tmp_path / f"in{suffix}")
    scene = geomedsr.open(tmp_path / f"in{suffix}")
    for number in (4, 1):
        seen = scene.source.read(Box.of(slice(number, number + 1), geomedsr.Window(3, 5, 8, 7)))
        assert isinstance(seen.base if seen.base is not None else seen, np.ndarray)
        assert not isinstance(seen, np.memmap)
        np.testing.assert_array_equal(seen[0, 0], values[number, 5:12, 3:11])


@pytest.mark.parametrize(("axis", "shape"), [(1, (6, 20, 24)), (2, (20, 6, 24)), (3, (20, 24, 6)), (3, (20, 24, 3, 2))])
def test_a_stopped_job_goes_on_whatever_the_slice_axis(
    tmp_path: Path, ct: Model, axis: int, shape: tuple[int, ...]
) -> None:
    nibabel.save(nibabel.Nifti1Image(voxels(*shape), np.eye(4)), tmp_path / "in.nii.gz")
    scene = geomedsr.upscale(geomedsr.open(tmp_path / "in.nii.gz", slice_axis=axis), ct)
    for count in (2, 3):
        sink = pickle.loads(pickle.dumps(open_sink(scene, tmp_path / "out.nii.gz")))
        assert len(sink.done()) == (count - 2) * 2
        for box in list(boxes_of(scene.source, sink.block))[:count]:
            sink.put(box, scene.source.read(box), np.ones(1, bool))
        sink.release()
        jobs._held.clear()  # the pickled copy holds nothing
    assert not (tmp_path / "out.nii.gz").exists()
    geomedsr.write(scene, tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(
        geomedsr.open(tmp_path / "out.nii.gz", force=True).data.values, scene.source.read(Box.whole(scene.shape))
    )
    assert broken(tmp_path / "in.nii.gz", tmp_path / "out.nii.gz") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.nii.gz", "out.nii.gz"]


#: Reads a volume of 128 MiB slice by slice, and prints how much more is held at most, in parts of it.
READ = """
import sys
import geomedsr
from geomedsr.geometry import Box
from geomedsr.geometry.grid import Window

def held(what):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(what))

scene = geomedsr.open(sys.argv[1], slice_axis=int(sys.argv[2]))
count, _, height, width = scene.shape
open("/proc/self/clear_refs", "w").write("5")
before = held("VmRSS")
for number in range(0, count, 16):
    scene.source.read(Box.of(number, Window(0, 0, width, height)))
print((held("VmHWM") - before) * 1024 / (128 << 20))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_no_more_is_held_of_a_volume_than_is_read(tmp_path: Path, suffix: str) -> None:
    header = nibabel.Nifti1Header()
    header.set_data_dtype("int16")
    header.set_data_shape((512, 512, 256))
    header.set_sform(np.eye(4), 1)
    with created(tmp_path / f"in{suffix}") as file:
        header.write_to(file)
        for _ in range(256):
            file.write(bytes(512 * 512 * 2))
    command = [sys.executable, "-c", READ, str(tmp_path / f"in{suffix}"), "3"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert float(done.stdout) < 0.2
