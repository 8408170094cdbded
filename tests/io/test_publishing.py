"""Names are given together, or not at all."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from geomedsr.errors import OutputError
from geomedsr.io.files import atomic_write, replacing
from geomedsr.io.publishing import Move, publish, take_back


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def moves(tmp_path: Path) -> dict[str, Move]:
    """A new file, one in place of another, a file that is to go, and a folder in place of another."""
    work = tmp_path / ".work" / "job"
    for name in ("new", "file", "folder/a", "kept/b"):
        (work / name).parent.mkdir(exist_ok=True, parents=True)
        (work / name).write_text(f"made {name}")
    for name in ("file", "gone", "folder/old"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"old {name}")
    (tmp_path / "kept").mkdir()
    return {
        "new": Move(work / "new", tmp_path / "new", work / "old1", False),
        "file": Move(work / "file", tmp_path / "file", work / "old2", True),
        "gone": Move(None, tmp_path / "gone", work / "old3", True),
        "folder": Move(work / "folder", tmp_path / "folder", work / "old4", True),
        "kept": Move(work / "kept", tmp_path / "kept", work / "old5", False),  # an empty folder may be there
    }


def test_all_are_given(tmp_path: Path, moves: dict[str, Move]) -> None:
    publish(list(moves.values()))
    shown = {name: text for name, text in tree(tmp_path).items() if not name.startswith(".work")}
    assert shown == {
        "new": "made new",
        "file": "made file",
        "folder/a": "made folder/a",
        "kept/b": "made kept/b",
    }


@pytest.mark.parametrize("fault", ["taken", "a folder in the way", "no folder", "a file for a folder"])
def test_none_is_given_where_one_cannot_be(tmp_path: Path, moves: dict[str, Move], fault: str) -> None:
    work = tmp_path / ".work"
    (work / "last").write_text("last")
    last = Move(work / "last", tmp_path / "last", work / "old9", fault == "a folder in the way")
    if fault == "taken":
        last.target.write_text("precious")
    elif fault == "a folder in the way":
        last.target.mkdir()
        (last.target / "note").write_text("precious")
    elif fault == "no folder":
        last = Move(last.made, tmp_path / "no" / "last", last.spare, True)
    else:
        (work / "last").unlink()
        (work / "last").mkdir()
        (work / "last" / "inside").write_text("last")
        last.target.write_text("precious")
    before = tree(tmp_path)
    with pytest.raises(OutputError, match="last"):
        publish([*moves.values(), last])
    assert tree(tmp_path) == before
    assert not any((tmp_path / "kept").iterdir())
    publish(list(moves.values()))


def test_a_stop_between_two_names_takes_the_first_back(
    tmp_path: Path, moves: dict[str, Move], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(tmp_path)

    def stopped(move: Move) -> None:
        raise KeyboardInterrupt

    class Stopping(Move):
        do = stopped

    with pytest.raises(KeyboardInterrupt):
        publish([moves["new"], moves["file"], moves["gone"], Stopping(None, tmp_path, tmp_path, True)])
    assert tree(tmp_path) == before


def test_without_links_it_is_the_same(tmp_path: Path, moves: dict[str, Move], monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*parts: object, **more: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", none)
    test_none_is_given_where_one_cannot_be(tmp_path, moves, "a folder in the way")
    shown = {name: text for name, text in tree(tmp_path).items() if not name.startswith(".work")}
    assert shown["file"] == "made file"
    assert "gone" not in shown


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of threads: the child only renames
@pytest.mark.parametrize("links", [True, False])
def test_killed_at_any_moment_all_is_as_it_was(
    tmp_path: Path, moves: dict[str, Move], links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before each of the system's calls that change a name, among the last of which all have theirs."""
    journal, before, moment = tmp_path / ".work" / "names.json", tree(tmp_path), 0

    def child() -> None:
        count = 0

        def counted(own: Any) -> Any:
            def call(*parts: Any, **more: Any) -> Any:
                nonlocal count
                if count == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1
                return own(*parts, **more)

            return call

        for name in ("link", "replace", "unlink"):
            setattr(os, name, counted(getattr(os, name)))
        if not links:
            os.link = refused  # type: ignore[assignment]
        publish(list(moves.values()), journal)

    def refused(*parts: object, **more: object) -> None:
        raise PermissionError("no links here")

    while True:
        if (process := os.fork()) == 0:
            try:
                child()
            finally:
                os._exit(0)
        if os.waitpid(process, 0)[1] == 0:
            break
        take_back(journal, {tmp_path / ".other"})
        take_back(journal, {tmp_path / ".work"})
        now = tree(tmp_path)
        assert {name: now.get(name) for name in before} == before
        assert all(name.startswith(".work/") for name in now.keys() - before.keys())
        assert not any((tmp_path / "kept").iterdir())
        moment += 1
    assert moment > 8
    shown = {name: text for name, text in tree(tmp_path).items() if not name.startswith(".work")}
    assert shown == {"new": "made new", "file": "made file", "folder/a": "made folder/a", "kept/b": "made kept/b"}
    assert not journal.exists()


@pytest.mark.parametrize("damage", ["", "[1]", "{}", '[["a", "b"]]', "[[1, 2, 3, 4]]"])
def test_a_damaged_journal_moves_nothing(tmp_path: Path, moves: dict[str, Move], damage: str) -> None:
    journal = tmp_path / ".work" / "names.json"
    journal.write_text(damage)
    before = tree(tmp_path)
    take_back(journal, {tmp_path / ".work"})
    assert tree(tmp_path) == before


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a", "one", durable=True)

    def stopped() -> None:
        with replacing(tmp_path / "a") as partial:
            partial.write_text("tw")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        stopped()
    assert tree(tmp_path) == {"a": "one"}
    (tmp_path / "work").mkdir()
    with replacing(tmp_path / "a", folder=tmp_path / "work") as partial:
        partial.write_text("two")
        assert partial.parent.name == "work"
    assert tree(tmp_path) == {"a": "two"}
