import pytest

from geomedsr.errors import InputError
from geomedsr.scene import Band, Scene
from geomedsr.viewing.colours import colours, view_of, views


def scene(*names: str, interpretations: tuple[str, ...] = (), kinds: tuple[str, ...] = ()) -> Scene:
    import numpy as np

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


def test_views_are_composites_then_bands() -> None:
    found = [(v.name, v.bands) for v in views(scene("B02", "B03", "B04", "B08"))]
    assert found == [
        ("true colour", (2, 1, 0)),
        ("false colour", (3, 2, 1)),
        ("B02", (0,)),
        ("B03", (1,)),
        ("B04", (2,)),
        ("B08", (3,)),
    ]


def test_without_colours_the_first_band_is_shown() -> None:
    assert view_of(scene("a", "b")).bands == (0,)
    assert view_of(scene("B02", "B03", "B04")).bands == (2, 1, 0)
    assert view_of(scene("a", "b", "c"), ["c", 1, "B"]).bands == (2, 0, 1)
    assert view_of(scene("B02", "B03", "B04", "B08"), "False color").bands == (3, 2, 1)


def test_what_cannot_be_told_is_said() -> None:
    with pytest.raises(InputError, match=r"true colour of bands a, b, which do not tell red.*name three bands"):
        view_of(scene("a", "b"), "true colour")
    with pytest.raises(InputError, match="2 bands to show, expected one"):
        view_of(scene("a", "b"), ["a", "b"])
    with pytest.raises(InputError, match="band 'c'"):
        view_of(scene("a", "b"), "c")
