"""Results are, bit for bit and word for word, what they were: what changes code but not results is held to this.

A change that is meant to change results records them anew, and says so: ``python tests/digests/record.py``.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from digests.cases import Case, cases, kernels
from digests.facts import facts_of

RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text())
CASES = cases()


@pytest.fixture(scope="session")
def same_kernels() -> bool:
    """Whether this processor's convolutions have the last bits of the one that recorded."""
    return bool(kernels() == RECORDED["kernels"])


def test_every_case_is_recorded() -> None:
    assert sorted(RECORDED["cases"]) == sorted(CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_result_is_as_recorded(name: str, same_kernels: bool, tmp_path: Path) -> None:
    case: Case = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got, expected = facts_of(case.make(tmp_path)), RECORDED["cases"][name]
    if (
        not case.exact and not same_kernels
    ):  # a processor of other kernels: the words are the same, the last bits are not
        got, expected = (_without_digests(found["said"]) for found in (got, expected))
    assert list(differences(got, expected)) == []


def _without_digests(said: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in said.items() if "pixels" not in key}


def differences(got: object, expected: object, place: str = "") -> Iterator[str]:
    """Where two trees of facts differ, one line each."""
    if isinstance(got, dict) and isinstance(expected, dict):
        for key in sorted(got.keys() | expected.keys()):
            yield from differences(got.get(key), expected.get(key), f"{place}/{key}")
    elif isinstance(got, list) and isinstance(expected, list) and len(got) == len(expected):
        for number, (mine, its) in enumerate(zip(got, expected, strict=True)):
            yield from differences(mine, its, f"{place}/{number}")
    elif got != expected:
        yield f"{place}: {got} instead of {expected}"
