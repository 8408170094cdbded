"""Notebooks beyond running, which nbmake sees to: no outputs in them, their pages, and a live JupyterLab."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from viewing.browsing import CHROMIUM, drag_handle, opened, pixels, viewer

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_there_are_six() -> None:
    assert [p.stem for p in NOTEBOOKS] == [
        "01_satellite",
        "02_ct_mr",
        "03_train_your_own",
        "04_large_scenes_dask",
        "05_sentinel2_product",
        "06_trust",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_they_are_committed_without_outputs(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert notebook["cells"][0]["source"][0].startswith("# ")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_their_links_lead_somewhere(path: Path) -> None:
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "markdown":
            for target in re.findall(r"\]\(([^)#:]+)\)", "".join(cell["source"])):
                assert (path.parent / target).exists(), target


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebooks and what they use, apart."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "notebooks").mkdir()
    for path in NOTEBOOKS:
        shutil.copy(path, folder / "notebooks")
    for name in ("examples", "docs"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def moves_by_mouse_and_keys(page, shown) -> None:
    """Swipe by both; what is under the handle changes, and comes back."""
    stage = shown.locator(".stage")
    stage.scroll_into_view_if_needed()
    before = pixels(stage)
    assert len(np.unique(before.reshape(-1, 3), axis=0)) > 500  # a scene, no blank
    drag_handle(page, shown, 0.2)
    width = before.shape[1]
    moved = (slice(60, -60), slice(int(0.25 * width), int(0.45 * width)))
    assert (before[moved] != pixels(stage)[moved]).mean() > 0.3
    shown.locator(".handle").focus()
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    assert shown.locator(".handle").get_attribute("aria-valuenow") == "50"
    assert np.array_equal(pixels(stage)[moved], before[moved])


@pytest.mark.skipif(find_spec("nbconvert") is None, reason="no nbconvert")
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_an_exported_notebook_shows_the_viewer(checkout: Path) -> None:
    # Nothing from elsewhere: nbconvert itself links MathJax, require.js and, where there are widgets, their manager.
    words = ["--to", "html", "--execute", "--output", "exported", "01_satellite.ipynb"]
    alone = ["--HTMLExporter.mathjax_url=", "--HTMLExporter.require_js_url="]
    run = subprocess.run(
        [sys.executable, "-m", "nbconvert", *words, *alone],
        cwd=checkout / "notebooks",
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"GEOMEDSR_PROGRESS": "0"},
    )
    assert run.returncode == 0, run.stderr[-2000:]
    page_path = checkout / "notebooks" / "exported.html"
    with opened(page_path.as_uri(), size=(1100, 900)) as page:
        moves_by_mouse_and_keys(page, viewer(page))
        assert page.locator("img[alt^='input.tif']").count() >= 1  # the card


@pytest.fixture
def jupyter(checkout: Path) -> Iterator[str]:
    """The address of a running JupyterLab."""
    if find_spec("jupyterlab") is None:
        pytest.skip("no JupyterLab")
    options = ["--no-browser", "--ServerApp.port=0", "--IdentityProvider.token=", "--ServerApp.password="]
    options += ["--allow-root"] if os.geteuid() == 0 else []
    home = {"HOME": str(checkout), "JUPYTER_CONFIG_DIR": str(checkout / "config")}
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options, f"--ServerApp.root_dir={checkout}"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ | home,
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        address = None
        deadline = time.monotonic() + 120
        while address is None and time.monotonic() < deadline:
            found = re.search(r"(http://(?:localhost|127\.0\.0\.1):\d+)/lab", process.stderr.readline())
            address = found[1] if found else None
        assert address is not None
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        process.stderr.close()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_live_jupyterlab_shows_the_viewer(jupyter: str) -> None:
    with opened(f"{jupyter}/lab/tree/notebooks/01_satellite.ipynb", local=True, size=(1300, 1000)) as page:
        page.locator(".jp-MarkdownOutput h1", has_text="A satellite scene").wait_for(timeout=120_000)
        page.wait_for_selector(
            ".jp-NotebookPanel-toolbar [data-status='idle'], .jp-Notebook-ExecutionIndicator", timeout=120_000
        )
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.wait_for_function("document.querySelectorAll('.geomedsr-swipe').length > 0", timeout=180_000)
        shown = viewer(page)
        moves_by_mouse_and_keys(page, shown)
        assert page.locator(".jp-OutputArea-output .geomedsr-swipe").count() >= 1
