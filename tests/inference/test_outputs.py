"""Outputs besides the image, in files of medical kinds, and beside a DICOM series: in one call, whatever the way."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from dicom.conftest import pixels, save, slice_of
from killing import contents, killed_and_resumed, killed_naming
from toys import WIDTHS, saved_toy

import geomedsr
from geomedsr import Scene, verify
from geomedsr.errors import InputError, OutputError
from geomedsr.inference import process
from geomedsr.io import Sink, open_scene


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Scene]]:
    """A CT series of five slices, and what a model of two more outputs makes of it."""
    folder = tmp_path_factory.mktemp("outputs")
    for index in range(5):
        save(slice_of(pixels(90, 80, seed=index), index), folder / "in" / f"{index}.dcm")
    model = saved_toy(folder, ports=WIDTHS, scale=2, frame_factor=2)
    image = geomedsr.open(folder / "in")
    return folder / "in", process(model, image=image, tile=32, precision="float32")


def paths(folder: Path) -> dict[str, Path]:
    return {"image": folder / "image", "halfwidth": folder / "width.nii.gz", "doubt": folder / "doubt.nrrd"}


def check(made: dict[str, Scene], folder: Path) -> None:
    for port, path in paths(folder).items():
        again, wanted = open_scene(path, force=True), made[port]
        np.testing.assert_array_equal(again.physical().values, wanted.physical().values)
        assert again.provenance.model.output == (None if port == "image" else port)
        for plane, old in zip(again.grid.planes, wanted.grid.planes, strict=True):
            np.testing.assert_allclose(plane.position, old.position, atol=1e-4)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_series_beside_its_half_widths(made: tuple[Path, dict[str, Scene]], workers: int, tmp_path: Path) -> None:
    source, scenes = made
    geomedsr.write({path: scenes[port] for port, path in paths(tmp_path).items()}, workers=workers)
    check(scenes, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["doubt.nrrd", "image", "width.nii.gz"]
    assert [each for each in verify(source, tmp_path / "image") if each.kept is False] == []
    with pytest.raises(InputError, match=r"width.nii.gz, the halfwidth beside an image, expected the image"):
        verify(source, tmp_path / "width.nii.gz")


def test_by_a_cluster(made: tuple[Path, dict[str, Scene]], tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    geomedsr.write({path: made[1][port] for port, path in paths(tmp_path).items()}, cluster="local:2")
    check(made[1], tmp_path)


def test_after_a_kill(made: tuple[Path, dict[str, Scene]], tmp_path: Path) -> None:
    scenes = {path: made[1][port] for port, path in paths(tmp_path).items()}
    told = killed_and_resumed(scenes, "*.done")
    assert {regions for _, regions in told} == {5}
    assert len({resumed for resumed, _ in told}) == 1
    check(made[1], tmp_path)


@pytest.mark.parametrize("port", ["halfwidth", "doubt"])
def test_dicom_has_no_place_for_them(made: tuple[Path, dict[str, Scene]], port: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=f"{port}, which is not the image, for DICOM, expected the image"):
        geomedsr.write({tmp_path / "image": made[1]["image"], tmp_path / "other": made[1][port]})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["out.nii", "out.nrrd"])
def test_an_intercept_of_the_source_is_not_added_to_half_widths(out: str, tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.random.default_rng(0).integers(0, 200, (20, 24, 3)).astype("int16"), np.eye(4))
    image.header.set_slope_inter(2, -100)
    nibabel.save(image, tmp_path / "in.nii")
    made = process(saved_toy(tmp_path, ports=WIDTHS), image=geomedsr.open(tmp_path / "in.nii"), precision="float32")
    for port in ("halfwidth", "doubt"):
        geomedsr.write(made[port], tmp_path / out, overwrite=True)
        again = open_scene(tmp_path / out, force=True)
        np.testing.assert_array_equal(again.physical().values, made[port].physical().values)
        assert again.physical().min() >= 0


@pytest.mark.parametrize("when", ["after 1", "before 2", "after 3"])
def test_a_series_and_volumes_are_replaced_together_though_the_call_is_killed(
    made: tuple[Path, dict[str, Scene]], when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes = {path: made[1][port] for port, path in paths(tmp_path).items()}
    geomedsr.write(scenes)
    before = contents(*scenes)
    killed_naming(scenes, when, overwrite=True)
    assert contents(*scenes) != before  # the series has other UIDs

    def fault(sink: Sink) -> None:
        raise OutputError("nothing", "something", "wait")

    with monkeypatch.context() as patch:
        patch.setattr("geomedsr_volume.sink.VolumeSink.check", fault)
        with pytest.raises(OutputError, match="got nothing"):
            geomedsr.write(scenes, overwrite=True)
    assert contents(*scenes) == before
    told = geomedsr.write(scenes, overwrite=True)
    assert all(each.resumed == each.regions for each in told.values())
    check(made[1], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["doubt.nrrd", "image", "width.nii.gz"]
