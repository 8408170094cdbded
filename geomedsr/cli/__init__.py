"""The command line: ``geomedsr upscale``, ``sharpen``, ``fuse``, ``repair``, ``split``, ``join`` and others.

Exit 0: done. 2: bad usage or input, with one ``error: …`` line on standard error. 1: an internal fault, or a
promise that `verify` found broken.
"""

from __future__ import annotations

import gc
import io
import logging
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NoReturn

from geomedsr.addresses import public
from geomedsr.cli.parser import UsageError, parse
from geomedsr.errors import GeomedsrError, SceneWarning

__all__ = ["command", "main"]


def command() -> int:
    """The command ``geomedsr``; returns the exit status of the process."""
    paused = gc.isenabled()
    gc.disable()  # until all is imported: among torch's objects Python looks for garbage in vain, again and again
    status = _main(sys.argv[1:], paused)
    torch = sys.modules.get("torch")
    if torch is None or not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        gc.freeze()  # nor is it to look on its way out, which takes 0.4 s; processes of torchrun have threads to end
    return status


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, by default that of this process; returns the exit status."""
    return _main(list(sys.argv[1:] if argv is None else argv))


def _main(words: list[str], paused: bool = False) -> int:
    """Run a command; ``paused`` says that garbage is to be collected again once all is imported."""
    logging.getLogger("rasterio").addHandler(logging.NullHandler())  # GDAL's words are in our errors
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no ×
    try:
        options = parse(words)
        with _stoppable(), warnings.catch_warnings():
            warnings.filterwarnings("always", category=SceneWarning)
            warnings.showwarning = _unheard if getattr(options, "quiet", False) else _warn
            return int(_command(options.command, paused)(options) or 0)
    except (GeomedsrError, UsageError) as error:
        print("error:", " ".join(public("; ".join([str(error), *_notes(error)])).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print("; ".join(["stopped", *(_notes(error) or ["nothing is left half-written"])]), file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except Exception as error:
        print(public(traceback.format_exc()), end="", file=sys.stderr)
        print(f"internal fault: {type(error).__name__}; please report it with the lines above", file=sys.stderr)
        return 1


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let signals that end a process stop the command as Ctrl-C does; in a thread they are the program's own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, _terminated) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _command(name: str, paused: bool) -> Callable[[Any], int | None]:
    """The function that does what a command says; what it needs is imported now."""
    run: Callable[[Any], int | None] = import_module(f"geomedsr.cli.{name}").run
    if paused:
        gc.freeze()  # what is imported stays
        gc.enable()
    return run


def _warn(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
    """Our own warnings in one line; those of libraries, which may quote a file's contents, not at all."""
    if issubclass(category, SceneWarning):
        print(f"warning: {message}", file=sys.stderr)


def _unheard(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
    """With ``--quiet``, which leaves errors."""


def _notes(error: BaseException) -> list[str]:
    notes: list[str] = getattr(error, "__notes__", [])
    return notes


def _terminated(number: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt
