"""What the site needs besides mkdocs's plugins: links that leave ``docs/``, and Sphinx's roles in docstrings.

Pages are read in the repository too, so they link to the files themselves. On the site such a link leads to the page
that holds the file: one that includes it (``--8<--``), or one made here that shows it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

_LINK = re.compile(r"\]\((\.\./[^)#:\s]+)(#[^)\s]*)?\)")
_INCLUSION = re.compile(r'--8<-- "([^"]+)"\n?')
_CODE = re.compile(r"<code>[^<]*</code>")
_ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):<code>~?([\w.]+)</code>")
_SHOWN = {".md": "", ".py": "python", ".yaml": "yaml", ".ipynb": ""}

#: Files outside ``docs/`` and the pages that hold them, both relative: ``CHANGELOG.md`` → ``changelog.md``.
_held: dict[str, str] = {}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Find the pages that include a file, and make pages for the other files that are linked to."""
    _held.clear()
    pages = list(files.documentation_pages())
    for file in pages:
        if whole := _INCLUSION.fullmatch(file.content_string):
            _held[whole[1]] = file.src_uri
    for file in pages:
        for path in _outside(file, config):
            if path not in _held:
                stem, suffix = os.path.splitext(path)
                _held[path] = f"source/{stem}.md"
                text = _shown(path, suffix, (_root(config) / path).read_text(encoding="utf-8"))
                files.append(File.generated(config, _held[path], content=text, inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Lead links out of ``docs/`` to the site's own pages."""

    def led(link: re.Match[str]) -> str:
        held = _held.get(_target(page.file, link[1], config))
        if held is None:
            return link[0]
        return f"]({os.path.relpath(held, os.path.dirname(page.file.src_uri))}{link[2] or ''})"

    return _LINK.sub(led, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Turn roles such as ``:func:`geomedsr.open``` into code that links to what it names, if the site has it.

    In tables ``\\|`` stands for ``|``, in code too; mkdocs's Markdown leaves the backslash there.
    """
    html = _CODE.sub(lambda code: code[0].replace(r"\|", "|"), html)
    return _ROLE.sub(r'<autoref optional identifier="\1"><code>\1</code></autoref>', html)


def _shown(path: str, suffix: str, text: str) -> str:
    """A page with a file's text, which the search leaves alone."""
    if suffix == ".ipynb":
        text, suffix = _notebook(text), ".md"
    body = text if suffix == ".md" else f"# {path}\n\n~~~~~~ {_SHOWN[suffix]}\n{text}~~~~~~\n"
    return f"---\nsearch: {{exclude: true}}\n---\n{body}"


def _notebook(text: str) -> str:
    """A notebook's cells as a page, its links leading from ``source/notebooks/``."""
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"~~~~~~ python\n{source}\n~~~~~~")
    return "\n\n".join(parts).replace("](../docs/", "](../../").replace(".ipynb)", ".md)") + "\n"


def _root(config: MkDocsConfig) -> Path:
    return Path(config.docs_dir).parent


def _target(file: File, link: str, config: MkDocsConfig) -> str:
    """Where a link leads, relative to the repository."""
    folder = os.path.join(config.docs_dir, os.path.dirname(file.src_uri))
    return os.path.relpath(os.path.join(folder, link), _root(config)).replace(os.sep, "/")


def _outside(file: File, config: MkDocsConfig) -> Iterator[str]:
    for link, _ in _LINK.findall(file.content_string):
        path = _target(file, link, config)
        if not path.startswith("docs/") and os.path.splitext(path)[1] in _SHOWN:
            yield path
