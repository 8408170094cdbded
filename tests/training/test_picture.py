"""Pictures of a run, read by another library."""

import io

import numpy as np
import pytest
from PIL import Image

from geomedsr.training.picture import grey_png


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (200, 33)])
def test_a_png_holds_the_shades(shape: tuple[int, int]) -> None:
    shades = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    image = Image.open(io.BytesIO(grey_png(shades)))
    assert (image.format, image.mode) == ("PNG", "L")
    assert (np.asarray(image) == shades).all()
