"""geomedsr: single-image super-resolution of satellite scenes and medical slices, with nothing lost.

import geomedsr

scene = geomedsr.open("scene.tif")
sr = geomedsr.upscale(scene, model="satellite-x4")   # lazy
geomedsr.write(sr, "scene_x4.tif")
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import wrapt

from geomedsr._version import __version__
from geomedsr.providers import provide

if TYPE_CHECKING:
    from geomedsr.checks import Check
    from geomedsr.errors import GeomedsrError
    from geomedsr.fusion.fuse import fuse
    from geomedsr.geometry.grid import Grid, Window
    from geomedsr.inference.engine import write
    from geomedsr.inference.process import process
    from geomedsr.inference.upscale import upscale
    from geomedsr.io import open_scene as open
    from geomedsr.metrics.selftest import selftest
    from geomedsr.models import Model, load_model
    from geomedsr.progress import show_progress
    from geomedsr.repairing.repair import repair
    from geomedsr.scene.scene import Band, Scene
    from geomedsr.sharpening.sharpen import sharpen
    from geomedsr.transfer import join, split
    from geomedsr.verification.verify import verify
    from geomedsr.viewing import Comparison, compare

#: The module of each public name. It is imported on first use, since torch alone takes a second.
_HOMES = {
    "Band": "scene.scene",
    "Check": "checks",
    "Comparison": "viewing",
    "GeomedsrError": "errors",
    "Grid": "geometry.grid",
    "Model": "models",
    "Scene": "scene.scene",
    "Window": "geometry.grid",
    "compare": "viewing",
    "fuse": "fusion.fuse",
    "join": "transfer",
    "load_model": "models",
    "open": "io.registry",
    "process": "inference.process",
    "repair": "repairing.repair",
    "selftest": "metrics.selftest",
    "sharpen": "sharpening.sharpen",
    "show_progress": "progress",
    "split": "transfer",
    "upscale": "inference.upscale",
    "verify": "verification.verify",
    "write": "inference.engine",
}

__all__ = [
    "Band",
    "Check",
    "Comparison",
    "GeomedsrError",
    "Grid",
    "Model",
    "Scene",
    "Window",
    "__version__",
    "compare",
    "fuse",
    "join",
    "load_model",
    "open",
    "process",
    "repair",
    "selftest",
    "sharpen",
    "show_progress",
    "split",
    "upscale",
    "verify",
    "write",
]


if not TYPE_CHECKING:  # type checkers know the names above and should report others

    def __getattr__(name: str) -> Any:
        home = _HOMES.get(name)
        if home is not None:
            found = getattr(import_module(f"{__name__}.{home}"), "open_scene" if name == "open" else name)
        elif not name.startswith("_") and find_spec(f"{__name__}.{name}") is not None:
            found = import_module(f"{__name__}.{name}")
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# Functions of higher rooms that lower rooms use; see `geomedsr.providers`.
provide(
    {
        "array.scene": "geomedsr.labelled:scene_of",
        "evaluation.card": "geomedsr.viewing.card:evaluation_card",
        "interval.widening": "geomedsr.metrics.coverage:widening",
        "model.card": "geomedsr.viewing.card:model_card",
        "operator": "geomedsr.operators:get",
        "model.adapted": "geomedsr.training.adapt:adapted",
        "model.adapted_slices": "geomedsr.training.adapt_slices:adapted_slices",
        "recipe.card": "geomedsr.viewing.card:recipe_card",
        "scene.card": "geomedsr.viewing.card:scene_card",
        "scene.figure": "geomedsr.viewing.figure:plot",
        "scene.text": "geomedsr.viewing.facts:plain",
    }
)

# Registers `DataArray.geomedsr` when any code imports xarray, which is slow to import and not always needed.
wrapt.register_post_import_hook("geomedsr.hook:register", "xarray")
