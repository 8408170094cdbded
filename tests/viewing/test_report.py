import html
import re
from pathlib import Path

import numpy as np
import pytest
import rasterio

import geomedsr
from geomedsr.cli import main
from geomedsr.errors import InputError
from geomedsr.geometry.grid import Window
from geomedsr.scene.scene import Scene
from geomedsr.viewing.report import _histograms, report
from viewing.browsing import drag_handle, opened, pixels, viewer

EXAMPLES = Path(__file__).parents[2] / "examples"
SOURCE, TRUTH = EXAMPLES / "sentinel2_coast" / "input.tif", EXAMPLES / "sentinel2_coast" / "reference.tif"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "sr.tif"
    geomedsr.write(geomedsr.upscale(geomedsr.open(SOURCE), "satellite-x4"), path)
    return path


def test_all_of_it_on_one_page(result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "report.html"
    status = main(["report", str(SOURCE), str(result), "-o", str(page), "--reference", str(TRUTH)])
    assert status == 0
    assert re.search(r"report\.html: \d+ promises kept, 0 broken", capsys.readouterr().out)
    text = page.read_text(encoding="utf-8")
    shown = html.unescape(re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", text, flags=re.DOTALL))
    plain = re.sub(r"\s+", " ", shown)
    for check in geomedsr.verify(SOURCE, result):
        assert check.promise in plain
    assert "the mean of each 4 × 4 block is the source's pixel bit for bit" in plain
    told = geomedsr.open(result).tags[""]
    assert told["GEOMEDSR_MODEL_SHA256"] in plain
    assert "prediction, not a measurement" in plain
    assert text.count("<polyline") == 4 * 3  # bands, and source, result and reference
    assert not re.search(r"https?://(?!www\.w3\.org)|src=\"(?!data:)|<link", text)


def test_its_figures_are_those_of_evaluate(result: Path, tmp_path: Path) -> None:
    from geomedsr.metrics import evaluate

    made = report(SOURCE, result, tmp_path / "r.html", reference=TRUTH)
    assert made.scores is not None  # the sample's input is rounded to whole counts; evaluate's own is not
    scores = {s.method: s for s in made.scores.scores}
    same = evaluate(geomedsr.load_model("satellite-x4"), [geomedsr.open(TRUTH)], realism=[0])
    expected = {s.method: s for s in same.scores}
    assert scores["result"].psnr == pytest.approx(expected["satellite-x4, realism 0"].psnr, abs=1e-3)
    assert scores["bicubic"].psnr == pytest.approx(expected["bicubic"].psnr, abs=1e-3)
    assert scores["result"].ssim == pytest.approx(expected["satellite-x4, realism 0"].ssim, abs=1e-5)


def test_a_window_of_the_source(result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part, page = tmp_path / "part.tif", tmp_path / "r.html"
    geomedsr.write(geomedsr.open(result).crop(Window(120, 80, 160, 120)), part)  # 30,20,40,30 of the source
    words = ["report", str(SOURCE), str(part), "-o", str(page), "--window"]
    assert main([*words, "10,10,30,15"]) == 2
    assert "the window 10,10,30,15 for a result of the window 30,20,40,30" in capsys.readouterr().err
    assert main([*words, "34,22,12,10"]) == 0
    text = page.read_text(encoding="utf-8")
    assert "of the window 30,20,40,30" in text
    west, _, _, north = geomedsr.open(SOURCE).grid.bounds
    place = re.search(r'"place": \[\[([^]]*)\]', text)
    assert place is not None
    assert [float(v) for v in place[1].split(",")] == [west + 34 * 40, north - 22 * 40, 12 * 40, 0, 0, -10 * 40]


def test_a_reference_that_lies_nowhere_is_told(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "truth.tif"
    with rasterio.open(TRUTH) as dataset:
        profile = {**dataset.profile, "crs": None, "transform": None, "driver": "GTiff"}
        with rasterio.open(nowhere, "w", **profile) as copy:
            copy.write(dataset.read())
    words = ["report", str(SOURCE), str(result), "-o", str(tmp_path / "r.html"), "--reference", str(nowhere)]
    assert main(words) == 0
    told = "warning: scenes placed by sizes alone: input.tif by an affine, truth.tif without a place\n"
    assert capsys.readouterr().err == told


def test_a_broken_promise_is_told(result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = tmp_path / "changed.tif"
    changed.write_bytes(result.read_bytes())
    with rasterio.open(changed, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        values = dataset.read(1)
        values[100, 100] += 500
        dataset.write(values, 1)
    status = main(["report", str(SOURCE), str(changed), "-o", str(tmp_path / "r.html")])
    assert status == 1
    assert "BROKEN  the mean of each 4 × 4 block" in capsys.readouterr().out
    assert "1 promise broken" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_bad_input(result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "r.html"

    def refused(*words: str) -> str:
        assert main(["report", *map(str, words)]) == 2
        assert not page.exists()
        return capsys.readouterr().err

    assert "one in .html" in refused(SOURCE, result, "-o", tmp_path / "r.pdf")
    assert "expected the same size" in refused(SOURCE, result, "-o", page, "--reference", SOURCE)
    assert "the CT window 'lung'" in refused(SOURCE, result, "-o", page, "--level", "lung")
    assert "File name too long" in refused(SOURCE, result, "-o", tmp_path / f"{'r' * 300}.html")
    assert "exists" in refused(SOURCE, result, "-o", tmp_path / "no" / "r.html")
    page.write_text("mine")
    assert main(["report", str(SOURCE), str(result), "-o", str(page)]) == 2
    assert page.read_text() == "mine"
    assert "--overwrite" in capsys.readouterr().err


def test_a_sharpened_product_shows_what_was_made_beside_what_it_was_made_of(tmp_path: Path) -> None:
    product = EXAMPLES / "sentinel2_product" / "coast.zip"
    geomedsr.write(geomedsr.sharpen(geomedsr.open(product), bands=["B11", "B05", "B03"]), tmp_path / "s.tif")
    made = report(product, tmp_path / "s.tif", tmp_path / "s.html")
    assert made.broken == []
    assert "guide" in str(made.tested)
    text = html.unescape((tmp_path / "s.html").read_text(encoding="utf-8"))
    assert "made finer by sentinel2-20m-x2" in text
    assert "240 × 132 pixels" in text
    assert "480 × 264 pixels" in text
    assert text.count("<polyline") == 2 * 2  # B05 and B11; B03 is the product's own
    with opened((tmp_path / "s.html").as_uri()) as page:
        lines = """cells => cells.map(cell => {
            const word = document.createRange(), text = cell.firstChild;
            word.setStart(text, 0); word.setEnd(text, `${text.data} `.indexOf(" "));
            return word.getClientRects().length
        })"""
        assert set(page.locator("table.plain th").evaluate_all(lines)) == {1}  # no word is broken in two
    with pytest.raises(InputError, match="bands made in different ways"):
        report(product, tmp_path / "s.tif", tmp_path / "t.html", reference=tmp_path / "s.tif")


def test_a_series(tmp_path: Path, ct: Scene) -> None:
    geomedsr.write(geomedsr.upscale(ct), tmp_path / "ct")
    made = report(EXAMPLES / "ct_abdomen", tmp_path / "ct", tmp_path / "ct.html", level="bone")
    assert made.broken == []
    text = (tmp_path / "ct.html").read_text(encoding="utf-8")
    assert "central" not in text
    assert "soft tissue" in text
    assert "512 × 512 pixels, 4 slices" in text


def test_the_reports_viewer_is_swiped(result: Path, tmp_path: Path) -> None:
    report(SOURCE, result, tmp_path / "r.html", reference=TRUTH)
    with opened((tmp_path / "r.html").as_uri(), size=(1100, 900)) as page:
        shown = viewer(page)
        stage = shown.locator(".stage")
        stage.scroll_into_view_if_needed()
        before = pixels(stage)
        drag_handle(page, shown, 0.2)
        after = pixels(stage)
        width = before.shape[1]
        moved = slice(int(0.25 * width), int(0.45 * width))
        assert (before[60:-60, moved] != after[60:-60, moved]).mean() > 0.3  # result instead of source
        same = slice(int(0.55 * width), int(0.9 * width))
        assert np.array_equal(before[60:-60, same], after[60:-60, same])
        shown.locator(".handle").focus()
        for _ in range(3):
            page.keyboard.press("Shift+ArrowRight")
        assert np.array_equal(pixels(stage)[60:-60, moved], before[60:-60, moved])


def test_words_and_tables_fit_its_width(result: Path, tmp_path: Path) -> None:
    """No "kept" is broken in two, and no figure lies beyond the edge."""
    report(SOURCE, result, tmp_path / "report.html", reference=TRUTH)
    with opened((tmp_path / "report.html").as_uri()) as page:
        lines = """cells => cells.map(cell => {
            const text = document.createRange(); text.selectNodeContents(cell); return text.getClientRects().length
        })"""
        counts = page.locator("td.kept").evaluate_all(lines)
        assert len(counts) > 8
        assert set(counts) == {1}
        table = page.locator("table:has-text('SSIM')")
        wide, room = table.evaluate("table => [table.scrollWidth, table.parentElement.clientWidth]")
        assert wide <= room


def test_the_histogram_of_slices_each_on_a_scale_of_its_own() -> None:
    stored = np.full((2, 1, 8, 8), 100, np.uint8)
    scene = Scene.from_array(stored, rescale=((1.0, 0.0), (3.0, -50.0)), domain="MR")
    drawn = _histograms(scene, scene, None)
    assert re.findall(r'fill="#555"[^>]*>([^<]+)<', drawn) == ["100", "250"]  # not twice 175, of the mean slope
