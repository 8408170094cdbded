"""When a scene was acquired, as its tags state it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geomedsr.scene.scene import Scene

#: Where a product states the time of its acquisition: namespace and key, the first that is there. Times are UTC.
_TIMES = (
    ("", "ACQUISITION_TIME"),
    ("IMAGERY", "ACQUISITIONDATETIME"),
    ("", "PRODUCT_START_TIME"),
    ("", "ACQUISITIONDATETIME"),
)


def acquired(scene: Scene) -> datetime | None:
    """When a scene was acquired, UTC; None where its tags do not state it."""
    texts = (scene.tags.get(namespace, {}).get(key) for namespace, key in _TIMES)
    return next((moment for text in texts if text is not None and (moment := utc(text)) is not None), None)


def utc(text: str) -> datetime | None:
    """The moment of an ISO 8601 text, UTC where it names no zone; None where it is none. Digits of a second beyond the
    sixth are dropped.
    """
    text = re.sub(r"(\.\d{6})\d+", r"\1", text.strip())
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
