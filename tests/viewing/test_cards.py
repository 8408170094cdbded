import base64
import html
import io
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from conftest import recipe_file
from PIL import Image

import geomedsr
from geomedsr.geometry.grid import Grid, Window
from geomedsr.inference.prediction import Prediction
from geomedsr.metrics.evaluate import Evaluation, Score
from geomedsr.metrics.figures import Figure
from geomedsr.scene.scene import Band, Scene
from geomedsr.training import load_recipe


def text_of(card: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", card))


def picture_of(card: str) -> np.ndarray:
    found = re.search(r"data:image/png;base64,([^\"]+)", card)
    assert found is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))))


def test_a_scene_in_the_terminal(sentinel: Scene) -> None:
    assert repr(sentinel).splitlines() == [
        "<geomedsr.Scene input.tif: 96 × 72 pixels, uint16, 54 KiB; bands 4: B02, B03, B04, B08>",
        "  EPSG:32618 (WGS 84 / UTM zone 18N); pixel 40 m",
    ]


def test_a_series_in_the_terminal(ct: Scene, mr: Scene) -> None:
    lines = repr(ct).splitlines()
    assert len(lines) == 2
    assert "512 × 512 pixels, 4 slices, int16" in lines[0] or "512 × 512 pixels, 4 slices, uint16" in lines[0]
    assert re.fullmatch(r"  axial; pixel [\d.]+ × [\d.]+ mm, slices [\d.]+ mm apart", lines[1])
    assert "slices" in repr(mr)


def test_a_result_says_what_made_it(sentinel: Scene) -> None:
    third = repr(geomedsr.upscale(sentinel, "satellite-x4", realism=1)).splitlines()[2]
    assert third.startswith("  made by satellite-x4 1.2.0, ×4, realism 1: detail finer")


def test_a_repr_reads_nothing(sentinel: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **more: Any) -> Any:
        raise AssertionError("read")

    monkeypatch.setattr(type(sentinel.source), "read", fail)
    monkeypatch.setattr(type(sentinel.source), "valid", fail)
    assert "96 × 72" in repr(sentinel)


def test_a_scenes_card(sentinel: Scene) -> None:
    card = sentinel._repr_html_()
    text = text_of(card)
    for part in (
        "input.tif",
        "96 × 72 pixels",
        "4: B02, B03, B04, B08",
        "40 m",
        "EPSG:32618",
        "uint16",
        "54 KiB",
        "1–99 %",
    ):
        assert part in text
    low, high = (v for v in map(float, re.findall(r"([\d.e+]+) … ([\d.e+]+)", text)[0]))
    values = sentinel.data.values
    assert low == pytest.approx(min(np.percentile(v, 1) for v in values[0]), rel=1e-3)
    assert high == pytest.approx(max(np.percentile(v, 99) for v in values[0]), rel=1e-3)
    image = picture_of(card)
    assert image.shape == (72, 96, 4)
    red = values[0, 2].astype(float)
    ends = np.percentile(red, (1, 99))
    assert image[..., 0] == pytest.approx(np.clip((red - ends[0]) / (ends[1] - ends[0]), 0, 1) * 255, abs=1)
    assert "<script" not in card
    assert "http" not in card


def test_a_series_card_shows_the_middle_slice(ct: Scene) -> None:
    card = ct._repr_html_()
    assert "slice 3" in text_of(card)
    assert "axial" in card
    assert "HU" in card
    hu = ct.physical().values[2, 0]
    shrunk = hu.reshape(128, 4, 128, 4).mean((1, 3))
    assert picture_of(card)[..., 0] == pytest.approx(np.clip((shrunk + 160) / 400, 0, 1) * 255, abs=1)


def test_a_results_card_computes_nothing(sentinel: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    sr = geomedsr.upscale(sentinel, "satellite-x4")

    def fail(*args: Any, **more: Any) -> Any:
        raise AssertionError("computed")

    monkeypatch.setattr(Prediction, "read", fail)
    card = sr._repr_html_()
    assert "made by" in card
    assert "384 × 288 pixels" in card
    assert "prediction" in card
    assert picture_of(card).shape == (72, 96, 4)


def test_in_a_card_the_north_is_up() -> None:
    values = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    placed = Scene.from_array(values, grid=Grid((3, 4), Affine(-10, 0, 500, 0, 10, 1000)))
    assert (picture_of(placed._repr_html_()) == picture_of(Scene.from_array(values)._repr_html_())[::-1, ::-1]).all()


def test_a_card_of_a_part_of_a_result_says_what_it_shows(sentinel: Scene) -> None:
    sr = geomedsr.upscale(sentinel, "satellite-x4")
    assert "its middle" not in sr.crop(Window(3, 5, 10, 10))._repr_html_()  # seen through 4 × 4 pixels of its input
    assert "its middle" in Scene.from_array(np.zeros((1, 1, 40_000_000), np.uint8))._repr_html_()


def test_a_card_of_what_cannot_be_read_says_so(tmp_path: Path, sentinel: Scene) -> None:
    path = tmp_path / "half.tif"
    with rasterio.open(path, "w", driver="GTiff", count=1, height=80, width=80, dtype="uint8") as dataset:
        dataset.write(np.random.default_rng(0).integers(0, 255, (1, 80, 80), np.uint8))
    os.truncate(path, path.stat().st_size // 2)
    scene = geomedsr.open(path)
    assert "cannot be read" in scene._repr_html_()


def test_names_cannot_break_out_of_a_card() -> None:
    scene = Scene.from_array(np.ones((1, 4, 4), np.uint8), bands=[Band("<script>x</script>")], name="<b>&")
    card = scene._repr_html_()
    assert "<script>" not in card
    assert "&lt;b&gt;&amp;" in card


def test_no_data_is_told_and_transparent() -> None:
    values = np.array([[[0, 5], [6, 7]]], np.uint8)
    scene = Scene.from_array(values, bands=[Band("a", nodata=0)])
    card = scene._repr_html_()
    assert "no data 0" in text_of(card)
    assert picture_of(card)[..., 3].tolist() == [[0, 255], [255, 255]]


def test_a_models_card() -> None:
    model = geomedsr.load_model("ct-x2")
    text = text_of(model._repr_html_())
    for part in ("ct-x2 1.2.0", "CT, ×2, band by band", "0 of 0 … 1", "by block-mean", model.sha256[:16]):
        assert part in text


def test_a_recipes_card() -> None:
    recipe = load_recipe("satellite-x4")
    text = text_of(recipe._repr_html_())
    for part in ("satellite-x4", "block-mean", "content", "adversarial", "relativistic", "discriminator"):
        assert part in text
    assert len(repr(recipe).splitlines()) == 1


def test_the_card_of_a_recipe_of_real_pairs_says_so(tmp_path: Path) -> None:
    pairs = [{"fine": "a", "coarse": "b", "attribution": ""}]
    text = text_of(load_recipe(recipe_file(tmp_path, data={"pairs": pairs}))._repr_html_())
    assert "real pairs" in text
    assert "block-mean" not in text  # nothing is made coarse


def test_an_evaluations_card_marks_the_best() -> None:
    scores = (
        Score("coast", "bicubic", 20.0, 0.5, 0.4, 0.0),
        Score("coast", "model", 22.0, 0.7, None, 2.0),
        Score("<x>", "bicubic", 30.0, 0.9, None, 0.0),
    )
    evaluation = Evaluation(scores, ("how it was done",))
    card = evaluation._repr_html_()
    assert re.search(r"font-weight:600\">22\.00", card)
    assert re.search(r"font-weight:400\">20\.00", card)
    assert re.search(r"font-weight:600\">0\.400", card)
    assert "how it was done" in card
    assert "<x>" not in card
    assert repr(evaluation).splitlines()[2].split() == [
        "coast,",
        "model",
        "22.00",
        "dB",
        "SSIM",
        "0.7000",
        "+2.00",
        "dB",
        "over",
        "bicubic",
    ]


def test_an_evaluations_card_is_its_markdown_table() -> None:
    told = {"sam": 2.0, "ergas": 3.0, "drift": 0.5, "improvement": 0.0, "omission": 100.0, "hallucination": 0.0}
    better = {"sam": 1.5, "ergas": 2.0, "drift": 0.0, "improvement": 30.0, "omission": 50.0, "hallucination": 20.0}
    gain = Figure(2.0, 1.5, 2.5)
    scores = (
        Score("coast", "bicubic", 20.0, 0.5, 0.4, 0.0, {name: Figure(v) for name, v in told.items()}),
        Score("coast", "model", 22.0, 0.7, 0.3, 2.0, {name: Figure(v) for name, v in better.items()} | {"gain": gain}),
    )
    evaluation = Evaluation(scores)
    card = html.unescape(evaluation._repr_html_()).replace("\N{NO-BREAK SPACE}", " ")
    lines = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line) for line in card.split("<tr")[1:]]
    assert lines[0] == [
        "scene",
        "method",
        "PSNR, dB",
        "SSIM",
        "VGG-19 distance (× bicubic's)",
        "SAM, °",
        "ERGAS, %",
        "drift",
        "improved, %",
        "omitted, %",
        "hallucinated, %",
        "gain over bicubic, dB",
    ]
    figures = ["22.00", "0.7000", "0.300 (0.75 ×)", "1.50", "2.00", "0.000", "30.0", "50.0", "20.0"]
    assert lines[2] == ["coast", "model", *figures, "+2.00 (+1.50 … +2.50)"]
    markdown = [line.strip("| ").split(" | ") for line in evaluation.markdown().splitlines()]
    assert lines == [markdown[0], *markdown[2:4]]
    bold = re.findall(r"font-weight:600\">([^<]*)</td>", card)
    assert bold == [text for text in lines[2][2:] if text not in ("50.0", "20.0")]  # by definition bicubic's


def test_memory_is_told_in_round_numbers() -> None:
    from geomedsr.viewing.facts import memory

    scene = Scene.from_array(np.zeros((1, 4, 4), np.uint8))
    assert memory(scene) == "16 B"
    wide = replace(scene, source=replace(scene.source, values=np.broadcast_to(np.uint16(0), (1, 4, 10980, 10980))))
    assert memory(wide) == "920 MiB"
