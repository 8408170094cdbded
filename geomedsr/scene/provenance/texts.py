"""How single facts of a provenance stand in texts. Readers raise a ValueError for what is none of theirs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from geomedsr.geometry import Factors

#: What readers raise where a text tells nothing: JSON that is nested without end, too.
UNREAD = (ValueError, TypeError, RecursionError)

#: More bands than any scene has.
MOST_BANDS = 4096

_NUMBER = r"\d{1,9}(?:/[1-9]\d{0,3})?"
_PART = re.compile(rf"{_NUMBER}(?:,{_NUMBER}){{3}}", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,20}", re.ASCII)

#: Of a band the ends of its value range, those of each frame, or None where it was not computed.
Range = tuple[float, float] | tuple[tuple[float, float], ...] | None


def readable(text: Any) -> bool:
    """Whether it is a text that every format can hold: Unicode without surrogates and control characters."""
    if not isinstance(text, str) or any(ord(c) < 32 and c not in "\t\n\r" for c in text):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def some(text: str) -> str:
    """A text that is not empty."""
    if not text:
        raise ValueError("no text")
    return text


def whole(low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers from ``low`` to ``high``, written as Python writes them."""

    def read(text: str) -> int:
        if not _WHOLE.fullmatch(text) or str(int(text)) != text or not low <= int(text) <= high:
            raise ValueError("no such number")
        return int(text)

    return read


def one_of(*words: str) -> Callable[[str], str]:
    """A reader of some words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError("no such word")
        return text

    return read


def like(pattern: str) -> Callable[[str], str]:
    """A reader of texts that match a pattern as a whole."""

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError("no such text")
        return text

    return read


def unit(text: str) -> float:
    """A number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError("not from 0 to 1")
    return value


def number(text: str) -> float | int:
    """A number as Python writes it, not finite ones too."""
    return int(text) if _WHOLE.fullmatch(text) else float(text)


def positive(text: str) -> float:
    """A finite number above 0."""
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError("not above 0")
    return value


def part(text: str) -> tuple[Fraction, ...]:
    """Column, row, width and height, such as ``5/2,0,31/4,8``."""
    if not _PART.fullmatch(text):
        raise ValueError("no window")
    return tuple(map(Fraction, text.split(",")))


def part_text(numbers: Sequence[Fraction]) -> str:
    """The text of a window."""
    return ",".join(map(str, numbers))


def bands(text: str) -> tuple[str | int, ...]:
    """Bands, by name or by number."""
    found = tuple(_list(text))
    if not all(isinstance(band, str | int) and not isinstance(band, bool) for band in found):
        raise ValueError("no bands")
    return found


def ranges(text: str) -> tuple[Range, ...]:
    """The range of each band."""
    return tuple(_range(entry) for entry in _list(text))


def _range(entry: Any) -> Range:
    if entry is None:
        return None
    if not isinstance(entry, list) or not entry:
        raise ValueError("no range")
    return tuple(map(_ends, entry)) if isinstance(entry[0], list) else _ends(entry)


def _ends(pair: Any) -> tuple[float, float]:
    low, high = pair
    for end in (low, high):
        if isinstance(end, bool) or not isinstance(end, int | float) or not math.isfinite(float(end)):
            raise ValueError("no number")
    return low, high


def words(text: str) -> Mapping[str, str]:
    """Names and what they mean."""
    found = json.loads(text)
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError("no table of words")
    return found


def _list(text: str) -> list[Any]:
    found = json.loads(text)
    if not isinstance(found, list):
        raise ValueError("no list")
    return found


def guessed(factors: Factors) -> str:
    """Which part of a result is predicted, not measured, in words; ``factors`` is how many times finer it is."""
    if factors.volume == 1:
        return "What differs from its source is a model's guess"
    pixels = [f"{factors.x} pixels"] * (factors.x > 1) + [f"{factors.frame} slices"] * (factors.frame > 1)
    return f"Detail finer than {' or '.join(pixels)} of this image is a model's guess"
