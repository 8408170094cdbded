"""The page of the command line: a table for each command, from the parser itself, so that none is forgotten."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from mkdocs.structure.pages import Page

from geomedsr.cli.parser import command_parsers

_PAGE, _PLACE = "api/command-line.md", "<!-- commands -->"


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Put the tables where the page asks for them."""
    if page.file.src_uri != _PAGE:
        return markdown
    return markdown.replace(_PLACE, "\n".join(line for each in command_parsers().items() for line in _section(*each)))


def _section(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    actions = [action for action in parser._actions if action.dest != "help"]
    usage = [_shown(action) for action in actions if not action.option_strings or action.required]
    yield from (f"## {name}", "", f"`geomedsr {' '.join([name, *usage])}`", "", parser.description or "", "")
    yield from ("| option | what it does |", "|---|---|")
    for action in actions:
        text = (action.help or "") % {"default": action.default} if action.help else ""
        yield f"| `{_shown(action)}` | {_escaped(text)} |".replace("|`", "| `")
    yield ""


def _shown(action: argparse.Action) -> str:
    """An option as it is typed; its value as the parser calls it."""
    value = action.metavar if isinstance(action.metavar, str) else "|".join(map(str, action.choices or ()))
    if not action.option_strings:
        text = value or action.dest.upper()
        return f"{text} …" if action.nargs in ("+", "*") else text
    text = ", ".join(action.option_strings)
    return _escaped(text if action.nargs == 0 else f"{text} {value or action.dest.upper()}")


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
