"""The viewer in a real browser: dragged, typed at, looked at."""

from pathlib import Path

import numpy as np
import pytest

import geomedsr
from geomedsr.geometry.grid import Window
from geomedsr.scene.scene import Band, Scene
from viewing.browsing import drag, drag_handle, opened, pixels, viewer


def flat(shade: int, side: int = 64, bands: int = 1) -> Scene:
    """One shade of 0 … 100 all over, but for its first corner and last corner, which make the range."""
    values = np.full((bands, side, side), shade, np.uint8)
    values[:, 0, 0], values[:, -1, -1] = 0, 100
    return Scene.from_array(values, name=f"shade {shade}").with_range(0, 100)


@pytest.fixture
def page_of(tmp_path: Path):
    def save(*scenes: Scene, **more: object) -> str:
        path = tmp_path / "page.html"
        geomedsr.compare(*scenes, percentiles=more.pop("percentiles", (0, 100)), **more).save(path)
        return path.as_uri()

    return save


def row_of(shown, share: float = 0.7) -> np.ndarray:
    """The shades along a line of the stage, which is filled by the picture."""
    picture = pixels(shown.locator(".stage"))
    return picture[int(share * len(picture)), :, 0]


def test_the_handle_is_dragged(page_of) -> None:
    with opened(page_of(flat(20), flat(80), height=400), size=(432, 700)) as page:
        shown = viewer(page)
        width = len(row_of(shown))
        assert width == 400
        before = row_of(shown)
        assert (before[20:180] == 51).all()
        assert (before[220:380] == 204).all()
        drag_handle(page, shown, 0.25)
        after = row_of(shown)
        assert (after[20:80] == 51).all()
        assert (after[120:380] == 204).all()
        assert shown.locator(".handle").get_attribute("aria-valuenow") == "25"
        drag_handle(page, shown, 1.5)  # past the end
        assert (row_of(shown)[20:360] == 51).all()


def test_the_handle_is_moved_by_keys(page_of) -> None:
    with opened(page_of(flat(20), flat(80), height=400), size=(432, 700)) as page:
        shown = viewer(page)
        handle = shown.locator(".handle")
        handle.focus()
        for _ in range(5):
            page.keyboard.press("ArrowLeft")
        assert handle.get_attribute("aria-valuenow") == "40"
        page.keyboard.press("Shift+ArrowLeft")
        assert handle.get_attribute("aria-valuenow") == "30"
        assert (row_of(shown)[140:380] == 204).all()
        page.keyboard.press("End")
        assert (row_of(shown)[20:380] == 51).all()
        page.keyboard.press("Space")  # the other way round
        assert (row_of(shown)[20:380] == 204).all()
        page.keyboard.press("Home")
        assert (row_of(shown)[20:380] == 51).all()
        assert "0 %" in handle.get_attribute("aria-valuetext")


def test_it_is_reached_by_tab(page_of) -> None:
    with opened(page_of(flat(20), flat(80))) as page:
        shown = viewer(page)
        reached = []
        for _ in range(20):
            page.keyboard.press("Tab")
            reached.append(shown.evaluate("e => e.shadowRoot.activeElement && e.shadowRoot.activeElement.className"))
        assert "handle" in reached


def pattern() -> tuple[Scene, Scene]:
    """Four quarters of different shades, and the same twice as fine, inverted."""
    quarters = np.array([[10, 90], [60, 30]], np.uint8).repeat(32, 0).repeat(32, 1)
    fine = (100 - quarters).repeat(2, 0).repeat(2, 1)
    return (Scene.from_array(v[None]).with_range(0, 100) for v in (quarters, fine))  # type: ignore[return-value]


def test_zoom_and_pan_move_both_sides_alike(page_of) -> None:
    coarse, fine = pattern()
    with opened(page_of(coarse, fine, height=400, percentiles=(0, 100)), size=(432, 700)) as page:
        shown = viewer(page)
        stage = shown.locator(".stage")
        box = stage.bounding_box()

        def shade(x: float, y: float) -> int:
            return int(pixels(stage)[int(y * 400), int(x * 400), 0])

        def expected(value: int) -> int:
            return round((value - 10) / 80 * 255)

        drag_handle(page, shown, 0.9)
        assert shade(0.25, 0.25) == pytest.approx(expected(10), abs=2)
        assert shade(0.75, 0.25) == pytest.approx(expected(90), abs=2)
        drag(page, (box["x"] + 300, box["y"] + 300), (box["x"] + 200, box["y"] + 300))  # a quarter to the left
        assert shade(0.4, 0.25) == pytest.approx(expected(90), abs=2)
        page.keyboard.press("0")
        stage.focus()
        page.mouse.move(box["x"] + 100, box["y"] + 100)
        page.mouse.wheel(0, -800)  # into the first quarter
        page.wait_for_timeout(100)
        for x in (0.1, 0.5, 0.8):
            assert shade(x, 0.6) == pytest.approx(expected(10), abs=2)
        drag_handle(page, shown, 0.1)
        for x in (0.2, 0.5, 0.8):
            assert shade(x, 0.6) == pytest.approx(expected(90), abs=2)  # of the fine one: 100 - 10


def test_values_are_read_under_the_pointer(page_of, sentinel: Scene, truth: Scene) -> None:
    with opened(page_of(sentinel, truth, names=["lr", "hr"], bands="B04", height=300), size=(432, 700)) as page:
        shown = viewer(page)
        box = shown.locator(".stage").bounding_box()
        assert (box["width"], box["height"]) == (400, 300)  # as the scene: 96 by 72
        page.mouse.move(box["x"] + 100.5, box["y"] + 50.5)
        text = shown.locator(".read").inner_text()
        row, col = int(50.5 / 300 * 72), int(100.5 / 400 * 96)
        fine = int(50.5 / 300 * 288), int(100.5 / 400 * 384)
        assert str(sentinel.data.values[0, 2, row, col]) in text
        assert str(truth.data.values[0, 2, *fine]) in text
        west, _, _, north = sentinel.grid.bounds
        east, up = (float(v) for v in text.split("  ")[0].split(", ")[:2])
        assert east == pytest.approx(west + 100.5 / 400 * 3840, abs=10)
        assert up == pytest.approx(north - 50.5 / 300 * 2880, abs=10)


def test_bands_are_chosen(page_of) -> None:
    values = np.stack([np.full((32, 32), v, np.uint8) for v in (50, 100, 150, 200)])
    values[:, 0, 0], values[:, -1, -1] = 0, 255
    scene = Scene.from_array(values, bands=[Band(n) for n in ("B02", "B03", "B04", "B08")])
    with opened(page_of(scene, scene, height=400), size=(432, 700)) as page:
        shown = viewer(page)

        def colour() -> list[int]:
            return pixels(shown.locator(".stage"))[280, 80].tolist()

        assert colour() == [150, 100, 50]
        bands = shown.get_by_label("bands", exact=True)
        bands.select_option(label="false colour")
        assert colour() == [200, 150, 100]
        bands.select_option(label="B03")
        assert colour() == [100, 100, 100]


def test_windows_and_levels(tmp_path: Path, ct: Scene) -> None:
    path = tmp_path / "ct.html"
    geomedsr.compare(ct, ct, window=Window(200, 200, 64, 64), frames=[0, 2], height=400).save(path)
    hu = ct.physical().values[:, 0, 200:264, 200:264]
    with opened(path.as_uri(), size=(932, 700)) as page:
        shown = viewer(page)
        stage = shown.locator(".stage")
        left = (stage.bounding_box()["width"] - 400) / 2

        def seen(row: int, col: int) -> int:
            picture = pixels(stage)
            return int(picture[int((row + 0.5) * 400 / 64), int(left + (col + 0.5) * 400 / 64), 0])

        def expected(frame: int, row: int, col: int, low: float, high: float) -> float:
            return float(np.clip((hu[frame, row, col] - low) / (high - low), 0, 1) * 255)

        place = (40, 10)
        assert seen(*place) == pytest.approx(expected(0, *place, -160, 240), abs=1.5)
        shown.get_by_label("window", exact=True).select_option(label="lung")
        assert seen(*place) == pytest.approx(expected(0, *place, -1350, 150), abs=1.5)
        shown.get_by_label("window centre").fill("50")
        shown.get_by_label("window width").fill("200")
        shown.get_by_label("window width").press("Enter")
        assert seen(*place) == pytest.approx(expected(0, *place, -50, 150), abs=1.5)
        assert shown.get_by_label("window", exact=True).input_value() == "0"  # none of the presets
        stage.focus()
        page.keyboard.press("PageUp")
        page.wait_for_timeout(300)
        assert "3 of 4" in shown.locator(".bar").first.inner_text()
        assert seen(*place) == pytest.approx(expected(1 + 1, *place, -50, 150), abs=1.5)
        box = stage.bounding_box()
        page.mouse.move(box["x"] + 300, box["y"] + 300)
        page.mouse.down(button="right")
        page.mouse.move(box["x"] + 400, box["y"] + 300)
        page.mouse.up(button="right")
        assert float(shown.get_by_label("window width").input_value()) > 250  # wider


def test_no_data_is_not_drawn(page_of) -> None:
    values = np.full((1, 32, 32), 100, np.uint8)
    values[0, :, :16] = 255
    values[0, 0, -1] = 0
    scene = Scene.from_array(values, bands=[Band("a", nodata=255)])
    with opened(page_of(scene, scene, height=400), size=(432, 700)) as page:
        row = pixels(viewer(page).locator(".stage"))[280]
        assert row[50].tolist() == [0x26, 0x28, 0x2B]  # the stage's own
        assert row[350].tolist() == [255, 255, 255]


def test_a_third_scene_is_chosen(page_of) -> None:
    with opened(page_of(flat(20), flat(80), flat(50), height=400), size=(632, 700)) as page:
        shown = viewer(page)
        shown.get_by_label("right", exact=True).select_option(label="shade 50")
        row = row_of(shown)
        assert (row[420:480] == 128).all()


def test_no_name_ends_the_script(page_of) -> None:
    with opened(page_of(flat(20), flat(80), names=["<!--<script>", "</script><b>\u2028`${1}"])) as page:
        shown = viewer(page)
        assert shown.locator(".name.left").inner_text() == "<!--<script>"
        assert shown.locator(".name.right").inner_text() == "</script><b>\u2028`${1}"


def test_one_output_shown_twice(tmp_path: Path) -> None:
    fragment = geomedsr.compare(flat(20), flat(80), percentiles=(0, 100), height=300).html()
    (tmp_path / "twice.html").write_text(f"<!DOCTYPE html><body>{fragment}<hr>{fragment}</body>", encoding="utf-8")
    with opened((tmp_path / "twice.html").as_uri(), size=(332, 900)) as page:
        for number in (0, 1):
            assert (row_of(viewer(page, number))[20:130] == 51).all()


def test_values_of_many_digits_are_told_in_full(page_of) -> None:
    whole = np.array([[1_234_567, 1_234_568], [1_234_570, 1_234_600]], np.int32)
    floats = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    floats[0, 0], floats[-1, -1] = -1e30, 1e30
    with opened(page_of(*[Scene.from_array(whole[None])] * 2, height=300), size=(332, 700)) as page:
        box = viewer(page).locator(".stage").bounding_box()
        page.mouse.move(box["x"] + 50, box["y"] + 50)
        assert viewer(page).locator(".read").inner_text().split("   ")[1] == "1234567  |  1234567 "
    stray = page_of(*[Scene.from_array(floats[None])] * 2, percentiles=(1, 99), height=300)
    with opened(stray, size=(332, 700)) as page:
        box = viewer(page).locator(".stage").bounding_box()
        told = []
        for place in (1, 150, 298):
            page.mouse.move(box["x"] + place, box["y"] + place)
            told.append(viewer(page).locator(".read").inner_text().split("   ")[1].split("  |")[0])
        assert [words[:2] for words in told] == ["≤ ", "≈ ", "≥ "]
        assert float(told[1][2:]) == pytest.approx(floats[32, 32], abs=0.02)
        assert 30 < pixels(viewer(page).locator(".stage"))[150, 40, 0] < 225  # not one shade for all but the strays


def test_if_it_cannot_be_drawn_the_picture_stays(tmp_path: Path) -> None:
    text = geomedsr.compare(flat(20), flat(80), percentiles=(0, 100)).page()
    text = text.replace("<body>", "<body><script>CanvasRenderingContext2D.prototype.createImageData = null</script>")
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    with opened((tmp_path / "page.html").as_uri()) as page:
        page.wait_for_function("document.querySelector('.geomedsr-swipe').dataset.failed")
        assert page.locator(".geomedsr-swipe img").is_visible()


def test_without_scripts_there_is_a_picture(page_of) -> None:
    with opened(page_of(flat(20), flat(80)), scripts=False) as page:
        picture = pixels(page.locator(".geomedsr-swipe img"))
        assert picture.shape[1] == 844
        assert (picture[200, 100], picture[200, 700]) == (pytest.approx(51), pytest.approx(204))


def test_if_the_values_are_damaged_the_picture_stays(tmp_path: Path) -> None:
    page_text = geomedsr.compare(flat(20), flat(80), percentiles=(0, 100)).page()
    damaged = page_text.replace('"frames": [["eJ', '"frames": [["AA', 1)
    assert damaged != page_text
    (tmp_path / "damaged.html").write_text(damaged, encoding="utf-8")
    with opened((tmp_path / "damaged.html").as_uri()) as page:
        page.wait_for_function("document.querySelector('.geomedsr-swipe').dataset.failed")
        assert pixels(page.locator(".geomedsr-swipe img")).shape[1] == 844


def test_hidden_at_first_it_is_drawn_when_shown(tmp_path: Path) -> None:
    page_text = geomedsr.compare(flat(20), flat(80), percentiles=(0, 100), height=400).page()
    page_text = page_text.replace("<body>", '<body><div id="tab" style="display:none">').replace(
        "</body>", "</div></body>"
    )
    (tmp_path / "tab.html").write_text(page_text, encoding="utf-8")
    with opened((tmp_path / "tab.html").as_uri(), size=(432, 700)) as page:
        shown = viewer(page)
        page.evaluate("document.getElementById('tab').style.display = ''")
        page.wait_for_timeout(200)
        assert (row_of(shown)[20:180] == 51).all()
