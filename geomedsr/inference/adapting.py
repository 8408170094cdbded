"""Whether and how a model goes on training on the scene itself."""

from __future__ import annotations

import os
from dataclasses import dataclass

from geomedsr.errors import InputError


@dataclass(frozen=True)
class Adapting:
    """How a model goes on training on the scene itself; see :mod:`geomedsr.training.adapting`.

    ``path`` is where the model is written. ``steps`` says how long, or ``minutes`` does, of which as many steps are
    made as fit. A model that is at ``path`` and was made in the same way of the same scene is taken as it is; any other
    one is an error, unless it may be replaced (``overwrite``). ``progress`` shows a bar.

    Raises:
        InputError: no step, or no time.
    """

    path: str | os.PathLike[str]
    steps: int | None = None
    minutes: float = 3.0
    seed: int = 0
    overwrite: bool = False
    progress: bool = False

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise InputError(f"{self.steps} steps of adapting", "at least 1", "give more, or leave it out")
        if self.steps is None and not 0 < self.minutes < 1e4:
            raise InputError(f"{self.minutes:g} minutes of adapting", "more than 0", "give more, or leave it out")

    @property
    def asked(self) -> dict[str, float]:
        """What was asked for, as data."""
        return {"minutes": self.minutes} if self.steps is None else {"steps": self.steps}
