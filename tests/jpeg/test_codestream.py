"""Coefficients read from streams, and what an encoder makes of pixels: as libjpeg has it, which is in Pillow."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from geomedsr.errors import InputError
from geomedsr.jpeg.codestream import coefficients
from geomedsr.jpeg.encoding import blocks_by_unit, fewer, image_of, units_of, whole_luma
from geomedsr.jpeg.tables import ZIGZAG, luminance
from geomedsr.jpeg.transform import blocks_of, decoded, encoded, plane_of


def picture(bands: int = 1, height: int = 59, width: int = 83) -> np.ndarray:
    """Flat blocks, edges and noise, bytes."""
    rng = np.random.default_rng(3)
    flat = np.kron(rng.integers(60, 196, (bands, 12, 12)), np.ones((7, 8)))[:, :height, :width]
    return (flat + rng.normal(0, 9, flat.shape)).clip(0, 255).astype(np.uint8)


def saved(image: np.ndarray, **options: object) -> bytes:
    """A JPEG file of an image ``(band, y, x)``."""
    file = io.BytesIO()
    bands = image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))
    Image.fromarray(bands).save(file, "JPEG", **options)
    return file.getvalue()


def opened(data: bytes, mode: str | None = None) -> np.ndarray:
    """What libjpeg makes of a file, as it lies or in the components' own colours."""
    image = Image.open(io.BytesIO(data))
    if mode is not None:
        image.draft(mode, None)
    return np.asarray(image)


def test_the_order_and_the_tables_are_those_of_files() -> None:
    assert ZIGZAG[:10].tolist() == [0, 1, 8, 16, 9, 2, 3, 10, 17, 24]
    assert sorted(ZIGZAG) == list(range(64))
    for quality in (1, 10, 49, 50, 75, 100):
        table = Image.open(io.BytesIO(saved(picture(), quality=quality))).quantization[0]
        assert luminance(quality).ravel().tolist() == list(table)


@pytest.mark.parametrize("quality", [1, 10, 40, 75, 95, 100])
@pytest.mark.parametrize("more", [{}, {"optimize": True}, {"restart_marker_blocks": 5}])
def test_coefficients_are_decoded_to_the_pixels_that_libjpeg_makes(quality: int, more: dict[str, object]) -> None:
    data = saved(picture(), quality=quality, **more)
    found = coefficients(data, "a.jpg")
    (part,) = found.components
    assert (found.size, found.precision, found.luma, part.down) == ((59, 83), 8, False, (1, 1))
    np.testing.assert_array_equal(plane_of(decoded(part.blocks, part.table))[:59, :83], opened(data))


@pytest.mark.parametrize("quality", [1, 10, 40, 75, 100])
def test_what_an_encoder_would_make_of_pixels_is_what_it_makes(quality: int) -> None:
    image = picture(height=64, width=80)
    (part,) = coefficients(saved(image, quality=quality), "a.jpg").components
    np.testing.assert_array_equal(encoded(blocks_of(image[0]), part.table), part.blocks)


@pytest.mark.parametrize(("sampling", "down"), [("4:4:4", (1, 1)), ("4:2:2", (1, 2)), ("4:2:0", (2, 2))])
def test_luma_and_chroma_too(sampling: str, down: tuple[int, int]) -> None:
    image = picture(3, 64, 80)
    data = saved(image, quality=85, subsampling=sampling)
    found = coefficients(data, "a.jpg")
    assert found.luma
    assert [part.down for part in found.components] == [(1, 1), down, down]
    made = plane_of(decoded(found.components[0].blocks, found.components[0].table))
    np.testing.assert_array_equal(made, opened(data, "YCbCr")[..., 0])
    planes = whole_luma(image[None])
    for i, part in enumerate(found.components):
        plane = fewer(planes[:, i], part.down)[0]
        np.testing.assert_array_equal(encoded(blocks_of(plane), part.table), part.blocks)


@pytest.mark.parametrize("quality", [20, 95])
def test_twelve_bits_are_those_of_libjpeg(quality: int) -> None:
    codecs = pytest.importorskip("imagecodecs")
    image = picture(height=64, width=80)[0].astype(np.uint16) * 16 + 5
    data = codecs.jpeg8_encode(image, level=quality, bitspersample=12)
    found = coefficients(data, "a.jpg")
    (part,) = found.components
    assert found.precision == 12
    np.testing.assert_array_equal(plane_of(decoded(part.blocks, part.table, 12)), codecs.jpeg8_decode(data))
    np.testing.assert_array_equal(encoded(blocks_of(image), part.table, 12), part.blocks)


def test_units_are_put_together_as_they_were_taken_apart() -> None:
    image = np.arange(2 * 32 * 48).reshape(2, 32, 48)
    units = units_of(image, (16, 8))
    assert units.shape == (12, 2, 16, 8)
    np.testing.assert_array_equal(units[7], image[:, 16:, 8:16])
    np.testing.assert_array_equal(image_of(units, 6), image)
    blocks = blocks_of(image[0])
    by_unit = blocks_by_unit(blocks, (2, 6))
    np.testing.assert_array_equal(by_unit[7, 1, 0], image[0, 24:, 8:16])


def progressive() -> bytes:
    return saved(picture(), progressive=True)


def changed(marker: int) -> bytes:
    """A baseline stream whose frame says that it is of another kind."""
    return saved(picture()).replace(b"\xff\xc0", bytes([0xFF, marker]), 1)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (progressive(), "progressive JPEG"),
        (changed(0xC3), "lossless JPEG"),
        (changed(0xC9), "arithmetic coding"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"GIF89a", "no JPEG inside"),
        (b"\xff\xd8\xff\xd9", "JPEG without an image"),
        (saved(picture())[:-400], "damaged"),
        (saved(picture())[:300], "damaged"),
    ],
)
def test_what_is_not_read_is_named(data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        coefficients(data, "a.jpg")
