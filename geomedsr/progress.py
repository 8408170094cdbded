"""Progress bars: one wrapper for notebooks and terminals, and one switch to silence it."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Any

from tqdm import tqdm

_shown = True


def show_progress(shown: bool = True) -> None:
    """Turn progress bars on or off in this process; the environment variable ``GEOMEDSR_PROGRESS=0`` turns them off."""
    global _shown
    _shown = shown


def bar(total: int, *, unit: str, done: int = 0, title: str = "", large: bool = False, wanted: bool = True) -> Any:
    """A tqdm bar: a widget in notebooks that support it, else a line if standard error is a terminal or a notebook.

    ``large`` counts in thousands and millions. Nothing is shown unless it is ``wanted`` and progress bars are on.
    """
    setting = os.environ.get("GEOMEDSR_PROGRESS", "1").strip().casefold()
    silent = not (wanted and _shown and setting not in ("0", "off", "no", "false"))
    notebook = in_notebook()
    kind: Any = tqdm
    if notebook and not silent and find_spec("ipywidgets") is not None:
        from tqdm.notebook import tqdm_notebook as kind
    return kind(
        total=total,
        initial=done,
        unit=unit,
        unit_scale=large,
        desc=title or None,
        disable=True if silent else False if notebook else None,  # None: tqdm shows it only on a terminal
    )


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in shell.config
