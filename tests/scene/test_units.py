"""Scenes in physical units: floats, NaN where there is no data, band by band."""

from __future__ import annotations

import numpy as np
import pytest

import geomedsr
from geomedsr.errors import InputError
from geomedsr.geometry.grid import Plane
from geomedsr.scene.masking import Masking


def scene() -> geomedsr.Scene:
    bands = [
        geomedsr.Band("B04", scale=1e-4, offset=-0.1, units="reflectance", nodata=0),
        geomedsr.Band("ST", scale=0.00341802, offset=149.0, units="K"),
    ]
    values = np.array([[[1000, 0], [11000, 3000]], [[0, 1], [44177, 65535]]], np.uint16)
    return geomedsr.Scene.from_array(values, bands=bands)


def test_numbers_become_reflectance_and_kelvin() -> None:
    made = scene().in_units()
    assert made.dtype == np.float32
    expected = [[[0, np.nan], [1, 0.2]], [[149, 149.00341802], [299.99787, 372.99994]]]
    assert np.allclose(made.data.values[0], expected, rtol=1e-6, equal_nan=True)
    assert (made.valid.values == scene().valid.values).all()
    assert [(b.scale, b.offset, b.units) for b in made.bands] == [(1, 0, "reflectance"), (1, 0, "K")]
    assert all(np.isnan(b.nodata) for b in made.bands if b.nodata is not None)
    assert made.source.masking == (Masking.NAN, Masking.NAN)
    assert made.provenance["GEOMEDSR_PHYSICAL"] == "yes"


def test_bands_are_chosen_with_their_own_lines() -> None:
    assert np.allclose(scene().in_units().select(["ST"]).data.values, scene().physical().values[:, 1:], rtol=1e-6)


def test_a_series_keeps_its_own_scale() -> None:
    plane = Plane((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1))
    series = geomedsr.Scene.from_array(np.ones((4, 4), np.int16), grid=geomedsr.Grid((4, 4), planes=(plane,)))
    with pytest.raises(InputError, match="physical values of the series"):
        series.in_units()
