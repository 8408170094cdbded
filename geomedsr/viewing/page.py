"""The frame of all pages: a head, a style, and no external resources."""

from __future__ import annotations

import html
from collections.abc import Iterable

from geomedsr._version import __version__

_STYLE = """
body { margin: 0 auto; max-width: WIDTHpx; padding: 20px 24px 60px; font: 15px/1.5 system-ui, sans-serif; color: #222;
  background: #fff; }
h1 { font-size: 24px; margin: 0 0 2px; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 30px 0 8px; }
.lead { color: #555; margin: 0 0 18px; }
.cards { display: flex; flex-wrap: wrap; gap: 12px; }
.plots { display: flex; flex-wrap: wrap; gap: 18px 36px; }
table.plain { border-collapse: collapse; }
table.plain td, table.plain th { text-align: left; vertical-align: top; padding: 3px 14px 3px 0;
  border-bottom: 1px solid #e4e4e4; overflow-wrap: anywhere; }
table.plain th { overflow-wrap: normal; }
.kept { color: #00664a; font-weight: 600; }
.broken { color: #b00020; font-weight: 700; }
.open { color: #777; }
.kept, .broken, .open { white-space: nowrap; }
.warn { border-left: 4px solid #d55e00; padding: 4px 12px; background: #fff6ee; }
"""


def page(title: str, parts: Iterable[str], *, style: str = "", width: int = 1060) -> str:
    """A complete page of HTML fragments, one below the other; ``style`` is added to the common style."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width">'
        f'<meta name="generator" content="geomedsr {__version__}"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE.replace('WIDTH', str(width))}{style}</style></head><body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
