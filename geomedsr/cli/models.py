"""``geomedsr models``."""

from __future__ import annotations

import argparse

from geomedsr.cli.output import print_json
from geomedsr.models import available, load_model


def run(options: argparse.Namespace) -> None:
    """The models shipped."""
    models = [load_model(name) for name in sorted(available())]
    if options.json:
        print_json([{**m.descriptor.model_dump(mode="json"), "sha256": m.sha256} for m in models])
        return
    for model in models:
        card = model.descriptor
        bands = card.sees.replace("band by band", "any bands")
        gain = ""
        if card.metrics:
            gain = f", {card.metrics['psnr'] - card.metrics['psnr_bicubic']:+.2f} dB over bicubic in validation"
        print(f"{card.name} {card.version}: {card.offered}, {bands}, {card.architecture}{gain}")
        if card.adversarial:
            print(f"  realism 0 (content weights) … 1 (adversarial weights), default {card.realism:g}")
        if card.interval is not None:
            print(f"  interval: {len(card.interval.scores)} {card.interval.kind} of calibration")
        print(f"  {card.description}")
        print(f"  {card.licence}")
        print(f"  sha256 {model.sha256}")
