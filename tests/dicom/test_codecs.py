"""Compressed pixels: the bits that hold values, and what decoders say."""

from pathlib import Path

import numpy as np
import pytest
from openjpeg.utils import encode_array
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

import geomedsr
from dicom.conftest import pixels, save, slice_of
from geomedsr.errors import InputError
from geomedsr.models import Model


def coded(ds: Dataset, path: Path, data: bytes) -> Path:
    ds.PixelData = encapsulate([data + b"\0" * (len(data) % 2)])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    return save(ds, path, JPEG2000Lossless)


def twelve_bits(signed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Values of 12 bits, and how they are stored, with an overlay above them."""
    values = 2 * pixels(32, 40).astype(int) - (2000 if signed else 0)
    stored = (values & 0xFFF).astype("uint16")
    stored[:9, :9] |= 1 << 12
    return values, stored


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
def test_an_overlay_in_the_bits_above_is_no_value(
    tmp_path: Path, ct_model: Model, signed: bool, compressed: bool
) -> None:
    values, stored = twelve_bits(signed)
    ds = slice_of(stored, BitsStored=12, PixelRepresentation=int(signed))
    for element, vr, value in ((0x10, "US", 32), (0x11, "US", 40), (0x40, "CS", "G"), (0x50, "SS", [1, 1])):
        ds.add_new(0x60000000 | element, vr, value)
    ds.add_new(0x60000100, "US", 16)
    ds.add_new(0x60000102, "US", 12)
    path = tmp_path / "a.dcm"
    source = coded(ds, path, encode_array(stored, bits_stored=16)) if compressed else save(ds, path)
    scene = geomedsr.open(source)
    np.testing.assert_array_equal(scene.data.values[0, 0], values)
    result = geomedsr.upscale(scene, ct_model).data.values
    low, high = (-2048, 2047) if signed else (0, 4095)
    assert low <= result.min() < result.max() <= high


def test_values_of_more_bits_than_are_stored_are_refused(tmp_path: Path) -> None:
    _, stored = twelve_bits(False)
    ds = slice_of(stored, BitsStored=12)
    scene = geomedsr.open(coded(ds, tmp_path / "a.dcm", encode_array(stored, bits_stored=16)))
    with pytest.raises(InputError, match=r"slice 1 of the series \(values of more bits than.*correct BitsStored"):
        scene.data.compute()


@pytest.mark.parametrize("left", [0.5, 0.9])
def test_what_decoders_write_to_the_screen_is_kept_off_it(
    tmp_path: Path, left: float, capfd: pytest.CaptureFixture[str]
) -> None:
    values = pixels(64, 64, dtype="uint16")
    data = encode_array(values, bits_stored=16)
    scene = geomedsr.open(coded(slice_of(values), tmp_path / "a.dcm", data[: int(left * len(data))]))
    with pytest.raises(InputError, match="cannot be decoded"):
        scene.data.compute()
    assert capfd.readouterr() == ("", "")
