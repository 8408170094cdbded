"""NIfTI, NRRD and MetaImage: values, world positions, metadata; and what DICOM series become in them."""

import gzip
import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from conftest import block_sums
from dicom.conftest import pixels, save_medical
from pydicom.dataset import Dataset

import geomedsr
from geomedsr.cli import main
from geomedsr.errors import InputError, OutputError, SceneWarning
from geomedsr.geometry.grid import Grid, Plane
from geomedsr.inference.passes import boxes_of
from geomedsr.io import open_sink
from geomedsr.models import Model, load_model
from geomedsr.verification.verify import verify
from geomedsr_volume.names import NIFTI
from geomedsr_volume.nifti_header import others, read_header

FORMATS = [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(save_medical(tmp_path_factory.mktemp("models") / "ct.safetensors"))


def oblique(dtype: str = "int16", depth: int = 4, planar: bool = False) -> sitk.Image:
    values = np.stack([pixels(seed=i) for i in range(depth)]).astype(dtype) - (500 if dtype[0] != "u" else 0)
    image = sitk.GetImageFromArray(values[0] if planar else values)
    if planar:
        image.SetSpacing((0.7, 0.8))
        image.SetOrigin((-10, 20.5))
        return image
    image.SetSpacing((0.7, 0.8, 3.0))
    image.SetOrigin((-10.25, 20.5, 30.125))
    turn = sitk.Euler3DTransform()
    turn.SetRotation(0.3, -0.2, 0.4)
    image.SetDirection(turn.GetMatrix())
    return image


@pytest.fixture
def volume(tmp_path: Path) -> Callable[..., Path]:
    def make(suffix: str = ".nii.gz", image: sitk.Image | None = None) -> Path:
        path = tmp_path / f"in{suffix}"
        sitk.WriteImage(image or oblique(), str(path))
        return path

    return make


def kept(sr: geomedsr.Scene) -> dict[str, str]:
    """What a volume says of how it was made: all but the name of a file, which may be a patient's."""
    return {key: text for key, text in sr.provenance.items() if key != "GEOMEDSR_SOURCE"}


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_landmark_keeps_its_place_and_blocks_their_mean(
    volume: Callable[..., Path], tmp_path: Path, model: Model, suffix: str
) -> None:
    source, out = volume(suffix), tmp_path / f"out{suffix}"
    scene = geomedsr.open(source)
    assert scene.shape == (4, 1, 20, 24)
    geomedsr.write(geomedsr.upscale(scene, model), out)
    before, after = sitk.ReadImage(str(source)), sitk.ReadImage(str(out))
    assert after.GetSize() == (48, 40, 4)
    assert after.GetPixelID() == before.GetPixelID()
    for point in ((0, 0, 0), (23, 19, 3), (7.25, 3.5, 1.5)):
        world = before.TransformContinuousIndexToPhysicalPoint(point)
        expected = ((point[0] + 0.5) * 2 - 0.5, (point[1] + 0.5) * 2 - 0.5, point[2])
        np.testing.assert_allclose(after.TransformPhysicalPointToContinuousIndex(world), expected, atol=0.01)
    values = sitk.GetArrayFromImage(after)
    assert (block_sums(values, 2) == 4 * sitk.GetArrayFromImage(before).astype(object)).all()
    checks = verify(source, out)
    assert [c for c in checks if c.kept is False] == []
    assert len(checks) >= 9


def test_nibabel_finds_the_same_places(volume: Callable[..., Path], tmp_path: Path, model: Model) -> None:
    source, out = volume(), tmp_path / "out.nii.gz"
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), model), out)
    before, after = nibabel.load(source), nibabel.load(out)
    assert before.header.get_xyzt_units()[0] == after.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(
        after.affine @ [2 * 7.25 + 0.5, 2 * 3.5 + 0.5, 2, 1], before.affine @ [7.25, 3.5, 2, 1], atol=1e-4
    )
    assert after.affine[:3, :3] == pytest.approx(before.affine[:3, :3] @ np.diag([0.5, 0.5, 1]), abs=1e-6)
    assert after.get_data_dtype() == before.get_data_dtype()
    text = bytes(after.header["descrip"]).decode()
    assert text.startswith(f"geomedsr {geomedsr.__version__} tiny-ct 0.0.1 x2 block-mean kept {model.sha256[:8]}")


def test_what_other_programs_leave_of_nifti_tells_realism_neighbours_and_tiling(
    volume: Callable[..., Path], tmp_path: Path, model: Model
) -> None:
    sr = geomedsr.upscale(geomedsr.open(volume()), model)
    more = {"GEOMEDSR_REALISM": "0.25", "GEOMEDSR_NEIGHBOURS": "1", "GEOMEDSR_TILING": "approximate tiling, halo 32"}
    for facts in (more, {}, {"GEOMEDSR_NEIGHBOURS": "2"}):
        out, again = tmp_path / "out.nii.gz", tmp_path / "again.nii.gz"
        geomedsr.write(replace(sr, provenance={**sr.provenance, **facts}), out, overwrite=True)
        assert geomedsr.open(out, force=True).provenance == {**kept(sr), **facts}
        sitk.WriteImage(sitk.ReadImage(str(out)), str(again))  # which drops comments
        told = geomedsr.open(again, force=True).provenance
        assert {key: told[key] for key in more if key in told} == facts
        assert (told["GEOMEDSR_MODEL"], told["GEOMEDSR_CONSERVED"]) == ("tiny-ct", "yes")
        assert model.sha256.startswith(told["GEOMEDSR_MODEL_SHA256"])


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_volume_made_finer_again_names_every_model(
    volume: Callable[..., Path], tmp_path: Path, model: Model, suffix: str
) -> None:
    last = volume(suffix)
    for number in (1, 2, 3):
        source, last = last, tmp_path / f"{number}{suffix}"
        sr = geomedsr.upscale(geomedsr.open(source, force=True).crop(geomedsr.Window(0, 0, 16, 16)), model)
        geomedsr.write(sr, last)
        told = geomedsr.open(last, force=True).provenance
        assert told == kept(sr)
        once = f"tiny-ct 0.0.1 ({model.sha256[:12]}) x2"
        assert told.get("GEOMEDSR_BEFORE", "") == ", ".join([once] * (number - 1))
        assert told["GEOMEDSR_NOTE"].startswith(f"Detail finer than {2**number} pixels")
        np.testing.assert_array_equal(geomedsr.open(last, force=True).data.values, sr.data.values)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_a_window_of_a_volume_is_verified_as_that_part_of_it(
    volume: Callable[..., Path], tmp_path: Path, model: Model, suffix: str
) -> None:
    source, out = volume(suffix), tmp_path / f"out{suffix}"
    sr = geomedsr.upscale(geomedsr.open(source), model).crop(geomedsr.Window(6, 8, 20, 24))
    geomedsr.write(sr, out)
    assert geomedsr.open(out, force=True).provenance["GEOMEDSR_WINDOW"] == "3,4,10,12"
    assert [c for c in verify(source, out) if c.kept is False] == []
    again = geomedsr.upscale(geomedsr.open(out, force=True), model)
    assert "GEOMEDSR_WINDOW" not in again.provenance  # the first pass's choice, not this one's
    values = sr.data.values.copy()
    values[2, 0, 11, 7] += 9
    image = sitk.GetImageFromArray(values[:, 0])
    image.CopyInformation(sitk.ReadImage(str(out)))
    image.SetMetaData("GEOMEDSR_WINDOW", "3,4,10,12")
    sitk.WriteImage(image, str(tmp_path / "changed.nrrd"))
    broken = [c.promise for c in verify(source, tmp_path / "changed.nrrd") if c.kept is False]
    assert "the mean of each 2 × 2 block is the source's pixel" in broken
    assert not any("field of view" in promise for promise in broken)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("text", ['{"GEOMEDSR_MODEL": "m"}', ""])
def test_nifti_is_written_slice_by_slice_behind_the_header_of_the_source(
    tmp_path: Path, kind: type, order: str, text: str
) -> None:
    values = np.stack([pixels(seed=i) for i in range(3)]).astype(f"{order}i2")
    image = kind(values.T, np.diag([1, 2, 3, 1]), kind.header_class(endianness=order))
    image.set_data_dtype(values.dtype)
    if text:
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, text.encode()))
    nibabel.save(image, tmp_path / "in.nii")
    slices = [plane.tobytes() for plane in values]
    for name in ("a.nii", "b.nii.gz"):
        path = tmp_path / name
        scene = geomedsr.open(tmp_path / "in.nii", force=True)
        assert scene.provenance == ({"GEOMEDSR_MODEL": "m"} if text else {})
        np.testing.assert_array_equal(scene.data.values[:, 0], values)
        sink = open_sink(scene, path)
        head = sink.head  # type: ignore[attr-defined]
        sink.discard()
        geomedsr.write(scene, path)
        seen = nibabel.load(path)
        assert type(seen) is kind
        assert seen.header.endianness == order
        np.testing.assert_array_equal(seen.get_fdata(), values.T)
        np.testing.assert_array_equal(seen.affine, image.affine)
        comments = [(e.get_code(), e.get_content().rstrip(b"\0")) for e in seen.header.extensions]
        assert comments == ([(6, text.encode())] if text else [])
        assert head.holds(path, slices)
        assert not head.holds(path, slices[:2])
        assert not head.holds(path, [*slices[:2], slices[0]])
        again = geomedsr.open(path, force=True)
        assert again.provenance == scene.provenance
        np.testing.assert_array_equal(again.data.values[:, 0], values)
        path.write_bytes(path.read_bytes()[:-40])
        assert not head.holds(path, slices)
        with pytest.raises(InputError, match="a volume"):
            geomedsr.open(path, force=True).data.compute()


@pytest.mark.parametrize("planar", [False, True])
def test_nifti_has_the_header_that_itk_writes(tmp_path: Path, planar: bool) -> None:
    sitk.WriteImage(oblique(planar=planar), str(tmp_path / "in.nrrd"))
    scene = geomedsr.open(tmp_path / "in.nrrd")
    sink = open_sink(scene, tmp_path / "ours.nii")
    sitk.WriteImage(sink._image(scene.data.values[:, 0]), str(tmp_path / "itk.nii"))  # type: ignore[attr-defined]
    sink.discard()
    geomedsr.write(scene, tmp_path / "ours.nii")
    ours, itk = (nibabel.load(tmp_path / f"{name}.nii") for name in ("ours", "itk"))
    assert ours.header.keys() == itk.header.keys()
    for field in ours.header:
        seen, expected = ours.header[field], itk.header[field]
        if seen.dtype.kind == "f":
            np.testing.assert_allclose(seen, expected, rtol=1e-6, atol=1e-7)
        else:
            assert seen == expected if seen.ndim == 0 else (seen == expected).all()
    assert ours.dataobj.offset == itk.dataobj.offset
    np.testing.assert_array_equal(ours.dataobj.get_unscaled(), itk.dataobj.get_unscaled())


def test_comments_of_others_are_no_provenance(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(pixels().astype("int16")[..., None], np.eye(4))
    for code, text in ((6, b"seen by A"), (6, b'["GEOMEDSR_MODEL"]'), (4, b'{"GEOMEDSR_MODEL": "m"}')):
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(code, text))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, b'{"GEOMEDSR_A": "1", "GEOMEDSR_B": 2, "C": "3"}'))
    nibabel.save(image, tmp_path / "a.nii.gz")
    assert geomedsr.open(tmp_path / "a.nii.gz").provenance == {"GEOMEDSR_A": "1"}
    fields = read_header(str(tmp_path / "a.nii.gz")).fields
    assert fields is not None
    assert others(fields)[:3] == [(6, b"seen by A"), (6, b'["GEOMEDSR_MODEL"]'), (4, b'{"GEOMEDSR_MODEL": "m"}')]
    assert others(fields)[3:] == [(6, b'{"C": "3"}')]
    (tmp_path / "cut.nii.gz").write_bytes((tmp_path / "a.nii.gz").read_bytes()[:60])
    with pytest.raises(InputError, match="a volume that is cut short"):
        geomedsr.open(tmp_path / "cut.nii.gz")


@pytest.mark.parametrize("suffix", [".nii.gz", ".NII.GZ"])
@pytest.mark.parametrize("beside", [oblique("float32", 2), oblique()])  # another size; another volume of the same
def test_a_compressed_volume_is_itself_beside_another_of_its_name(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch, suffix: str, beside: sitk.Image
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    named, alone = tmp_path / f"in{suffix}", tmp_path / "alone.nii.gz"
    sitk.WriteImage(oblique() + 100, str(alone))
    alone.rename(named)
    before = geomedsr.open(named)
    seen, headers = before.data.values, before.headers
    sitk.WriteImage(beside, str(tmp_path / "beside.nii"))
    (tmp_path / "beside.nii").rename(tmp_path / f"in{suffix[:4]}")
    os.utime(named, ns=(0, 0))  # nothing is remembered of it
    monkeypatch.chdir(tmp_path)
    scene = geomedsr.open(named.name)
    np.testing.assert_array_equal(scene.data.values, seen)
    assert (scene.headers, scene.name, scene.files) == (headers, named.name, (named.name,))
    sr, out = geomedsr.upscale(scene, model), tmp_path / "out.nii.gz"
    geomedsr.write(sr, out)
    sitk.WriteImage(beside, str(tmp_path / "out.nii"))
    np.testing.assert_array_equal(geomedsr.open(out, force=True).data.values, sr.data.values)
    checks = verify(named, out)
    assert [c for c in checks if c.kept is False] == []
    assert len(checks) >= 9
    assert not list(temporary.iterdir())


def test_volumes_of_one_name_are_read_each_as_itself(tmp_path: Path) -> None:
    for number, suffix in enumerate([".hdr", *FORMATS]):  # a pair, .hdr and .img, is not read here; it may lie there
        sitk.WriteImage(oblique() + number, str(tmp_path / f"in{suffix}"), useCompression=suffix in (".mhd", ".nrrd"))
    (tmp_path / "in.raw").write_bytes(bytes(8 * 20 * 24))
    expected = sitk.GetArrayFromImage(oblique())[:, None]
    for number, suffix in enumerate(FORMATS, 1):
        np.testing.assert_array_equal(geomedsr.open(tmp_path / f"in{suffix}").data.values, expected + number)


def test_no_room_for_a_compressed_volume_is_told(
    volume: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = volume(".nii.gz")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(InputError, match=rf"got {re.escape(str(named))}, which takes .* temporary files .* TMPDIR"):
        geomedsr.open(named).data.compute()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "float64"])
def test_every_type_comes_out_as_it_went_in(
    volume: Callable[..., Path], tmp_path: Path, model: Model, dtype: str
) -> None:
    source, out = volume(".nrrd", oblique(dtype)), tmp_path / "out.nrrd"
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), model), out)
    assert geomedsr.open(out, force=True).dtype == dtype
    assert [c for c in verify(source, out) if c.kept is False] == []


def test_a_single_slice_stays_one(volume: Callable[..., Path], tmp_path: Path, model: Model) -> None:
    source, out = volume(".mha", oblique(planar=True)), tmp_path / "out.mha"
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), model), out)
    image = sitk.ReadImage(str(out))
    assert image.GetSize() == (48, 40)
    assert image.GetSpacing() == pytest.approx((0.35, 0.4))
    assert image.GetOrigin() == pytest.approx((-10 - 0.175, 20.5 - 0.2))


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_metadata_and_provenance(volume: Callable[..., Path], tmp_path: Path, model: Model, suffix: str) -> None:
    image = oblique()
    image.SetMetaData("Scanner", "A")
    out = tmp_path / f"out{suffix}"
    geomedsr.write(geomedsr.upscale(geomedsr.open(volume(suffix, image)), model), out)
    written = sitk.ReadImage(str(out))
    assert written.GetMetaData("Scanner") == "A"
    assert written.GetMetaData("GEOMEDSR_MODEL_SHA256") == model.sha256


def test_a_volume_needs_a_model(
    volume: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["upscale", str(volume()), str(tmp_path / "out.nii.gz")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "does not say what it shows" in error
    assert "--model" in error


def test_refused(volume: Callable[..., Path], tmp_path: Path, model: Model) -> None:
    vector = sitk.GetImageFromArray(np.zeros((3, 4, 5, 3), "uint8"), isVector=True)
    four = sitk.JoinSeries([oblique(), oblique()])
    broken = volume(".nrrd")
    broken.write_bytes(broken.read_bytes()[:-500])
    with pytest.raises(InputError, match="SimpleITK cannot read"):
        geomedsr.open(broken).data.compute()
    for image, said in ((vector, "one real number per voxel"), (four, "of 4 axes")):
        with pytest.raises(InputError, match=said):
            geomedsr.open(volume(".nrrd", image))
    with pytest.raises(InputError, match="does not exist"):
        geomedsr.open(tmp_path / "missing.nii.gz")
    (tmp_path / "empty.nii").touch()
    with pytest.raises(InputError, match="a volume that is cut short"):
        geomedsr.open(tmp_path / "empty.nii")
    source = volume(".mha")
    sr = geomedsr.upscale(geomedsr.open(source), model)
    (tmp_path / "there.mha").write_text("precious")
    for target, options, said in (
        (source, {"overwrite": True}, "the input itself"),
        (tmp_path / "there.mha", {}, "which exists"),
        (tmp_path / "folder", {}, "one that an adapter writes"),
        (tmp_path / "missing" / "a.mha", {}, "a folder that exists"),
    ):
        with pytest.raises(OutputError, match=said):
            geomedsr.write(sr, target, **options)
    assert not list(tmp_path.glob(".*"))


@pytest.fixture
def series(tmp_path: Path) -> Callable[..., Path]:
    from dicom.conftest import save, slice_of

    def make(edit: Callable[[Dataset, int], None]) -> Path:
        for index in range(4):
            ds = slice_of(pixels(seed=index), index)
            edit(ds, index)
            save(ds, tmp_path / "in" / f"{index}.dcm")
        return tmp_path / "in"

    return make


def test_a_dicom_series_becomes_a_volume_of_hu(series: Callable[..., Path], tmp_path: Path, model: Model) -> None:
    source, out = series(lambda ds, i: None), tmp_path / "out.nii.gz"
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), model), out)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(source)))
    before, after = reader.Execute(), sitk.ReadImage(str(out))
    assert after.GetPixelIDTypeAsString() == "16-bit signed integer" or after.GetPixelIDTypeAsString().startswith("32")
    hu = sitk.GetArrayFromImage(after).astype(int)
    np.testing.assert_array_equal(
        hu.reshape(4, 20, 2, 24, 2).sum((2, 4)), 4 * sitk.GetArrayFromImage(before).astype(int)
    )
    assert [c for c in verify(source, out) if c.kept is False] == []
    world = before.TransformContinuousIndexToPhysicalPoint((7.25, 3.5, 2))
    np.testing.assert_allclose(after.TransformPhysicalPointToContinuousIndex(world), (15, 7.5, 2), atol=0.01)


def test_slopes_become_floats(series: Callable[..., Path], tmp_path: Path, model: Model) -> None:
    source = series(lambda ds, i: setattr(ds, "RescaleSlope", 0.5 + i))
    scene = geomedsr.upscale(geomedsr.open(source), model)
    geomedsr.write(scene, tmp_path / "out.nrrd")
    assert [c for c in verify(source, tmp_path / "out.nrrd") if c.kept is False] == []
    image = sitk.ReadImage(str(tmp_path / "out.nrrd"))
    np.testing.assert_allclose(sitk.GetArrayFromImage(image), scene.physical().values[:, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("depths", "lean", "said"),
    [
        ([0, 4, 12, 16], 0, "gaps where 1 slice would fit"),
        ([0, 4, 8.3, 12], 0, "differs by up to 8%"),
        ([0, 4, 4, 8], 0, "position of another"),
        ([0, 4, 8, 12], 0.03, "1.7° off"),
    ],
)
def test_only_a_volume_refuses_an_uneven_stack(
    series: Callable[..., Path], tmp_path: Path, model: Model, depths: list[float], lean: float, said: str
) -> None:
    def place(ds: Dataset, i: int) -> None:
        ds.ImagePositionPatient = [lean * depths[i], 0, depths[i]]

    with pytest.warns(SceneWarning, match=said):
        scene = geomedsr.upscale(geomedsr.open(series(place)), model)
    with pytest.raises(OutputError, match=said):
        geomedsr.write(scene, tmp_path / "out.nii.gz")
    geomedsr.write(scene, tmp_path / "out")


def test_a_small_wander_is_told_not_refused(series: Callable[..., Path], tmp_path: Path, model: Model) -> None:
    source = series(lambda ds, i: setattr(ds, "ImagePositionPatient", [0.02 * i, 0, [0, 6.96, 14.0, 21.0][i]]))
    scene = geomedsr.upscale(geomedsr.open(source), model)
    with pytest.warns(SceneWarning, match=r"slices lie up to 0\.\d+ mm off"):
        geomedsr.write(scene, tmp_path / "out.nii.gz")


def commented(path: Path, *comments: str) -> Path:
    """A NIfTI file with comments of others."""
    image = nibabel.Nifti1Image(pixels().astype("int16").T[..., None], np.diag([1, 2, 3, 1]))
    for text in comments:
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, text.encode()))
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("offset", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_voxels_that_begin_nowhere_are_damage(tmp_path: Path, suffix: str, offset: float) -> None:
    whole = bytearray(commented(tmp_path / "whole.nii").read_bytes())
    struct.pack_into("<f", whole, 108, offset)
    path = tmp_path / f"in{suffix}"
    path.write_bytes(gzip.compress(whole) if suffix == ".nii.gz" else whole)
    with pytest.raises(InputError, match=rf"got {re.escape(str(path))}, a volume .*copy it again") as caught:
        geomedsr.open(path).data.compute()
    assert "\n" not in str(caught.value)


def test_a_comment_that_is_nested_without_end_is_no_provenance(tmp_path: Path) -> None:
    path = commented(tmp_path / "in.nii", "[" * 100_000, '{"GEOMEDSR_A": "1"}')
    assert geomedsr.open(path).provenance == {"GEOMEDSR_A": "1"}


def test_a_provenance_of_which_little_is_told_is_kept_as_it_is(tmp_path: Path) -> None:
    told = {"GEOMEDSR_MODEL": "m"}
    scene = geomedsr.open(commented(tmp_path / "in.nii", json.dumps(told)), force=True)
    geomedsr.write(scene, tmp_path / "out.nii.gz")
    assert geomedsr.open(tmp_path / "out.nii.gz", force=True).provenance == told
    assert bytes(nibabel.load(tmp_path / "out.nii.gz").header["descrip"]).rstrip(b"\0") == b""


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_name_of_the_source_is_not_in_the_result(
    volume: Callable[..., Path], tmp_path: Path, model: Model, suffix: str
) -> None:
    source, folder = volume().rename(tmp_path / "Hopper_Grace.nii.gz"), tmp_path / "out"
    folder.mkdir()
    sr = geomedsr.upscale(geomedsr.open(source), model)
    assert "Hopper" in sr.provenance["GEOMEDSR_SOURCE"]
    geomedsr.write(sr, folder / f"out{suffix}")
    geomedsr.write(geomedsr.open(folder / f"out{suffix}", force=True), folder / f"copy{suffix}")
    for path in folder.iterdir():
        data = path.read_bytes()
        assert b"Hopper" not in (gzip.decompress(data) if suffix == ".nii.gz" else data)
    assert geomedsr.open(folder / f"copy{suffix}", force=True).provenance == kept(sr)


@pytest.mark.parametrize(
    ("there", "name"), [("a.nii", "a.nii.gz"), ("a.nii.gz", "a.nii"), ("A.NII", "A.NII.GZ"), ("A.NII.GZ", "A.NII")]
)
def test_a_volume_is_not_written_where_it_would_be_confused(
    volume: Callable[..., Path], tmp_path: Path, model: Model, there: str, name: str
) -> None:
    (tmp_path / there).write_text("precious")
    source = volume(".mha")
    sr = geomedsr.upscale(geomedsr.open(source), model)
    said = rf"{re.escape(name)} beside .*{re.escape(there)}.*another name or folder"
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=said):
            geomedsr.write(sr, tmp_path / name, overwrite=overwrite)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([there, "in.mha"])
    assert (tmp_path / there).read_text() == "precious"
    geomedsr.write(sr, tmp_path / f"b{name[1:]}")
    geomedsr.write(sr, tmp_path / "a.mha")  # other formats are not


def test_two_workers_may_store_the_same_slice(
    volume: Callable[..., Path], tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    sr, out = geomedsr.upscale(geomedsr.open(volume()), model), tmp_path / "out.mha"
    parts = [(r, sr.source.read(r), np.ones(1, bool)) for r in boxes_of(sr.source)]
    sink, rename = open_sink(sr, out), os.replace

    def meanwhile(*names: Path) -> None:
        monkeypatch.setattr(os, "replace", rename)
        sink.put(*parts[0])
        rename(*names)

    monkeypatch.setattr(os, "replace", meanwhile)
    for part in parts:
        sink.put(*part)
    sink.finish()
    np.testing.assert_array_equal(geomedsr.open(out, force=True).data.values, sr.data.values)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.nii.gz", "out.mha"]


def test_what_a_stopped_worker_had_begun_is_removed(
    volume: Callable[..., Path], tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*names: Path) -> None:
        raise KeyboardInterrupt

    def full(*names: Path) -> None:
        raise OSError(28, "No space left on device")

    sr, out = geomedsr.upscale(geomedsr.open(volume()), model), tmp_path / "out.mha"
    region = next(iter(boxes_of(sr.source)))
    part = region, sr.source.read(region), np.ones(1, bool)
    for failing, error, left in ((stopped, KeyboardInterrupt, 1), (full, OutputError, 0)):
        sink = open_sink(sr, out)
        assert not list(tmp_path.glob(".out.*/*/.*"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", failing)
            if failing is stopped:  # a worker that is killed removes nothing
                patch.setattr(Path, "unlink", stopped)
            with pytest.raises(error):
                sink.put(*part)
        assert len(list(tmp_path.glob(".out.*/*/.*.part"))) == left
        sink.release()
    geomedsr.write(sr, out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.nii.gz", "out.mha"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_geomedsr_made_is_refused_unless_forced(
    volume: Callable[..., Path], tmp_path: Path, model: Model, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out, twice = volume(suffix), tmp_path / f"out{suffix}", tmp_path / f"twice{suffix}"
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), model), out)
    words = ["upscale", str(out), str(twice), "--model", str(model.path), "--quiet"]
    assert main(words) == 2
    assert capsys.readouterr().err == (
        f"error: got {out}, which geomedsr made, expected a volume from a scanner: add --force to go on all the same\n"
    )
    assert main([*words, "--force"]) == 0
    assert geomedsr.open(twice, force=True).shape == (4, 1, 80, 96)
    assert main(["info", str(out)]) == 0
    if suffix in NIFTI:  # whose description tells it too
        again = tmp_path / "again.nii.gz"
        sitk.WriteImage(sitk.ReadImage(str(out)), str(again))
        with pytest.raises(InputError, match="which geomedsr made"):
            geomedsr.open(again)


def test_slices_that_are_read_in_parts_are_stored_whole(tmp_path: Path) -> None:
    values = np.stack([pixels(40, 600, seed=i) for i in range(2)])[:, None]
    planes = tuple(Plane((0, 0, 3 * i), (1, 0, 0), (0, 1, 0), (1, 1)) for i in range(2))
    geomedsr.write(geomedsr.Scene.from_array(values, grid=Grid((40, 600), planes=planes)), tmp_path / "a.mha")
    np.testing.assert_array_equal(geomedsr.open(tmp_path / "a.mha").data.values, values)


@pytest.mark.parametrize("shape", [(1, 1, 2, 40_000), (40_000, 1, 2, 2)])
def test_what_nifti_cannot_hold_is_refused_before_the_work(tmp_path: Path, shape: tuple[int, int, int, int]) -> None:
    planes = tuple(Plane((0, 0, 3 * i), (1, 0, 0), (0, 1, 0), (1, 1)) for i in range(shape[0]))
    scene = geomedsr.Scene.from_array(np.zeros(shape, "uint8"), grid=Grid(shape[2:], planes=planes))
    with pytest.raises(OutputError, match=r"got 40000 voxels along an axis, .* at most 32767: write \.nrrd"):
        open_sink(scene, tmp_path / "a.nii.gz")
    assert not any(tmp_path.iterdir())


#: Stores a volume of 96 MiB, and prints how much more is held at most while it is finished, in parts of the result.
FINISH = """
import sys
import numpy as np
from geomedsr import Grid, Scene
from geomedsr.io import open_sink
from geomedsr.geometry.grid import Plane
from geomedsr.inference.passes import boxes_of

def held(what):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(what))

count, side = 24, 1448
planes = tuple(Plane((0, 0, 3 * i), (1, 0, 0), (0, 1, 0), (1, 1)) for i in range(count))
small = np.random.default_rng(0).integers(0, 4000, (count, 1, 1, 1)).astype("int16")
scene = Scene.from_array(np.broadcast_to(small, (count, 1, side, side)), grid=Grid((side, side), planes=planes))
sink = open_sink(scene, sys.argv[1])
for region in boxes_of(scene.source, sink.block):
    values = scene.source.read(region)
    noise = np.random.default_rng(region.start[0]).integers(0, 4000, values.shape)
    sink.put(region, (values + noise).astype("int16"), np.ones(1, bool))
open("/proc/self/clear_refs", "w").write("5")  # the most that was held is forgotten
before = held("VmRSS")
sink.finish()
print((held("VmHWM") - before) * 1024 / (count * side * side * 2))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_volume_is_finished_within_the_memory_that_the_guide_tells(tmp_path: Path, suffix: str) -> None:
    command = [sys.executable, "-c", FINISH, str(tmp_path / f"out{suffix}")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    most = {".nii": 0.2, ".nii.gz": 0.2, ".nrrd": 2.2}.get(suffix, 4)  # MetaImage compresses all at once
    assert float(done.stdout) < most
