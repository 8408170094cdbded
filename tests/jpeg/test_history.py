"""Double compression shows in the histogram of coefficients, and single compression does not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from conftest import SAMPLE
from PIL import Image

from geomedsr.io import open_scene
from geomedsr.jpeg.codestream import coefficients
from geomedsr.jpeg.history import earlier_step


def compressed(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    """The reference of the sample as bytes."""
    values = open_scene(SAMPLE / "reference.tif").data.values[0, 0].astype(float)
    low, high = np.percentile(values, (1, 99))
    return Image.fromarray(((values - low) / (high - low) * 255).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("quality", [30, 60, 75, 90])
def test_once(picture: Image.Image, quality: int) -> None:
    assert earlier_step(coefficients(compressed(picture, quality), "a.jpg")) is None


@pytest.mark.parametrize(("first", "last"), [(30, 75), (40, 85), (50, 90)])
def test_twice(picture: Image.Image, first: int, last: int) -> None:
    once = compressed(picture, first)
    again = compressed(Image.open(io.BytesIO(once)), last)
    table = coefficients(once, "a.jpg").components[0].table
    low, high = table.ravel()[1:27].min(), table.ravel()[1:27].max()
    found = earlier_step(coefficients(again, "a.jpg"))
    assert found is not None
    assert low - 1 <= found <= high
