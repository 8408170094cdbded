"""What a result says of how it was made: one typed record, which files hold as tags (``GEOMEDSR_…``)."""

from geomedsr.scene.provenance.record import (
    NONE,
    OF_FRAMES,
    PREFIX,
    ROLE,
    STEPS,
    Agreement,
    Chosen,
    IntervalRecord,
    ModelFacts,
    Provenance,
    RunFacts,
)
from geomedsr.scene.provenance.scenes import (
    before,
    chosen,
    cropped,
    foreign,
    origin_of,
    picked,
    provenance_of,
    window_of,
)
from geomedsr.scene.provenance.steps import Step

__all__ = [
    "NONE",
    "OF_FRAMES",
    "PREFIX",
    "ROLE",
    "STEPS",
    "Agreement",
    "Chosen",
    "IntervalRecord",
    "ModelFacts",
    "Provenance",
    "RunFacts",
    "Step",
    "before",
    "chosen",
    "cropped",
    "foreign",
    "origin_of",
    "picked",
    "provenance_of",
    "window_of",
]
