"""The wheel, installed where the checkout is not, works and finds its adapters."""

import ast
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest

import geomedsr
from geomedsr import plugins
from geomedsr.io import registry

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_every_package_and_model(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    packages = [
        ROOT / "geomedsr",
        *(p for p in (ROOT / "adapters").iterdir() if p.is_dir() and p.name != "__pycache__"),
    ]
    for package in packages:
        for path in package.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert str(path.relative_to(package.parent)) in names
    assert not any(n.startswith(("adapters/", "tests/", "examples/")) for n in names)
    assert not (ROOT / "adapters" / "__init__.py").exists()


def test_every_entry_point_loads_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    env = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(env)], check=True)
    python = env / "bin" / "python"
    base = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*base, str(wheel)], check=True)
    # The dependencies (not this checkout: .pth files of a path that a .pth file adds are not read).
    (site,) = env.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    code = """
import geomedsr, sys
from importlib.metadata import entry_points
from geomedsr.io import installed
assert geomedsr.__file__.startswith(sys.prefix), geomedsr.__file__
found = entry_points(group="geomedsr.adapters")
assert {e.name for e in found} == {"arrays", "dicom", "geotiff", "products", "volume", "zarr"}, found
assert all(e.load().__name__ for e in found)
working, failed = installed()
assert set(working) == {"arrays", "dicom", "geotiff", "products", "volume", "zarr"} and not failed, failed
print(geomedsr.load_model("satellite-x4").descriptor.name)
"""
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("satellite-x4\n", 0), done.stderr
    listed = subprocess.run([env / "bin" / "geomedsr", "models"], capture_output=True, text=True, cwd=tmp_path)
    assert listed.returncode == 0
    assert "satellite-x4" in listed.stdout


def test_the_core_imports_no_adapter_and_no_raster_library() -> None:
    names = ("rasterio", "pydicom", "SimpleITK", "geomedsr_geotiff", "geomedsr_dicom")
    code = f"import sys, geomedsr; print([m for m in {names} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize(
    "code",
    [
        "import geomedsr; geomedsr.__version__, geomedsr.Scene, geomedsr.Window, geomedsr.GeomedsrError",
        "from geomedsr.cli import main; assert main(['info', 'examples/sentinel2_coast/input.tif']) == 0",
        "from geomedsr.cli import main; assert main(['info', 'examples/ct_abdomen']) == 0",
        "from geomedsr.cli import main; assert main(['upscale']) == 2",
    ],
)
def test_torch_is_imported_only_where_a_network_is_run(code: str) -> None:
    """It takes a second."""
    code += "; import sys; print([name for name in ('torch', 'xarray', 'matplotlib') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["[]"]), done.stderr


def test_dask_is_imported_only_where_scenes_are() -> None:
    code = "import sys, geomedsr; geomedsr.load_model; print('dask' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_every_name_is_there_when_it_is_first_used() -> None:
    code = "import geomedsr; assert {*geomedsr.__all__} <= {*dir(geomedsr)}; from geomedsr import *; print(open, write)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("<function open_scene"), done.stderr
    code = "import geomedsr; print(geomedsr.models.load_model is geomedsr.load_model, hasattr(geomedsr, 'no_such'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "True False\n", done.stderr
    tree = ast.parse((ROOT / "geomedsr" / "__init__.py").read_text())
    told = {
        a.asname or a.name
        for node in tree.body
        if isinstance(node, ast.If)
        for i in node.body
        if isinstance(i, ast.ImportFrom)
        for a in i.names
    }
    assert told | {"__version__"} == {*geomedsr.__all__}  # what type checkers see


def test_a_broken_adapter_does_not_break_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        name = "aaa"

        def load(self) -> object:
            raise ImportError("no libfoo")

    real = list(plugins.entry_points(group=registry.GROUP))
    monkeypatch.setattr(plugins, "entry_points", lambda group: [Broken(), *real])
    registry.installed.cache_clear()
    try:
        working, failed = registry.installed()
        assert set(working) == {"arrays", "dicom", "geotiff", "products", "volume", "zarr"}
        assert failed == {"aaa": "ImportError: no libfoo"}
        with pytest.raises(geomedsr.GeomedsrError, match=r"aaa \(not loading: ImportError: no libfoo\)"):
            registry.open_sink(geomedsr.Scene.from_array(np.ones((2, 2))), "x.unknown")
    finally:
        registry.installed.cache_clear()


def test_every_requirement_is_pinned_within_its_range() -> None:
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"
    )
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    for line in lines:
        requirement = Requirement(line)
        assert requirement.specifier.contains(pins[requirement.name.lower()]), line
