"""Thin slices from thick ones, from the command to the files: agreement, places, headers, and refusals."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from pydicom.dataset import Dataset
from toys import toy

import geomedsr
from dicom.conftest import TILTED, enhanced, errors, files, pixels, save, save_medical
from dicom.test_dcm2niix import dcm2niix
from geomedsr.cli import main
from geomedsr.errors import InputError
from geomedsr.geometry.profile import Profile
from geomedsr.models import Descriptor, save_model
from geomedsr.models.store import build
from geomedsr.scene.provenance import provenance_of
from geomedsr.verification.verify import verify

Series = Callable[..., Path]
NORMAL = np.cross(TILTED[:3], TILTED[3:])


def save_slices(path: Path, domain: str = "CT") -> Path:
    """A small network for 2, 3 or 5 slices whose random weights move every pixel."""
    hu: dict[str, Any] = {"value_scale": "physical", "value_range": (-1000, 400)} if domain == "CT" else {}
    card = Descriptor(
        name=f"tiny-{domain.lower()}-slices",
        version="0.1.0",
        architecture="slices",
        options={"width": 6, "blocks": 1},
        scale=1,
        frame_factor=5,
        heads=((5, 1, 1), (2, 1, 1), (3, 1, 1)),
        neighbours=2,
        domain=domain,
        operator="slice-profile",
        **{"value_range": (1, 99), **hu},
    )
    torch.manual_seed(1)
    net = build(card)
    with torch.no_grad():
        for tail in net.tails.values():
            tail.weight.normal_(0, 0.1)
    save_model(net, card, path)
    return path


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("thin")
    return {
        "CT": save_slices(folder / "ct-slices.safetensors"),
        "MR": save_slices(folder / "mr-slices.safetensors", "MR"),
        "CT in plane": save_medical(folder / "ct.safetensors"),
        "MR in plane": save_medical(folder / "mr.safetensors", "k-space-crop", "MR"),
    }


def oblique(ds: Dataset, index: int) -> None:
    ds.ImageOrientationPatient = list(TILTED)
    place = np.array([-60.5, -50.25, 10.0]) + 4 * index * NORMAL
    ds.ImagePositionPatient = [round(float(v), 9) for v in place]
    ds.SpacingBetweenSlices, ds.SliceLocation = 4, 17.5 - 4 * index


def broken(source: Path, out: Path) -> list[str]:
    return [f"{check.promise}: {check.detail}" for check in verify(source, out) if check.kept is False]


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("profile", ["box", "4", "4.8"])
@pytest.mark.parametrize("in_plane", [1, 2])
def test_the_command_makes_thin_slices_that_are_verified(
    series: Series,
    tmp_path: Path,
    models: dict[str, Path],
    modality: str,
    profile: str,
    in_plane: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, out = series(6, edit=oblique, modality=modality), tmp_path / "out"
    words = ["upscale", str(source), str(out), "--model", str(models[modality]), "--slices", "3", "--profile", profile]
    if in_plane == 2:
        words += ["--in-plane", "2", "--in-plane-model", str(models[f"{modality} in plane"])]
    assert main(words) == 0
    said = capsys.readouterr().out
    kind = "boxes side by side" if profile == "box" else f"bells {float(profile) / 4:g} times"
    assert f"slices were taken for {kind}" in said
    assert f"18 slices of {24 * in_plane} × {20 * in_plane} pixels" in said
    assert broken(source, out) == []
    scene = geomedsr.io.open_scene(str(out), force=True)
    record = provenance_of(scene)
    if in_plane == 2:
        step = record.before[0]
        assert (step.frame_factor, step.profile) == (3, None if profile == "box" else float(profile) / 4)
    else:
        assert record.agreement.operator == ("slice-mean" if profile == "box" else "slice-profile")
    before = [pydicom.dcmread(path) for path in files(source)]
    after = [pydicom.dcmread(frame.path) for frame in scene.headers]
    depths = [float(np.dot(ds.ImagePositionPatient, NORMAL)) for ds in after]
    first = float(np.dot(before[0].ImagePositionPatient, NORMAL))
    np.testing.assert_allclose(depths, first - 4 / 3 + 4 / 3 * np.arange(18), atol=1e-6)
    assert {round(float(ds.SliceThickness), 6) for ds in after} == {round(4 / 3, 6)}
    assert [ds.SourceImageSequence[0].ReferencedSOPInstanceUID for ds in after] == [
        before[number // 3].SOPInstanceUID for number in range(18)
    ]
    if profile == "box" and modality == "CT":
        stored = np.stack([ds.pixel_array.astype(int) for ds in before])
        made = scene.data.values.astype(int).reshape(6, 3, 20, in_plane, 24, in_plane)
        np.testing.assert_array_equal(made.sum((1, 3, 5)), stored * 3 * in_plane**2)


@pytest.mark.parametrize("in_plane", [1, 2])
@pytest.mark.parametrize(("modality", "profile"), [("CT", "box"), ("CT", "4"), ("MR", "box"), ("MR", "4")])
def test_a_changed_pixel_is_told(
    series: Series, tmp_path: Path, models: dict[str, Path], in_plane: int, modality: str, profile: str
) -> None:
    source, out = series(6, modality=modality), tmp_path / "out"
    second = {"in_plane": 2, "in_plane_model": models[f"{modality} in plane"]} if in_plane == 2 else {}
    made = geomedsr.upscale(
        geomedsr.open(source),
        models[modality],
        slices=3,
        profile=profile,
        **second,  # type: ignore[arg-type]
    )
    geomedsr.write(made, out)
    assert broken(source, out) == []
    path = geomedsr.io.open_scene(str(out), force=True).headers[8].path
    ds = pydicom.dcmread(path)
    values = ds.pixel_array.copy()
    values[4:6, 8:10] += 60
    ds.PixelData = values.tobytes()
    ds.save_as(path, enforce_file_format=True)
    (told,) = broken(source, out)
    assert "mean" in told or "bell" in told


def test_headers_have_no_errors_that_their_source_has_not(
    series: Series, tmp_path: Path, models: dict[str, Path]
) -> None:
    source = series(6, edit=oblique)
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), models["CT"], slices=5, profile="4"), tmp_path / "out")
    before = set().union(*(errors(path) for path in files(source)))
    assert set().union(*(errors(path) for path in files(tmp_path / "out"))) <= before
    if shutil.which("dcentvfy") is not None:
        both = [str(path) for path in (*files(source), *files(tmp_path / "out"))]
        alone = [str(path) for path in files(source)]
        done, was = (subprocess.run(["dcentvfy", *names], capture_output=True, text=True) for names in (both, alone))
        assert [line for line in done.stderr.splitlines() if "Error" in line] == [
            line for line in was.stderr.splitlines() if "Error" in line
        ]


def test_other_programs_see_one_volume_in_the_same_place(
    series: Series, tmp_path: Path, models: dict[str, Path]
) -> None:
    source = series(6, edit=oblique)
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), models["CT"], slices=5, profile="4"), tmp_path / "out")
    volumes = []
    for folder in (source, tmp_path / "out"):
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        volumes.append(reader.Execute())
    before, after = volumes
    assert after.GetSize() == (24, 20, 30)
    for number in (0, 5):
        expected = before.TransformIndexToPhysicalPoint((3, 4, number))
        found = after.TransformContinuousIndexToPhysicalPoint((3.0, 4.0, 5 * number + 2.0))
        np.testing.assert_allclose(found, expected, atol=1e-3)
    (path,), (was,) = dcm2niix(tmp_path / "out", tmp_path / "nii"), dcm2niix(source, tmp_path / "was")
    image, old = nibabel.load(path), nibabel.load(was)
    assert image.shape == (24, 20, 30)
    np.testing.assert_allclose(image.affine @ [3, 4, 12, 1], old.affine @ [3, 4, 2, 1], atol=1e-3)


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_an_enhanced_image_stays_one(tmp_path: Path, models: dict[str, Path], modality: str) -> None:
    source = save(enhanced([pixels(seed=seed) for seed in range(5)], modality), tmp_path / "in.dcm")
    made = geomedsr.upscale(geomedsr.open(source), models[modality], slices=2, profile="4.4")
    geomedsr.write(made, tmp_path / "out.dcm")
    assert broken(source, tmp_path / "out.dcm") == []
    assert pydicom.dcmread(tmp_path / "out.dcm").NumberOfFrames == 10


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_volumes_are_made_too(series: Series, tmp_path: Path, models: dict[str, Path], suffix: str) -> None:
    scene = geomedsr.open(series(6))
    geomedsr.write(scene, tmp_path / f"in{suffix}")
    made = geomedsr.upscale(geomedsr.open(tmp_path / f"in{suffix}"), models["CT"], slices=3, profile=4.4)
    geomedsr.write(made, tmp_path / f"out{suffix}")
    assert broken(tmp_path / f"in{suffix}", tmp_path / f"out{suffix}") == []
    image = sitk.ReadImage(str(tmp_path / f"out{suffix}"))
    assert image.GetSize() == (24, 20, 18)
    assert image.GetSpacing()[2] == pytest.approx(4 / 3)
    assert "bells 1.1" not in json.dumps(dict(made.provenance))
    assert made.provenance.agreement.profile == pytest.approx(1.1)


def test_isotropic_is_the_nearest_whole_number(series: Series, models: dict[str, Path]) -> None:
    scene = geomedsr.open(series(5, PixelSpacing=[1.4, 1.4]))  # slices 4 mm apart: 2.9 times
    assert geomedsr.upscale(scene, models["CT"], slices="isotropic", profile="box").shape[0] == 15
    with pytest.raises(InputError, match="6 slices from each, expected 2 to 5: choose --slices 5"):
        geomedsr.upscale(
            scene, models["CT"], slices="isotropic", in_plane=2, in_plane_model=models["CT in plane"], profile="box"
        )
    same = geomedsr.open(series(5, name="same", PixelSpacing=[4, 4]))
    with pytest.raises(InputError, match="1 slices from each, expected 2 to 5: there is nothing to do"):
        geomedsr.upscale(same, models["CT"], slices="isotropic", profile="box")


def test_the_header_tells_bells_of_ct_and_boxes_of_mr(series: Series, models: dict[str, Path]) -> None:
    """Six small slices are too few for an estimate."""
    ct, mr = geomedsr.open(series(6)), geomedsr.open(series(6, name="mr", modality="MR"))
    of = geomedsr.upscale(ct, models["CT"], slices=3).provenance.agreement
    assert (of.operator, of.profile, of.profile_origin) == ("slice-profile", 1.0, "header")
    of = geomedsr.upscale(mr, models["MR"], slices=3).provenance.agreement
    assert (of.operator, of.profile, of.profile_origin) == ("slice-mean", None, "header")


def gap(ds: Dataset, index: int) -> None:
    ds.SliceThickness = 3


def overlap(ds: Dataset, index: int) -> None:
    ds.SliceThickness = 8


def uneven(ds: Dataset, index: int) -> None:
    ds.ImagePositionPatient = [-60.5, -50.25, 10.0 + 4 * index + 0.8 * (index % 2)]


def missing(ds: Dataset, index: int) -> None:
    ds.ImagePositionPatient = [-60.5, -50.25, 10.0 + 4 * (index + (index > 2))]


def twice(ds: Dataset, index: int) -> None:
    ds.ImagePositionPatient = [-60.5, -50.25, 10.0 + 4 * (index - (index > 2))]


def tilted(ds: Dataset, index: int) -> None:
    ds.ImagePositionPatient = [-60.5, -50.25 + 0.4 * index, 10.0 + 4 * index]


def cine(ds: Dataset, index: int) -> None:
    ds.ImagePositionPatient, ds.TriggerTime = [-60.5, -50.25, 10.0], 20.0 * index


def beating(ds: Dataset, index: int) -> None:
    ds.ImagePositionPatient = [-60.5, -50.25, 10.0 + 4 * (index // 3)]
    ds.TriggerTime = 20.0 * (index % 3)


@pytest.mark.filterwarnings("ignore:.*(has |hold)")
@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (gap, "with gaps between them: 3 mm thick, 4 mm apart"),
        (overlap, "with overlaps: 8 mm thick"),
        (uneven, "spacing that differs"),
        (missing, "with gaps where 1 slice would fit"),
        (twice, "1 slice at the position of another"),
        (tilted, "off their normal"),
        (cine, "6 images in one place, as of a cine"),
        (beating, "of 2 slices in each of 3 volumes, expected at least 4"),
    ],
)
def test_series_that_cannot_have_new_slices_are_refused_in_one_line(
    series: Series,
    tmp_path: Path,
    models: dict[str, Path],
    edit: Callable[[Dataset, int], None],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = series(6, edit=edit, modality="MR")
    assert main(["upscale", str(source), str(tmp_path / "out"), "--model", str(models["MR"]), "--slices", "3"]) == 2
    line = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning")]
    assert len(line) == 1
    assert said in line[0]
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"slices": 4}, "--slices 4, expected 2 to 5, or --isotropic"),
        ({"slices": 3, "profile": "wide"}, "--profile wide for slices 4 mm apart, expected box, estimate, header"),
        ({"slices": 3, "profile": 1.0}, "or a width of 2 to 8 mm"),
        ({"slices": 3, "profile": "estimate"}, "at least 12 slices"),
        ({"slices": 3, "in_plane": 3}, "--in-plane 3, expected 1 or 2"),
        ({"slices": 3, "in_plane_model": "ct-x2"}, "add --in-plane 2"),
        ({"profile": "box"}, "without slices"),
    ],
)
def test_what_cannot_be_done_is_refused(
    series: Series, models: dict[str, Path], more: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        geomedsr.upscale(geomedsr.open(series(5)), models["CT"], **more)


def test_three_slices_and_models_without_slices_and_rasters_are_refused(
    series: Series, models: dict[str, Path]
) -> None:
    with pytest.raises(InputError, match="of 3 slices, expected at least 4"):
        geomedsr.upscale(geomedsr.open(series(3)), models["CT"], slices=3)
    with pytest.raises(InputError, match="expected a model of new slices"):
        geomedsr.upscale(geomedsr.open(series(5)), models["CT in plane"], slices=3)
    with pytest.raises(InputError, match="which is no series"):
        geomedsr.upscale(geomedsr.Scene.from_array(np.zeros((20, 20), np.int16)), models["CT"], slices=3)


def test_slabs_of_one_slice_at_a_time_equal_the_whole(series: Series, models: dict[str, Path]) -> None:
    scene = replace(geomedsr.open(series(30)), profile=Profile(1.0))
    model = toy(frame_factor=3, neighbours=1, operator="slice-profile")
    made = geomedsr.process(model, image=scene, precision="float32")["image"]
    whole = made.data.values
    for number in (0, 44, 89):
        box = geomedsr.geometry.Box((number, 0, 0), (number + 1, 20, 24))
        np.testing.assert_array_equal(made.source.read(box), whole[number : number + 1])
