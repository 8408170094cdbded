"""Series through a model that sees neighbouring slices: the same as slice by slice, and its sources are named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from conftest import block_sums, save_tiny

import geomedsr
from geomedsr.geometry import Box
from geomedsr.models import Model, load_model
from geomedsr.scene.provenance import provenance_of

from .conftest import enhanced, errors, pixels, save, stored

Series = Callable[..., Path]


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("models") / "beside.safetensors"
    card = {"domain": "CT", "value_scale": "physical", "value_range": (-1000, 400), "neighbours": 1}
    return load_model(save_tiny(path, 2, size=0.1, name="tiny-25d", **card))


def broken(source: Path, result: Path) -> list[str]:
    return [c.promise for c in geomedsr.verify(source, result) if c.kept is False]


def test_a_series_is_written_slice_by_slice_and_each_names_what_was_seen(
    series: Series, beside: Model, tmp_path: Path
) -> None:
    source, out = series(4), tmp_path / "out"
    scene = geomedsr.open(source)
    sr = geomedsr.upscale(scene, beside)
    geomedsr.write(sr, out, progress=False)
    assert broken(source, out) == []
    seen = {0: [0, 1], 1: [1, 0, 2], 2: [2, 1, 3], 3: [3, 2]}  # its own slice first
    for number in range(4):
        path = out / f"{number + 1:04d}.dcm"
        np.testing.assert_array_equal(stored(path), sr.source.read(Box.of(number, whole(sr)))[0, 0])
        before = scene.data.values[number, 0].astype(object)
        assert (block_sums(stored(path), 2) == 4 * before).all()
        after = pydicom.dcmread(path)
        assert [s.ReferencedSOPInstanceUID for s in after.SourceImageSequence] == [
            f"2.25.{1000 + i}" for i in seen[number]
        ]
        assert ", seeing 1 slice before and after, operator block-mean" in after.DerivationDescription
    told = provenance_of(geomedsr.open(out, force=True))
    assert (told["GEOMEDSR_NEIGHBOURS"], told["GEOMEDSR_MODEL"]) == ("1", "tiny-25d")
    assert errors(out / "0002.dcm") - errors(source / "001.dcm") == set()


def test_slices_of_another_time_are_no_neighbours(series: Series, beside: Model, tmp_path: Path) -> None:
    def times(ds: pydicom.Dataset, index: int) -> None:
        ds.ImagePositionPatient = [-60.5, -50.25, 10.0 + 4 * (index % 2)]
        ds.TemporalPositionIdentifier = index // 2 + 1

    source, out = series(4, edit=times), tmp_path / "out"
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), beside), out, progress=False)
    seen = [[s.ReferencedSOPInstanceUID for s in pydicom.dcmread(p).SourceImageSequence] for p in sorted(out.iterdir())]
    assert seen == [[f"2.25.{1000 + i}" for i in own] for own in ([0, 1], [1, 0], [2, 3], [3, 2])]


def whole(sr: geomedsr.Scene) -> geomedsr.Window:
    return geomedsr.Window(0, 0, sr.shape[3], sr.shape[2])


def test_frames_of_one_file_are_neighbours(beside: Model, tmp_path: Path) -> None:
    source = save(enhanced([pixels(seed=i) for i in range(3)]), tmp_path / "e.dcm")
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), beside), tmp_path / "out", progress=False)
    after = pydicom.dcmread(tmp_path / "out" / "0001.dcm")
    named = [
        [s.ReferencedFrameNumber for s in group.DerivationImageSequence[0].SourceImageSequence]
        for group in after.PerFrameFunctionalGroupsSequence
    ]
    assert named == [[1, 2], [2, 1, 3], [3, 2]]
    (evidence,) = after.SourceImageEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert evidence.ReferencedSOPInstanceUID == "2.25.77"
    assert [c for c in broken(source, tmp_path / "out") if "dciodvfy" not in c] == []


def test_a_window_of_a_series_is_that_window_of_the_whole(series: Series, beside: Model) -> None:
    sr = geomedsr.upscale(geomedsr.open(series(3)), beside)
    part = sr.crop(geomedsr.Window(9, 6, 20, 14))
    np.testing.assert_array_equal(part.data.values, sr.data.values[..., 6:20, 9:29])
