"""The pictures of cards, viewer and report in docs/images: python examples/screenshots.py (Chromium and playwright)."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import geomedsr
from geomedsr import Window
from geomedsr.viewing.report import report

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
COAST, ABDOMEN = ROOT / "examples" / "sentinel2_coast", ROOT / "examples" / "ct_abdomen"


def main() -> None:
    """Make the pages, open each, swipe a little, take the pictures."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("error: got no Chromium, expected one on the path: apt-get install chromium")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 1000, "height": 620}, device_scale_factor=1)
        cards(page, folder)
        swipe(page, folder)
        slices(page, folder)
        whole_report(page, folder)
        browser.close()


def cards(page: Page, folder: Path) -> None:
    """A scene, a result, a series and a model."""
    scene = geomedsr.open(COAST / "input.tif")
    shown = [scene, geomedsr.open(ABDOMEN), geomedsr.load_model("satellite-x4")]
    parts = "".join(f'<div style="margin:8px 0">{one._repr_html_()}</div>' for one in shown)
    (folder / "cards.html").write_text(f'<meta charset="utf-8"><body style="margin:8px">{parts}', encoding="utf-8")
    page.goto((folder / "cards.html").as_uri())
    page.set_viewport_size({"width": 820, "height": 400})
    picture(page, "cards.png", whole=True)
    page.set_viewport_size({"width": 1000, "height": 620})


def swipe(page: Page, folder: Path) -> None:
    """The viewer on a scene."""
    scene, truth = geomedsr.open(COAST / "input.tif"), geomedsr.open(COAST / "reference.tif")
    names = ["Sentinel-2, 40 m", "satellite-x4, 10 m", "truth, 10 m"]
    viewer = geomedsr.compare(scene, geomedsr.upscale(scene), truth, names=names, height=520)
    viewer.save(folder / "swipe.html")
    page.goto((folder / "swipe.html").as_uri())
    ready(page, (0.62, 0.4))
    picture(page, "swipe.png")


def slices(page: Page, folder: Path) -> None:
    """The viewer on slices."""
    scene = geomedsr.open(ABDOMEN)
    where = Window(col=110, row=130, width=170, height=110)
    names = ["512 × 512", "ct-x2, 1024 × 1024"]
    geomedsr.compare(scene, geomedsr.upscale(scene), names=names, window=where, frames=[1, 2], height=520).save(
        folder / "ct.html"
    )
    page.goto((folder / "ct.html").as_uri())
    ready(page, (0.3, 0.6))
    picture(page, "swipe_ct.png")


def whole_report(page: Page, folder: Path) -> None:
    """A report, from top to bottom."""
    result = folder / "coast_x4.tif"
    geomedsr.write(geomedsr.upscale(geomedsr.open(COAST / "input.tif")), result, progress=False)
    report(COAST / "input.tif", result, folder / "report.html", reference=COAST / "reference.tif")
    page.goto((folder / "report.html").as_uri())
    ready(page, (0.5, 0.5))
    picture(page, "report.png", whole=True)


def ready(page: Page, pointer: tuple[float, float]) -> None:
    """Wait for the viewer, and point at a part of it, so that values are told."""
    page.wait_for_function("document.querySelector('.geomedsr-swipe').dataset.ready")
    box = page.locator(".geomedsr-swipe .stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + pointer[0] * box["width"], box["y"] + pointer[1] * box["height"])


def picture(page: Page, name: str, *, whole: bool = False) -> None:
    """Save what is shown, in 256 colours, which is enough for a page and small."""
    path = IMAGES / name
    page.screenshot(path=path, full_page=whole)
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
    small.save(path, optimize=True)


if __name__ == "__main__":
    main()
