"""New slices between those of a series: positions, numbers, references, and what is told of tampering."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from placing import check_halved
from pydicom.dataset import Dataset
from toys import toy

import geomedsr
from dicom.conftest import TILTED, enhanced, files, pixels, save, slice_of
from geomedsr.errors import InputError, OutputError
from geomedsr.geometry import Factors
from geomedsr.inference import process
from geomedsr.io import open_scene
from geomedsr.verification.verify import verify

Series = Callable[..., Path]

MODELS = {Factors(2, 1, 1): toy(frame_factor=2), Factors(2, 2, 2): toy(frame_factor=2, scale=2)}
NORMAL = np.cross(TILTED[:3], TILTED[3:])


def oblique(ds: Dataset, index: int) -> None:
    ds.ImageOrientationPatient = list(TILTED)
    place = np.array([-60.5, -50.25, 10.0]) + 4 * index * NORMAL
    ds.ImagePositionPatient = [round(float(v), 9) for v in place]


def mr(ds: Dataset, index: int) -> None:
    """With all that tells of a slice's place, against the normal."""
    oblique(ds, index)
    ds.SpacingBetweenSlices, ds.SliceLocation, ds.InstanceNumber = 4, 17.5 - 4 * index, 9 - index


def finer(source: Path, out: Path, factors: Factors) -> geomedsr.Scene:
    made = process(MODELS[factors], image=geomedsr.open(source), precision="float32")["image"]
    geomedsr.write(made, out)
    again = open_scene(out, force=True)
    np.testing.assert_array_equal(again.data.values, made.data.values)
    for old, new in zip(made.grid.planes, again.grid.planes, strict=True):
        np.testing.assert_allclose(new.position, old.position, atol=1e-6)
        assert new.thickness == pytest.approx(2)
    return again


def broken(source: Path, out: Path) -> list[str]:
    return [f"{check.promise}: {check.detail}" for check in verify(source, out) if check.kept is False]


@pytest.mark.parametrize("factors", MODELS)
@pytest.mark.parametrize(("modality", "edit"), [("CT", None), ("CT", oblique), ("MR", mr)])
def test_a_series_gets_slices_within_its_own(
    series: Series, tmp_path: Path, factors: Factors, modality: str, edit: Callable[[Dataset, int], None] | None
) -> None:
    source = series(4, edit=edit, modality=modality)
    scene = finer(source, tmp_path / "out", factors)
    assert broken(source, tmp_path / "out") == []
    assert scene.provenance.model.factors == factors
    before = [pydicom.dcmread(path) for path in files(source)]
    after = [pydicom.dcmread(frame.path) for frame in scene.headers]
    assert len(after) == 8
    normal = np.cross(*np.reshape([float(v) for v in before[0].ImageOrientationPatient], (2, 3)))
    depths = [float(np.dot(ds.ImagePositionPatient, normal)) for ds in after]
    first = float(np.dot(before[0].ImagePositionPatient, normal))
    np.testing.assert_allclose(depths, first - 1 + 2 * np.arange(8), atol=1e-6)  # outer faces 2 mm before and after
    assert [int(ds.InstanceNumber) for ds in after] == list(range(1, 9))
    assert len({ds.SOPInstanceUID for ds in [*before, *after]}) == 12
    assert {float(ds.SliceThickness) for ds in after} == {2}
    for number, ds in enumerate(after):
        old = before[number // 2]
        (named,) = ds.SourceImageSequence
        assert named.ReferencedSOPInstanceUID == old.SOPInstanceUID
        assert (ds.StudyInstanceUID, ds.FrameOfReferenceUID) == (old.StudyInstanceUID, old.FrameOfReferenceUID)
        assert ds.get("RescaleIntercept") == old.get("RescaleIntercept")
        how = "x2 in plane and x2 through plane" if factors.x > 1 else "x2 through plane"
        assert ds.DerivationDescription.startswith(f"Super-resolved {how} by geomedsr")
        assert ds.ContributingEquipmentSequence[0].ContributionDescription == f"Super-resolution {how}"
        if modality == "MR":
            assert float(ds.SpacingBetweenSlices) == 2
            assert float(ds.SliceLocation) == pytest.approx(17.5 + 1 - 2 * number)
        else:
            assert "SpacingBetweenSlices" not in ds
            assert "SliceLocation" not in ds
    blocks = scene.data.values.astype(int).reshape(4, 2, 20, factors.y, 24, factors.x).sum((1, 3, 5))
    np.testing.assert_array_equal(blocks, np.stack([ds.pixel_array.astype(int) for ds in before]) * factors.volume)


def test_other_programs_see_one_volume_in_the_same_place(series: Series, tmp_path: Path) -> None:
    source = series(4, edit=oblique)
    finer(source, tmp_path / "out", Factors(2, 2, 2))
    volumes = []
    for folder in (source, tmp_path / "out"):
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        volumes.append(reader.Execute())
    check_halved(*volumes)


@pytest.mark.parametrize("factors", MODELS)
@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("turned", [False, True])
def test_an_enhanced_image_gets_frames_within_its_own(
    tmp_path: Path, factors: Factors, modality: str, turned: bool
) -> None:
    ds = enhanced([pixels(seed=seed) for seed in range(3)], modality)
    if turned:  # frames against the normal, numbered along it
        groups = list(ds.PerFrameFunctionalGroupsSequence)
        ds.PerFrameFunctionalGroupsSequence = pydicom.Sequence(groups[::-1])
    source = save(ds, tmp_path / "in.dcm")
    scene = finer(source, tmp_path / "out.dcm", factors)
    assert broken(source, tmp_path / "out.dcm") == []
    made = pydicom.dcmread(tmp_path / "out.dcm")
    assert made.NumberOfFrames == 6
    assert float(made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness) == 2
    items = made.PerFrameFunctionalGroupsSequence
    depths = [float(np.dot(i.PlanePositionSequence[0].ImagePositionPatient, NORMAL)) for i in items]
    assert np.allclose(np.diff(depths), -2 if turned else 2, atol=1e-6)
    numbers = [int(i.FrameContentSequence[0].InStackPositionNumber) for i in items]
    assert numbers == ([6, 5, 4, 3, 2, 1] if turned else [1, 2, 3, 4, 5, 6])
    assert [int(i.FrameContentSequence[0].DimensionIndexValues) for i in items] == numbers
    organization = made.DimensionOrganizationSequence[0].DimensionOrganizationUID
    assert organization == made.DimensionIndexSequence[0].DimensionOrganizationUID != "2.25.78"
    named = [i.DerivationImageSequence[0].SourceImageSequence[0] for i in items]
    assert [int(n.ReferencedFrameNumber) for n in named] == [1, 1, 2, 2, 3, 3]
    assert {n.ReferencedSOPInstanceUID for n in named} == {"2.25.77"}
    assert len(scene.headers) == 6


def test_neighbours_are_sources_of_each_new_slice(series: Series, tmp_path: Path) -> None:
    source = series(3)
    made = process(toy(frame_factor=2, neighbours=1), image=geomedsr.open(source), precision="float32")["image"]
    geomedsr.write(made, tmp_path / "out")
    assert broken(source, tmp_path / "out") == []
    uids = [pydicom.dcmread(path).SOPInstanceUID for path in files(source)]
    named = [
        [item.ReferencedSOPInstanceUID for item in pydicom.dcmread(frame.path).SourceImageSequence]
        for frame in open_scene(tmp_path / "out", force=True).headers
    ]
    assert named[2:4] == [[uids[1], uids[0], uids[2]]] * 2


def test_each_time_of_a_series_gets_slices_of_its_own(series: Series, tmp_path: Path) -> None:
    def edit(ds: Dataset, index: int) -> None:
        ds.ImagePositionPatient = [-60.5, -50.25, 10.0 + 4 * (index % 3)]
        ds.TemporalPositionIdentifier = index // 3 + 1

    source = series(6, edit=edit, modality="MR")
    finer(source, tmp_path / "out", Factors(2, 1, 1))
    assert broken(source, tmp_path / "out") == []


def test_a_seed_makes_the_same_slices_again(series: Series, tmp_path: Path) -> None:
    source = series(2)
    made = process(MODELS[Factors(2, 1, 1)], image=geomedsr.open(source), precision="float32")["image"]
    for name in ("one", "two"):
        geomedsr.write(made, tmp_path / name, uid_seed="s")
    assert [p.read_bytes() for p in files(tmp_path / "one")] == [p.read_bytes() for p in files(tmp_path / "two")]


def voxel(ds: Dataset) -> None:
    values = ds.pixel_array.copy()
    values[3, 4] += 1
    ds.PixelData = values.tobytes()


def moved(ds: Dataset) -> None:
    ds.ImagePositionPatient = [*ds.ImagePositionPatient[:2], float(ds.ImagePositionPatient[2]) + 0.3]


def another(ds: Dataset) -> None:
    ds.SourceImageSequence[0].ReferencedSOPInstanceUID = "2.25.1003"


def changed(**more: Any) -> Callable[[Dataset], None]:
    def edit(ds: Dataset) -> None:
        for name, value in more.items():
            setattr(ds, name, value)

    return edit


TAMPERED = {
    "the mean of each 1 × 1 block of 2 slices": voxel,
    "same field of view": moved,
    "each slice names the one that it comes from": another,
    "slice thickness, spacing and location": changed(SliceThickness=4),
    "SpacingBetweenSlices (1 slices)": changed(SpacingBetweenSlices=4),
    "SliceLocation (2 slices)": changed(SliceLocation=99),
    "the same for several: InstanceNumber": changed(InstanceNumber=1),
}


@pytest.mark.filterwarnings("ignore:MR series 1003 has slice spacing")
@pytest.mark.parametrize("promise", TAMPERED)
def test_what_was_tampered_with_is_told(series: Series, tmp_path: Path, promise: str) -> None:
    source = series(4, edit=mr, modality="MR")
    scene = finer(source, tmp_path / "out", Factors(2, 1, 1))
    path = scene.headers[2].path
    ds = pydicom.dcmread(path)
    TAMPERED[promise](ds)
    ds.save_as(path, enforce_file_format=True)
    assert promise in " / ".join(broken(source, tmp_path / "out"))


@pytest.mark.parametrize(
    ("thickness", "said"), [(3, "4 with gaps between them: 3 mm thick, 4 mm apart"), (5, "4 with overlaps: 5 mm thick")]
)
def test_slices_that_are_not_side_by_side_are_refused(series: Series, thickness: float, said: str) -> None:
    with pytest.raises(InputError, match=f"new slices of {said}"):
        process(MODELS[Factors(2, 1, 1)], image=geomedsr.open(series(4, SliceThickness=thickness)))


def test_one_slice_is_divided_by_its_thickness(series: Series, tmp_path: Path) -> None:
    source = series(1)
    scene = finer(source, tmp_path / "out", Factors(2, 1, 1))
    assert [plane.position[2] for plane in scene.grid.planes] == [9, 11]
    assert broken(source, tmp_path / "out") == []


def test_what_cannot_be_written_is_told_before_any_work(series: Series, tmp_path: Path) -> None:
    made = process(MODELS[Factors(2, 1, 1)], image=geomedsr.open(series(1)), precision="float32")["image"]
    with pytest.raises(OutputError, match="for 2 slices, expected a folder"):
        geomedsr.write(made, tmp_path / "out.dcm")
    with pytest.raises(OutputError, match="expected a scene that lies on a map"):
        geomedsr.write(made, tmp_path / "out.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.filterwarnings("ignore:CT series 3 has several frames in one single-frame image")
def test_frames_of_a_class_for_single_ones_are_refused(tmp_path: Path) -> None:
    frames = np.stack([pixels(seed=seed) for seed in range(3)])
    ds = slice_of(frames[0], NumberOfFrames=3, GridFrameOffsetVector=[0, 4, 8], FrameIncrementPointer=0x3004000C)
    ds.PixelData = frames.tobytes()
    made = process(MODELS[Factors(2, 1, 1)], image=geomedsr.open(save(ds, tmp_path / "in.dcm")))["image"]
    with pytest.raises(OutputError, match="several frames each of a class for single ones, expected a slice in each"):
        geomedsr.write(made, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in.dcm"]


def test_locations_that_do_not_follow_slices_are_left_out(series: Series, tmp_path: Path) -> None:
    source = series(3, SliceLocation=5)
    finer(source, tmp_path / "out", Factors(2, 1, 1))
    assert not any("SliceLocation" in pydicom.dcmread(path) for path in files(tmp_path / "out"))
    assert broken(source, tmp_path / "out") == []
