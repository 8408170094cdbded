import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path
from types import SimpleNamespace

import pytest

import geomedsr
from geomedsr import progress

CODE = """
import geomedsr
from geomedsr.progress import bar
{before}
with bar(10, unit="px", title="scene", wanted={wanted}) as shown:
    shown.update(4)
"""


def on_a_terminal(before: str = "", wanted: bool = True, **environment: str) -> str:
    """What a bar leaves on a terminal."""
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 110, 0, 0))
    command = [sys.executable, "-c", CODE.format(before=before, wanted=wanted)]
    with subprocess.Popen(command, stderr=slave, env=os.environ | environment) as child:
        os.close(slave)
        text = b""
        while True:
            try:
                part = os.read(master, 4096)
            except OSError:  # its other end is closed
                break
            if not part:
                break
            text += part
        assert child.wait() == 0
    os.close(master)
    return text.decode()


def test_a_terminal_shows_a_bar_unless_it_is_silenced() -> None:
    assert "scene:  40%" in on_a_terminal()
    assert on_a_terminal("geomedsr.show_progress(False)") == ""
    assert on_a_terminal(GEOMEDSR_PROGRESS="0") == ""
    assert on_a_terminal(wanted=False) == ""


def test_a_file_gets_none(capfd: pytest.CaptureFixture[str]) -> None:
    with progress.bar(10, unit="px") as shown:
        shown.update(4)
    assert capfd.readouterr() == ("", "")


def test_a_notebook_has_widgets(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ipywidgets")
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert progress.in_notebook()
    geomedsr.show_progress(False)
    try:
        with progress.bar(10, unit="px") as shown:
            assert shown.disable
    finally:
        geomedsr.show_progress(True)


def test_no_module_makes_bars_of_its_own() -> None:
    package = Path(progress.__file__).parent
    users = [p for p in package.rglob("*.py") if "tqdm" in p.read_text(encoding="utf-8")]
    assert users == [Path(progress.__file__)]


@pytest.mark.parametrize("word", ["0", "off", "No", "FALSE"])
def test_the_environment_says_no_in_any_of_these_words(word: str) -> None:
    assert on_a_terminal(GEOMEDSR_PROGRESS=word) == ""
