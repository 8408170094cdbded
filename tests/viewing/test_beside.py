"""Half-widths and invented pixels, shown on a scale of their own: in figures, viewers, cards and reports."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from intervals import headed, two_dials
from making import texture

import geomedsr
from geomedsr.errors import InputError
from geomedsr.models import Model
from geomedsr.scene.scene import Scene
from geomedsr.viewing.beside import beside, ends_beside
from geomedsr.viewing.report import report
from geomedsr.viewing.stretch import stretch


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return two_dials(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def made(model: Model) -> dict[str, Scene]:
    return geomedsr.process(model, image=Scene.from_array(texture(2, 40, 48)), realism=1, interval=0.9)


def test_bands_tell_what_they_are(made: dict[str, Scene]) -> None:
    assert {name: set(beside(scene)) for name, scene in made.items()} == {
        "image": {None},
        "halfwidth": {"halfwidth"},
        "invented": {"invented"},
    }


def test_half_widths_are_shown_from_0(made: dict[str, Scene]) -> None:
    wide = made["halfwidth"]
    ends = stretch(wide).ends
    assert ends == tuple((0.0, float(np.percentile(band, 99))) for band in wide.data.values[0])
    assert stretch(wide, (2, 50)).ends[1] == (0.0, float(np.percentile(wide.data.values[0, 1], 50)))
    assert stretch(made["invented"]).ends == ((0.0, 1.0), (0.0, 1.0))
    assert ends_beside(made["image"]) == {}


def test_beside_an_image_each_has_its_own_scale(tmp_path: Path) -> None:
    scene = Scene.from_array(texture(2, 40, 48))
    both = geomedsr.upscale(scene, headed(tmp_path, scale=2), interval=0.9)
    shown = stretch(both).ends
    assert shown[:2] == stretch(scene).ends  # of what is yet to be computed, the input's
    assert [low for low, _ in shown[2:]] == [0, 0]
    assert shown[2][1] == np.percentile(both.data.values[0, 2], 99)


def test_in_a_viewer_the_image_keeps_its_own(made: dict[str, Scene]) -> None:
    viewer = geomedsr.compare(made["halfwidth"], made["image"], made["invented"])
    assert viewer.limits == stretch(made["image"]).ends
    assert viewer.own == (stretch(made["halfwidth"]).ends, None, ((0.0, 1.0), (0.0, 1.0)))
    assert [layer["limits"] is None for layer in viewer._data["layers"]] == [False, True, False]


def test_cards_tell_what_half_widths_promise(made: dict[str, Scene]) -> None:
    text = re.sub("<[^>]+>", " ", made["halfwidth"]._repr_html_())
    share = made["halfwidth"].provenance.interval.invented
    assert "for 0.9 of the pixels, around realism 0, by the median score of 3 scenes" in text
    assert f"{100 * share:.1f} % of the pixels are invented" in text
    assert "its values are yet to be computed" in text  # and none of its input's is shown in their place
    assert "of its input" not in text


def test_reports_show_them(raster: Callable[..., Path], model: Model, tmp_path: Path) -> None:
    source = raster(texture(2, 40, 48))
    outputs = geomedsr.process(model, image=geomedsr.open(source), realism=1, interval=0.9)
    names = {"image": "image.tif", "halfwidth": "width.tif", "invented": "invented.tif"}
    geomedsr.write({tmp_path / file: outputs[name] for name, file in names.items()})
    page = tmp_path / "page.html"
    found = report(source, tmp_path / "image.tif", page, beside=[tmp_path / "width.tif", tmp_path / "invented.tif"])
    assert not found.broken
    text = page.read_text()
    assert text.count('class="geomedsr-swipe"') == 3
    assert "How far off a pixel may be" in text
    with pytest.raises(InputError, match="which does not say that it holds half-widths"):
        report(source, tmp_path / "image.tif", page, beside=[source], overwrite=True)
    cut = geomedsr.open(tmp_path / "width.tif").crop(geomedsr.Window(0, 0, 40, 40))
    geomedsr.write({tmp_path / "cut.tif": cut})
    with pytest.raises(InputError, match="expected the same size"):
        report(source, tmp_path / "image.tif", page, beside=[tmp_path / "cut.tif"], overwrite=True)


def test_bands_beside_the_image_are_shown_without_a_file(raster: Callable[..., Path], tmp_path: Path) -> None:
    source = raster(texture(2, 40, 48))
    both = geomedsr.upscale(geomedsr.open(source), headed(tmp_path, scale=2), interval=0.9)
    geomedsr.write({tmp_path / "both.tif": both})
    report(source, tmp_path / "both.tif", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().count('class="geomedsr-swipe"') == 2
