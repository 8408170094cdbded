"""The base class of all parts of recipes and cards: typed, immutable, without unknown keys."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A group of keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
