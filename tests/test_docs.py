"""The code in README and docs runs, and prints what the pages say."""

import re
import shlex
from pathlib import Path

import pytest

from geomedsr.cli import main
from geomedsr.training import load_recipe

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
STARTS = sorted((ROOT / "docs" / "start").glob("*.md"))

# What differs from run to run and from machine to machine: how long it took, and what a network trained there reaches.
TIME = re.compile(r"\d+(?:\.\d+)? s\b")
FIGURE = re.compile(r"\d+\.\d+")


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[tuple[str, str]]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^( *)```{language}\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own with the samples and recipes in it."""
    for name in ("examples", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=named)
def test_python_examples_run(page: Path, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = "\n".join(text for _, text in blocks(page, "python"))
    exec(compile(code, page.name, "exec"), {})
    if page.name == "README.md":
        assert capsys.readouterr().out == "(4, 288, 384)\n"
        assert (workplace / "scene_x4.tif").exists()


@pytest.mark.parametrize(
    "page", [pytest.param(p, marks=pytest.mark.slow if p.stem == "training" else ()) for p in STARTS], ids=named
)
def test_the_first_steps_print_what_they_say(page: Path, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = re.findall(
        r"^```console\n(geomedsr [^\n]*)\n```\n(?:\n```text\n(.*?)```)?",
        page.read_text(encoding="utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    assert len(steps) >= 3
    varies = FIGURE if page.stem == "training" else TIME
    for command, said in steps:
        assert main(shlex.split(command)[1:]) == 0, command
        printed = [varies.sub("", line) for line in "".join(capsys.readouterr()).splitlines()]
        for line in said.splitlines():
            assert varies.sub("", line) in printed, command


def test_recipes_are_recipes(workplace: Path) -> None:
    whole = [text for page in PAGES for _, text in blocks(page, "yaml") if text.startswith("name:")]
    assert len(whole) >= 2
    for text in whole:
        (workplace / "recipe.yaml").write_text(text, encoding="utf-8")
        assert load_recipe("recipe.yaml").name in text


def test_links_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{named(page)}: {target}"
