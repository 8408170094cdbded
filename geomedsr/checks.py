"""What a check of a result says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One promise, whether it was kept (None: it does not apply, or could not be checked), and the figures."""

    promise: str
    kept: bool | None
    detail: str = ""
