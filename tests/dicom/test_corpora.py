"""The driver of other projects' files tells what is done, refused and at fault."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from dicom.conftest import pixels, save, slice_of

Series = Callable[..., Path]


@pytest.fixture(scope="module")
def driver() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "corpora_dicom.py"
    spec = importlib.util.spec_from_file_location("corpora_dicom", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_a_folder_and_each_of_its_files_are_cases(driver: ModuleType, series: Series, tmp_path: Path) -> None:
    folder = series(2, "root/in")
    (tmp_path / "root" / "notes.txt").write_text("hello")
    assert list(driver.cases(tmp_path / "root")) == [
        tmp_path / "root" / "notes.txt",
        folder,
        *sorted(folder.iterdir()),
    ]


def test_what_comes_of_a_case_is_told(driver: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = save(slice_of(pixels()), tmp_path / "a.dcm")
    assert driver.tried(good) == driver.Outcome(str(good), "done", "")
    phase = save(slice_of(pixels(), modality="MR", ImageType=["ORIGINAL", "PRIMARY", "P"]), tmp_path / "p.dcm")
    outcome = driver.tried(phase)
    assert (outcome.what, outcome.fault) == ("refused", False)
    assert "wrap around" in outcome.words

    def litters(words: list[str]) -> int:
        if words[0] == "upscale":
            (Path(words[2]).parent).mkdir(parents=True)
            (Path(words[2]).parent / ".part").write_text("x")
            print("error: one line", file=sys.stderr)
            return 2
        return 0

    monkeypatch.setattr(driver, "command", litters)
    outcome = driver.tried(good)
    assert (outcome.what, outcome.fault, outcome.words) == ("files left behind", True, ".part")
    monkeypatch.setattr(driver, "command", lambda words: 1)
    assert driver.tried(good).fault
