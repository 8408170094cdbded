"""Another date that a repair was made from."""

from __future__ import annotations

from collections.abc import Iterator

from geomedsr.checks import Check
from geomedsr.repairing.repair import FROM
from geomedsr.scene.digest import digest
from geomedsr.scene.provenance import provenance_of
from geomedsr.scene.scene import Scene

__all__ = ["FROM", "date_check"]


def date_check(result: Scene, date: Scene | None) -> Iterator[Check]:
    """Whether another date is the one that a repair was made from; nothing of other results."""
    stated = (provenance_of(result).model.inputs or {}).get(FROM)
    if stated is None:
        return
    promise = "the other date is the one that it was filled from"
    if date is None:
        yield Check(promise, None, f"to check it, give --input {FROM}=FILE, which was {stated}")
        return
    name, _, known = stated.rpartition(" ")
    same = digest(date.select([i for i, band in enumerate(date.bands, 1) if band.kind == "continuous"])) == known
    yield Check(promise, same, "" if same else f"{date.name} holds other values than {name}")
