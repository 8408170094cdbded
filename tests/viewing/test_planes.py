"""Figures, viewers and reports of volumes cut across their slices."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toys import saved_toy, stack

import geomedsr
from geomedsr.errors import InputError
from geomedsr.viewing.report import report


def test_a_figure_cuts_a_volume_in_true_proportions() -> None:
    pytest.importorskip("matplotlib")
    scene = stack(12)  # slices of 26 × 30 pixels of 1 mm, 3 mm apart
    figure = scene.plot(plane="coronal", frame=4)
    axis = figure.axes[0]
    assert axis.get_title().endswith("coronal 5 of 26")
    left, right = axis.get_xlim()
    bottom, top = axis.get_ylim()
    assert abs(right - left) == pytest.approx(30)
    assert abs(top - bottom) == pytest.approx(36)
    assert axis.get_aspect() == 1
    shown = np.asarray(axis.images[0].get_array())
    np.testing.assert_array_equal(shown, scene.data.values[::-1, 0, 4, :])
    assert axis.get_ylabel() == "mm, towards inferior"
    with pytest.raises(InputError, match="frame 26"):
        scene.plot(plane="coronal", frame=26)


def data_of(text: str) -> dict[str, object]:
    found = re.search(r'begin\("[^"]+", (\{.*\})\);', text)
    assert found is not None
    return json.loads(found[1])  # type: ignore[no-any-return]


@pytest.mark.parametrize(("plane", "size"), [(None, (30, 26)), ("coronal", (30, 24)), ("sagittal", (26, 24))])
def test_a_viewer_shows_thick_slices_beside_thin_ones(tmp_path: Path, plane: str | None, size: tuple[int, int]) -> None:
    scene = stack(8)
    made = geomedsr.process(saved_toy(tmp_path, frame_factor=3), image=scene, precision="float32")["image"]
    viewer = geomedsr.compare(scene, made, plane=plane)
    data = data_of(viewer.html())
    assert [(layer["width"], layer["height"]) for layer in data["layers"]] == [size] * 2  # type: ignore[attr-defined]
    assert data["slices_in_all"] == {None: 24, "coronal": 26, "sagittal": 30}[plane]
    assert data["ground"] == [30, 26] if plane is None else [size[0], 24]
    with Image.open(io.BytesIO(viewer.png())) as still:
        assert still.size == (844, round(420 * (26 if plane is None else 24) / size[0]))
    thick = viewer._layers[0].frames[0][0][0]
    if plane == "coronal":
        np.testing.assert_array_equal(thick, scene.data.values[::-1, 0, 13, :].repeat(3, 0))


def test_a_report_of_new_slices_shows_three_planes(tmp_path: Path) -> None:
    geomedsr.write(stack(6), tmp_path / "in.nii")
    made = geomedsr.process(saved_toy(tmp_path, frame_factor=2), image=geomedsr.open(tmp_path / "in.nii"))["image"]
    geomedsr.write(made, tmp_path / "out.nii")
    report(tmp_path / "in.nii", tmp_path / "out.nii", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().count('begin("geomedsr-') == 3
