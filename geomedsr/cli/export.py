"""``geomedsr export``."""

from __future__ import annotations

import argparse

from geomedsr.cli.output import print_json
from geomedsr.models import load_model
from geomedsr.models.export import export_onnx


def run(options: argparse.Namespace) -> None:
    """A model as an ONNX file."""
    model = load_model(options.model, options.realism)
    worst = export_onnx(model, options.dst, overwrite=options.overwrite)
    card = model.descriptor
    if options.json:
        print_json({"output": options.dst, "model": card.name, "sha256": model.sha256, "largest_difference": worst})
    else:
        print(f"{options.dst}: {card.name} {card.version}, at most {worst:.1g} from torch by onnxruntime")
