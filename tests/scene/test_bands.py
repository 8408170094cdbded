"""What a band shows, the user, the file or its name says; nothing is guessed where none does."""

import numpy as np
import pytest

from geomedsr.errors import InputError
from geomedsr.scene.bands import colours, find, joint, listed
from geomedsr.scene.scene import Band, Scene


def scene(*names: str, interpretations: tuple[str, ...] = (), kinds: tuple[str, ...] = ()) -> Scene:
    bands = [
        Band(
            name,
            interpretation=interpretations[i] if interpretations else "undefined",
            kind="nearest" if kinds and kinds[i] == "nearest" else "continuous",
        )
        for i, name in enumerate(names)
    ]
    return Scene.from_array(np.zeros((len(names), 4, 4), np.uint8), bands=bands)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("B02", "B03", "B04", "B08"), {"red": 2, "green": 1, "blue": 0, "nir": 3}),
        (("SR_B2", "SR_B3", "SR_B4", "SR_B5"), {"red": 2, "green": 1, "blue": 0}),  # Landsat's B5 or Sentinel's?
        (("Red", "Green", "Blue", "NIR"), {"red": 0, "green": 1, "blue": 2, "nir": 3}),
        (("blue", "green", "red", "rededge", "nir08"), {"red": 2, "green": 1, "blue": 0, "nir": 4}),
        (("B1", "B2", "B3", "B4", "B5", "B7"), {}),  # Landsat 5, where B3 is red, or Landsat 8
        (("B1", "B2", "B3", "B4", "B8A"), {"red": 3, "green": 2, "blue": 1}),
        (("1", "2", "3"), {}),
        (("red", "red", "green", "blue"), {}),
    ],
)
def test_names_tell_colours_where_they_are_beyond_doubt(names: tuple[str, ...], expected: dict[str, int]) -> None:
    assert colours(scene(*names).bands) == expected


def test_the_files_own_interpretation_comes_first() -> None:
    odd = scene("B04", "B03", "B02", interpretations=("blue", "green", "red"))
    assert colours(odd.bands) == {"blue": 0, "green": 1, "red": 2}


def test_classes_are_no_colours() -> None:
    assert colours(scene("red", "green", "blue", kinds=("", "", "nearest")).bands) == {}


def test_bands_are_found_by_what_they_show_or_by_their_own_name() -> None:
    sentinel = scene("B02", "B03", "B04", "B08", "SCL", kinds=("", "", "", "", "nearest")).bands
    assert find(sentinel, ("nir", "Red", "b03", "SCL")) == {"nir": 3, "Red": 2, "b03": 1}
    assert find(scene("B08", "x", "B03").bands, ("nir", "green", "red")) == {"nir": 0, "green": 2}
    assert find(scene("B4", "B3").bands, ("red", "green")) == {}  # Landsat 5 counts otherwise
    assert find(scene("NIR", "red").bands, ("red", "nir", "blue")) == {"red": 1, "nir": 0}
    assert find(scene("x", "x", "y").bands, ("x", "y")) == {"y": 2}
    described = [Band("1", description="Near infrared"), Band("2", description="red")]
    assert find(described, ("red", "nir")) == {"red": 1, "nir": 0}


def test_the_user_tells_what_a_band_shows() -> None:
    array = np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((4, 3, 5), np.uint8)
    plain = Scene.from_array(array)
    told = plain.select(["nir=4", "Red=1", 3])
    assert [band.name for band in told.bands] == ["4", "1", "3"]
    assert [band.role for band in told.bands] == ["nir", "red", None]
    assert told.data.values[0, :, 0, 0].tolist() == [3, 0, 2]
    assert joint(told, ("red", "nir"), "a test") == (1, 0)
    assert joint(plain.select(["SWIR=2", "red=4"]), ("red", "swir"), "a test") == (1, 0)  # any word will do
    landsat = scene("SR_B2", "SR_B3", "SR_B4", "SR_B5")
    assert find(landsat.bands, ("red", "nir")) == {"red": 2}  # B5 is near infrared in Landsat, red edge in Sentinel-2
    assert joint(landsat.select([1, 2, 3, "nir=SR_B5"]), ("nir", "red"), "a test") == (3, 2)
    turned = scene("B02", "B03", "B04").select(["red=B02", "green=B03", "blue=B04"])
    assert joint(turned, ("red", "green", "blue"), "a test") == (0, 1, 2)
    assert colours(turned.bands) == {"red": 0, "green": 1, "blue": 2}
    assert [band.role for band in told.select(["red=3", 2]).bands] == ["red", None]  # said anew
    with pytest.raises(InputError, match="two bands that show red, expected one"):
        plain.select(["red=1", "red=2"])
    with pytest.raises(InputError, match="band '9'"):
        plain.select(["red=9"])


def test_a_band_may_have_an_equals_sign_in_its_name() -> None:
    odd = scene("red=1", "b").select(["red=1"])
    assert [(band.name, band.role) for band in odd.bands] == [("red=1", None)]


def test_what_names_do_not_tell_is_one_line_that_says_how_to_tell_it() -> None:
    with pytest.raises(InputError) as caught:
        joint(scene("B02", "B03", "B04"), ("red", "green", "blue", "nir"), "the model m")
    assert str(caught.value) == (
        "got array, whose bands B02, B03, B04 do not identify nir, for the model m, "
        "expected one band each for red, green, blue, nir: "
        "say which is which, by --bands or scene.select: red=B04,green=B03,blue=B02,nir=BAND"
    )
    with pytest.raises(InputError, match="whose band B04 is red and b04, for a test"):
        joint(scene("B02", "B03", "B04"), ("red", "b04"), "a test")


def test_lists_are_read_by_the_numbers_of_bands_or_by_their_order() -> None:
    assert listed([4, 1], 4) == [3, 0]
    assert listed([2.0, 2.0], 2) == [1, 1]
    for others in ([None, None], ["red", "nir"], [0, 1], [1.5, 2], [float("nan"), 1]):
        assert list(listed(others, 2) or ()) == [0, 1]
        assert listed(others, 3) is None
