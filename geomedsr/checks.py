"""The outcome of a check of a result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One guarantee, whether it is kept (None: it does not apply, or could not be checked), and figures."""

    promise: str
    kept: bool | None
    detail: str = ""
