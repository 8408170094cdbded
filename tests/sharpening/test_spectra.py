"""Bands that a panchromatic guide does not see are named in a warning, and sharpened all the same."""

from dataclasses import replace

import numpy as np
import pytest
from guided import fine_and_coarse, placed

import geomedsr
from geomedsr import Scene
from geomedsr.errors import SceneWarning
from geomedsr.sharpening.spectra import outside, warning


def waved(scene: Scene, ranges: list[tuple[float, float]]) -> Scene:
    """The scene whose bands say what they see: centre and width in µm."""
    bands = [
        replace(band, tags={"IMAGERY": {"CENTRAL_WAVELENGTH_UM": str(centre), "FWHM_UM": str(width)}})
        for band, (centre, width) in zip(scene.bands, ranges, strict=True)
    ]
    return replace(scene, bands=tuple(bands))


@pytest.fixture
def pair() -> tuple[Scene, Scene]:
    fine, few = fine_and_coarse()
    return placed(few, 30, names="B2 B3 B5"), placed(fine.mean(0, keepdims=True).astype(np.uint16), 15, names="B8")


def test_landsats_blue_and_infrared_are_named(pair: tuple[Scene, Scene]) -> None:
    coarse, pan = pair
    assert outside(coarse, pan) == ["B2 (0.45 to 0.51 µm)", "B5 (0.85 to 0.88 µm)"]
    with pytest.warns(SceneWarning, match="B2 .* outside what the guide array sees"):
        made = geomedsr.sharpen(coarse, pan, "regression")
    assert [band.name for band in made.bands] == ["B2", "B3", "B5"]


def test_what_bands_say_goes_before_their_names(pair: tuple[Scene, Scene]) -> None:
    coarse, pan = pair
    told = waved(coarse, [(0.55, 0.1), (0.62, 0.06), (0.83, 0.1)])
    assert outside(told, waved(pan, [(0.625, 0.35)])) == ["B5 (0.78 to 0.88 µm)"]
    assert outside(told, waved(pan, [(0.7, 0.5)])) == []


def test_unknown_wavelengths_are_no_warning(pair: tuple[Scene, Scene]) -> None:
    coarse, pan = pair
    unnamed = replace(pan, bands=(replace(pan.bands[0], name="1"),))
    assert warning(coarse, unnamed) is None
