"""The page on the architecture names files that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()


def test_all_files_that_it_names_exist() -> None:
    named = set(re.findall(r"\b(?:geomedsr|adapters|tests|docs)/[\w./]*\w", PAGE))
    assert len(named) > 25
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_all_nouns_are_defined_where_it_says() -> None:
    nouns = re.findall(r"^\| `(\w+)` \|.*\| `(\S+)` \|$", PAGE, re.MULTILINE)
    assert len(nouns) == 13
    assert [noun for noun, path in nouns if f"class {noun}" not in (ROOT / path).read_text()] == []
