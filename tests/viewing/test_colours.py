import numpy as np
import pytest

from geomedsr.errors import InputError
from geomedsr.scene.scene import Band, Scene
from geomedsr.viewing.colours import view_of, views


def scene(*names: str) -> Scene:
    return Scene.from_array(np.zeros((len(names), 4, 4), np.uint8), bands=[Band(name) for name in names])


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
    with pytest.raises(InputError, match=r"true colour of bands a, b, which do not identify red.*name three bands"):
        view_of(scene("a", "b"), "true colour")
    with pytest.raises(InputError, match="2 bands to show, expected one"):
        view_of(scene("a", "b"), ["a", "b"])
    with pytest.raises(InputError, match="band 'c'"):
        view_of(scene("a", "b"), "c")


def test_what_the_user_says_is_shown() -> None:
    told = scene("a", "b", "c", "d").select(["red=c", "green=2", "blue=a", 4])
    assert view_of(told).bands == (0, 1, 2)
