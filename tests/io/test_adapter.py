"""A format of somebody else's: what it inherits, and that nothing but the base classes is asked of it."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import texture

import geomedsr
from geomedsr import Scene, plugins
from geomedsr.checks import Check
from geomedsr.errors import GeomedsrError, InputError, OutputError, SceneWarning
from geomedsr.geometry import Box
from geomedsr.io import Adapter, Move, Scratch, Sink, contents_of, open_sink, registry
from geomedsr.io.files import file_target
from geomedsr.scene.sources import Array


class RowsSink(Sink):
    """Regions are bands of 32 rows."""

    @property
    def block(self) -> tuple[int, int]:
        return 32, 10**6

    def store(self, box: Box, values: Array, valid: Array) -> None:
        np.save(self.folder / f"{box.start[1]:06d}.npy", values)

    def assemble(self) -> list[Move]:
        made = self.folder / "result"
        parts = [np.load(path) for path in sorted(self.folder.glob("*.npy"))]
        with open(made, "wb") as file:
            np.save(file, np.concatenate(parts, 2))
            file.write((self.folder / "told.json").read_bytes())
        return [self.move(made)]


class RowsAdapter(Adapter):
    """One array, and what was told of it."""

    title = "rows"

    def can_open(self, path: str) -> bool:
        return path.endswith(".rows") and Path(path).is_file()

    def open(self, path: str, series: str | None = None, force: bool = False, **options: Any) -> Scene:
        with open(path, "rb") as file:
            array, told = np.load(file), json.loads(file.read())
        return Scene.from_array(array[0], name=Path(path).name, tags={"": told})

    def explain(self, path: str) -> GeomedsrError | None:
        return InputError(path, "a file that is there", "check the path") if path.endswith(".rows") else None

    def can_write(self, scene: Scene, path: str) -> bool:
        return path.endswith(".rows")

    def sink(self, scene: Scene, path: str, overwrite: bool, **options: Any) -> Sink:
        target = file_target(scene, path, overwrite)
        scratch = Scratch.open(target, scene, {"format": "rows"})
        (scratch.folder / "told.json").write_text(json.dumps(dict(scene.provenance)))
        return RowsSink(target, scratch, overwrite)


class Entry:
    """An entry point of a package that is not installed."""

    def __init__(self, name: str, made: Any) -> None:
        self.name, self.made = name, made

    def load(self) -> Any:
        return self.made


@pytest.fixture(autouse=True)
def entries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    real = list(plugins.entry_points(group=registry.GROUP))
    added = [Entry("rows", RowsAdapter), Entry("old", object)]
    monkeypatch.setattr(plugins, "entry_points", lambda group: [*added, *real])
    registry.installed.cache_clear()
    yield
    registry.installed.cache_clear()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.rows"
    geomedsr.write(Scene.from_array(texture(2, 75, 30)), path)
    return path


def test_it_is_written_and_read(source: Path) -> None:
    np.testing.assert_array_equal(geomedsr.open(source).data.values[0], texture(2, 75, 30))
    assert [path.name for path in source.parent.iterdir()] == ["in.rows"]


def test_all_promises_are_checked(source: Path, tiny: geomedsr.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    out = source.with_name("out.rows")
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), tiny), out)
    raster = source.with_name("out.tif")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it lies nowhere
        geomedsr.write(geomedsr.upscale(geomedsr.open(source), tiny), raster)
    checks = geomedsr.verify(source, out)
    assert [check.promise for check in checks] == [check.promise for check in geomedsr.verify(source, raster)]
    assert [check.promise for check in checks if check.kept is False] == []
    assert sum(check.kept is True for check in checks) >= 6

    def more(adapter: RowsAdapter, before: Scene, after: Scene) -> list[Check]:
        return [Check("rows", after.shape[2] == 4 * before.shape[2])]

    monkeypatch.setattr(RowsAdapter, "checks", more)
    assert geomedsr.verify(source, out) == [*checks, Check("rows", True)]


def test_what_it_does_not_say_has_a_default(source: Path) -> None:
    assert contents_of(source) is None
    adapter = RowsAdapter()
    assert (adapter.priority, adapter.options, adapter.tells_nodata) == (0, (), True)
    with pytest.raises(InputError, match=r"--slice-axis for .*expected a volume"):
        geomedsr.open(source, slice_axis=1)
    with pytest.raises(OutputError, match="the option format for rows, expected none"):
        geomedsr.write(geomedsr.open(source), source.with_name("b.rows"), format="cog")


def test_its_jobs_go_on(source: Path, tiny: geomedsr.Model) -> None:
    sr, out = geomedsr.upscale(geomedsr.open(source), tiny), source.with_name("out.rows")
    sink = open_sink(sr, out)
    first = next(Box.whole(sr.shape).tiles((1, *(sink.block or (0, 0)))))
    assert first.shape == (1, 32, 120)
    sink.put(first, sr.source.read(first), sr.source.valid(first))
    with pytest.raises(OutputError, match="which another job is writing"):
        open_sink(sr, out)
    sink.release()
    written = geomedsr.write(sr, out)
    assert (written.resumed, written.regions) == (1, 10)
    np.testing.assert_array_equal(geomedsr.open(out).data.values, sr.data.values)
    with pytest.raises(OutputError, match="which exists"):
        geomedsr.write(sr, out)
    sink = open_sink(sr, out, overwrite=True)
    sink.put(first, sr.source.read(first), sr.source.valid(first))
    sink.release()
    other = geomedsr.upscale(geomedsr.open(source), tiny, conserve=False)
    with pytest.warns(SceneWarning, match="starting afresh"):
        assert geomedsr.write(other, out, overwrite=True).resumed == 0


def test_faults_of_its_disk_are_told_in_a_line(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*parts: object) -> None:
        raise OSError(28, "No space left on device")

    out = source.with_name("out.rows")
    for method in ("store", "assemble"):
        monkeypatch.setattr(RowsSink, method, full)
        with pytest.raises(OutputError, match=r"out\.rows \(No space left on device\)"):
            geomedsr.write(geomedsr.open(source), out)
        assert not out.exists()
        monkeypatch.undo()


def test_one_that_is_no_adapter_is_told() -> None:
    working, failed = registry.installed()
    assert "rows" in working
    assert failed == {"old": "it is no geomedsr.io.Adapter"}
