"""How the learning rate moves."""

from __future__ import annotations

import math

from geomedsr.training.stages import OptimiserPart


def learning_rate(part: OptimiserPart, step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine from ``learning_rate`` to ``final_learning_rate``."""
    if step < part.warmup_steps:
        return part.learning_rate * (step + 1) / part.warmup_steps
    done = (step - part.warmup_steps) / max(1, steps - part.warmup_steps)
    wave = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return part.final_learning_rate + (part.learning_rate - part.final_learning_rate) * wave
