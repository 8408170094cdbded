"""``--adapt``, as all commands have it that let a model go on training."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from geomedsr.errors import OutputError
from geomedsr.inference.adapting import Adapting
from geomedsr.io.files import exists
from geomedsr.models import load_model
from geomedsr.scene.provenance import Provenance

#: Suffixes of two parts, and what each of them leaves off a result's name.
_TWOFOLD = (".nii.gz",)


def adapting_asked(options: argparse.Namespace, dst: str) -> Adapting | None:
    """How the model is adapted, and where it goes: beside the result, with its name.

    Raises:
        OutputError: the result is there already, which is told before minutes are spent.
    """
    if options.adapt is None:
        return None
    if os.path.lexists(dst) and not options.overwrite:
        raise exists(Path(dst))
    path = Path(f"{stem(dst)}.model.safetensors")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path.parent} ({error.strerror})", "a folder for the model", "choose another DST"
        ) from error
    return Adapting(path, **options.adapt, overwrite=options.overwrite, progress=not options.quiet)


def stem(dst: str) -> str:
    """A result's path without its suffix."""
    for suffix in _TWOFOLD:
        if dst.lower().endswith(suffix):
            return dst[: -len(suffix)]
    return os.path.splitext(dst.rstrip("/\\"))[0]


def adapted_facts(how: Adapting, provenance: Provenance) -> dict[str, Any]:
    """What came of adapting: the model's file, if it gained, and how it did on what was kept out."""
    made = load_model(how.path) if os.path.isfile(how.path) else None
    if made is None or made.sha256 not in [step.sha256 for step in provenance.steps]:
        return {"model": None, "what": "nothing gained, the model is as it was"}
    card = made.descriptor
    steps, metrics = card.training["stages"]["content"]["steps"], card.metrics
    what = f"{steps} steps, {how.path}"
    if metrics:
        what += f"; on what was kept out {metrics['psnr_before']:.2f} → {metrics['psnr']:.2f} dB"
    return {"model": os.fspath(how.path), "steps": steps, **metrics, "what": what}
