"""The page on the architecture names files that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()


def test_all_files_that_it_names_exist() -> None:
    named = set(re.findall(r"\b(?:geomedsr|adapters|tests|docs|examples)/[\w./]*\w", PAGE))
    assert len(named) > 25
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_all_nouns_are_defined_where_it_says() -> None:
    nouns = re.findall(r"^\| `(\w+)` \|.*\| `(\S+)` \|$", PAGE, re.MULTILINE)
    table = PAGE.split("\n| class |")[1].split("\n\n")[0]
    assert len(nouns) == table.count("\n| `") > 12  # every row is one of them
    assert [noun for noun, path in nouns if f"class {noun}" not in (ROOT / path).read_text()] == []


def test_a_new_task_touches_the_files_that_it_says() -> None:
    told = dict(re.findall(r"^\| `(examples/new_task/\S+)` \|.*\| (\d+) \|$", PAGE, re.MULTILINE))
    folder = ROOT / "examples" / "new_task"
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith((".", "test_", "README"))]
    assert told == {str(path.relative_to(ROOT)): str(len(path.read_text().splitlines())) for path in files}
    assert sum(map(int, told.values())) < 120
    known = "\n".join(path.read_text() for place in ("geomedsr", "adapters") for path in (ROOT / place).rglob("*.py"))
    assert "within-noise" not in known
