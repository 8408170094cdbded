"""The base of everything that a recipe or a card describes: typed, unchangeable, unknown keys refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A group of keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
