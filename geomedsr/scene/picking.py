"""Bands as users select them: by name or number, with the role that the user gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from geomedsr.errors import InputError

if TYPE_CHECKING:
    from geomedsr.scene.scene import Band


def asked(bands: Sequence[Band], band: str | int) -> tuple[str | int, str | None]:
    """A band and the role that the user gives it: ``red=3``, or ``=3`` for none, unless a band has that very name."""
    role, equals, rest = str(band).partition("=")
    if isinstance(band, int) or not equals or band in [b.name for b in bands]:
        return band, None
    return rest, role.strip().casefold()


def with_role(band: Band, role: str | None, taken: Sequence[str]) -> Band:
    """A band with a new role; with none if ``role`` is empty; with its own if ``role`` is None and it is not taken."""
    kept = None if band.role in taken else band.role
    return replace(band, role=kept if role is None else role or None)


def position(bands: Sequence[Band], band: str | int) -> int:
    """Position of a band given by name (exact, then in any case) or by number from 1.

    Raises:
        InputError: there is no such band.
    """
    text = str(band).strip()
    names = [b.name for b in bands]
    if text in names and not isinstance(band, int):
        return names.index(text)
    folded = [n.casefold() for n in names]
    if folded.count(text.casefold()) == 1 and not isinstance(band, int):
        return folded.index(text.casefold())
    if text.isascii() and text.isdigit() and 1 <= int(text) <= len(names):
        return int(text) - 1
    raise InputError(f"band {text!r}", f"one of {listing(bands)}", "name a band or give its number from 1")


def listing(bands: Sequence[Band]) -> str:
    """The bands by number and name; only the first twenty if there are more."""
    names = [f"{i} ({b.name})" if b.name != str(i) else b.name for i, b in enumerate(bands, 1)]
    return ", ".join(names[:20]) + (f" … {len(names)} in all" if len(names) > 20 else "")


def as_data(band: Band) -> Band:
    """The band, turned into data if it is alpha."""
    return replace(band, kind="continuous", interpretation="undefined") if band.interpretation == "alpha" else band
