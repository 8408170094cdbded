"""Debian's Chromium, through Playwright: what the browser tests share."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from PIL import Image

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def opened(
    address: str, *, scripts: bool = True, local: bool = False, size: tuple[int, int] = (1000, 800)
) -> Iterator[Any]:
    """A page; at the end nothing may have been asked of anyone, or with ``local`` of none but this machine."""
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    asked: list[str] = []
    failures: list[str] = []
    with sync_api.sync_playwright() as playwright:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            context = chromium.new_context(java_script_enabled=scripts, viewport={"width": size[0], "height": size[1]})
            context.on("request", lambda request: asked.append(request.url))
            page = context.new_page()
            page.on("pageerror", lambda error: failures.append(str(error)))
            page.goto(address)
            yield page
        finally:
            chromium.close()
    allowed = ("file:", "data:", "blob:", *(("http://127.0.0.1:", "http://localhost:", "ws://") if local else ()))
    assert [url for url in asked if not url.startswith(allowed)] == []
    assert local or failures == []


def pixels(place: Any) -> np.ndarray:
    """What an element shows, ``(y, x, 3)``."""
    return np.asarray(Image.open(io.BytesIO(place.screenshot())).convert("RGB")).astype(int)


def viewer(page: Any, number: int = 0) -> Any:
    """A viewer that has begun."""
    found = page.locator(".geomedsr-swipe").nth(number)
    found.wait_for(state="attached", timeout=60_000)
    page.wait_for_function(
        "i => document.querySelectorAll('.geomedsr-swipe')[i].dataset.ready", arg=number, timeout=60_000
    )
    return found


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Press, move in steps, let go."""
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=5)
    page.mouse.up()


def drag_handle(page: Any, shown: Any, share: float) -> None:
    """Take the handle to a part of the width."""
    stage, handle = shown.locator(".stage").bounding_box(), shown.locator(".handle").bounding_box()
    y = stage["y"] + 0.7 * stage["height"]
    drag(page, (handle["x"] + handle["width"] / 2, y), (stage["x"] + share * stage["width"], y))
