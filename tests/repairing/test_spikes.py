"""Spikes in the k-space of MR frames: found where they are, nowhere else, and only they are changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from conftest import SAMPLE, texture
from pydicom.uid import ExplicitVRLittleEndian

import geomedsr
from geomedsr import Scene, verify
from geomedsr.cli import main
from geomedsr.errors import InputError
from geomedsr.io import open_scene
from geomedsr.repairing.spikes import despiked, image_of, k_space, of_text, spikes_of, text_of, without

MR, CT = SAMPLE.parent / "mr_thigh", SAMPLE.parent / "ct_abdomen"


def wave(shape: tuple[int, int], row: int, column: int) -> np.ndarray:
    """What a sample of k-space adds to an image, of amplitude 1."""
    height, width = shape
    y, x = np.mgrid[:height, :width]
    return np.asarray(np.cos(2 * np.pi * (row * (y - height // 2) / height + column * (x - width // 2) / width) + 0.7))


def frames() -> np.ndarray:
    """Slices of the sample."""
    return open_scene(MR).data.values[:, 0]


def spiked(folder: Path) -> tuple[Path, np.ndarray]:
    """A series whose second slice has a spike, and the slice without it."""
    shutil.copytree(MR, folder / "in", ignore=shutil.ignore_patterns("*.md"))
    uids = [str(frame.uid) for frame in open_scene(MR).source.frames]  # type: ignore[attr-defined]
    for path in (folder / "in").glob("*.dcm"):
        header = pydicom.dcmread(path)
        if header.SOPInstanceUID == uids[1]:
            clean = header.pixel_array
            height, width = clean.shape
            broken = clean + 0.1 * np.ptp(clean) * wave(clean.shape, height // 4, -width // 3)
            header.PixelData = np.rint(broken).clip(0).astype(clean.dtype).tobytes()
            header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            header.save_as(path)
    return folder / "in", clean


def test_k_space_and_back() -> None:
    frame = np.random.default_rng(0).normal(size=(31, 44))
    np.testing.assert_allclose(image_of(k_space(frame)), frame, atol=1e-12)
    samples = k_space(wave((40, 50), 6, -9))
    top = np.argsort(np.abs(samples).ravel())[-2:]
    assert {(int(i) // 50 - 20, int(i) % 50 - 25) for i in top} == {(6, -9), (-6, 9)}


@pytest.mark.parametrize("place", [(30, -21), (-25, 40), (0, 44), (37, 0)])
def test_a_spike_is_found_and_goes_and_the_rest_of_k_space_stays(place: tuple[int, int]) -> None:
    clean = frames()[0].astype(float)
    assert spikes_of(clean) == []
    broken = np.rint(clean + 0.05 * np.ptp(clean) * wave(clean.shape, *place))
    found = spikes_of(broken)
    assert place in found
    assert (-place[0], -place[1]) in found
    assert len(found) <= 6
    made = without(broken, found)
    before, after = (np.sqrt(np.mean((image - clean) ** 2)) for image in (broken, made))
    assert after < 0.1 * before
    apart = np.abs(k_space(made) - k_space(broken))
    height, width = apart.shape
    for y, x in found:
        apart[y + height // 2, x + width // 2] = 0
    assert apart.max() < 1e-6 * np.abs(k_space(broken)).max()


def test_small_waves_and_small_frames_are_left() -> None:
    clean = frames()[0].astype(float)
    assert spikes_of(clean + 1e-4 * np.ptp(clean) * wave(clean.shape, 40, 30)) == []
    assert spikes_of(clean[:20, :20]) == []


def test_records_are_read_back_and_others_refused() -> None:
    places = ((1, ((3, -4), (-3, 4))), (7, ((0, 9),)))
    assert of_text(text_of(places)) == places
    for text in ("", "[]", '{"1": 3}', '{"a": [[1, 2]]}'):
        with pytest.raises(InputError, match="record of spikes"):
            of_text(text)


@pytest.mark.parametrize("name", ["out", "out.nii.gz"])
def test_a_series_is_repaired_and_verified(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    source, clean = spiked(tmp_path)
    result = tmp_path / name
    assert main(["repair", str(source), str(result), "--what", "spikes", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["frames"] == 1
    before, after = open_scene(source).data.values, open_scene(result, force=True).data.values
    other = np.delete(np.arange(len(before)), 1)
    np.testing.assert_array_equal(before[other], after[other])
    assert np.sqrt(np.mean((after[1, 0] - clean.astype(float)) ** 2)) < 0.1 * np.ptp(clean) / 2
    checks = verify(source, result)
    assert [check.promise for check in checks if check.kept is False] == []
    assert any("samples of 1 frames" in check.detail for check in checks)


def test_tampering_is_caught(tmp_path: Path) -> None:
    source, _ = spiked(tmp_path)
    assert main(["repair", str(source), str(tmp_path / "out.nii.gz"), "--what", "spikes", "--quiet"]) == 0
    image = nibabel.load(tmp_path / "out.nii.gz")
    values = np.asarray(image.dataobj).copy()
    values[3, 4, 0] += 1
    nibabel.save(nibabel.Nifti1Image(values, image.affine, image.header), tmp_path / "out.nii.gz")
    broken = [check for check in verify(source, tmp_path / "out.nii.gz") if check.kept is False]
    assert [check.detail for check in broken] == ["1 pixels differ"]


def test_a_clean_series_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["repair", str(MR), str(tmp_path / "out"), "--what", "spikes"]) == 0
    assert "no spikes" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["repair", str(CT), str(tmp_path / "out"), "--what", "spikes"]) == 2
    assert "only its raw data hold" in capsys.readouterr().err
    assert main(["repair", str(MR), str(tmp_path / "out"), "--what", "spikes,dead"]) == 2
    assert "spikes alone" in capsys.readouterr().err
    assert main(["repair", str(MR), str(tmp_path / "out"), "--what", "spikes", "--tile", "64"]) == 2
    assert "--tile with --what spikes" in capsys.readouterr().err
    with pytest.raises(InputError, match="frames are no slices"):
        despiked(Scene.from_array(texture(1, 60, 60)))
    assert geomedsr.open(MR).domain == "MR"
