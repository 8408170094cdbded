"""Products that several tests read; none may write to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from products.safe import Safe


@pytest.fixture(scope="session")
def surface(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Level-2A product of baseline 05.11."""
    return Safe().write(tmp_path_factory.mktemp("surface"))


@pytest.fixture(scope="session")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Level-1C product of baseline 05.11."""
    return Safe(level="1C").write(tmp_path_factory.mktemp("top"))


@pytest.fixture(scope="session")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Level-1C product of baseline 02.14: no offsets, and masks of polygons."""
    return Safe(level="1C", baseline="02.14").write(tmp_path_factory.mktemp("old"))
