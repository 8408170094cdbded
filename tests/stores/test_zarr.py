"""Zarr stores: what xarray reads, what comes back as a scene, and how jobs end."""

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from affine import Affine
from conftest import texture

import geomedsr
from geomedsr.cli import main
from geomedsr.errors import InputError, OutputError
from geomedsr.geometry import Box
from geomedsr.inference.passes import boxes_of
from geomedsr.io import open_sink
from geomedsr.scene.scene import Band

pytest.importorskip("zarr")

Raster = Callable[..., Path]


@pytest.fixture
def source(raster: Raster) -> Path:
    array = texture(3, 330, 300)
    array[:, :50] = 0

    def edit(dataset: object) -> None:
        dataset.update_tags(PLACE="coast")  # type: ignore[attr-defined]
        dataset.set_band_description(2, "green")  # type: ignore[attr-defined]
        dataset.scales, dataset.offsets = (1e-4,) * 3, (-0.1,) * 3  # type: ignore[attr-defined]

    return raster(array, nodata=0, edit=edit)


def test_xarray_reads_it_without_a_warning(source: Path, tiny: geomedsr.Model, tmp_path: Path) -> None:
    sr = geomedsr.upscale(geomedsr.open(source), tiny)
    out = tmp_path / "sr.zarr"
    geomedsr.write(sr, out)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stored = xr.open_zarr(out, mask_and_scale=False)
        masked = xr.open_zarr(out)
    assert stored.image.dims == ("band", "y", "x")
    np.testing.assert_array_equal(stored.image.values, sr.data.values[0])
    assert masked.image.isnull().values[:, :200].all()
    assert not masked.image.isnull().values[:, 200:].any()
    assert stored.image.chunks == ((1, 1, 1), (1024, 296), (1024, 176))
    affine = Affine.from_gdal(*map(float, stored.spatial_ref.attrs["GeoTransform"].split()))
    assert affine == Affine(2.5, 0, 435730, 0, -2.5, 4179460)
    assert stored.x.values[0] == 435731.25
    assert stored.y.values[-1] == 4179460 - 330 * 10 + 1.25
    assert "UTM zone 18N" in stored.spatial_ref.attrs["crs_wkt"]
    assert stored.attrs["GEOMEDSR_MODEL"] == "tiny"


@pytest.mark.parametrize("version", [2, 3])
def test_chunks_of_many_bands_hold_several(version: int, raster: Raster, tiny: geomedsr.Model, tmp_path: Path) -> None:
    """A region of all bands stays small, and a chunk as large as one of few bands."""
    path = raster(texture(67, 130, 140))
    scene = geomedsr.open(path)
    sr, out = geomedsr.upscale(scene, tiny), tmp_path / "sr.zarr"
    geomedsr.write(sr, out, format=f"zarr{'' if version == 3 else 2}")
    stored = xr.open_zarr(out, mask_and_scale=False).image
    assert stored.chunks == ((4,) * 16 + (3,), (512, 8), (512, 48))
    assert np.array_equal(stored.values, sr.data.values[0])
    assert all(check.kept is not False for check in geomedsr.verify(path, out))
    assert not any(tmp_path.glob(".*"))


def test_it_opens_as_the_scene_that_was_written(source: Path, tiny: geomedsr.Model, tmp_path: Path) -> None:
    sr = geomedsr.upscale(geomedsr.open(source), tiny)
    geomedsr.write(sr, tmp_path / "sr.zarr")
    again = geomedsr.open(tmp_path / "sr.zarr")
    np.testing.assert_array_equal(again.data.values, sr.data.values)
    np.testing.assert_array_equal(again.valid.values, sr.valid.values)
    assert again.grid == sr.grid
    assert [(b.name, b.scale, b.offset, b.nodata) for b in again.bands] == [
        (b.name, b.scale, b.offset, b.nodata) for b in sr.bands
    ]
    assert again.tags[""]["PLACE"] == "coast"
    checks = geomedsr.verify(source, tmp_path / "sr.zarr")
    assert all(check.kept is not False for check in checks), checks
    assert any("block" in check.promise and check.kept for check in checks)


def test_masks_and_floats(tiny: geomedsr.Model, tmp_path: Path) -> None:
    valid = np.ones((60, 50), bool)
    valid[10:20] = False
    array = texture(1, 60, 50, "float32")
    sr = geomedsr.upscale(geomedsr.Scene.from_array(array, valid=valid[None]), tiny)
    geomedsr.write(sr, tmp_path / "m.zarr")
    again = geomedsr.open(tmp_path / "m.zarr")
    np.testing.assert_array_equal(again.valid.values, sr.valid.values)
    np.testing.assert_array_equal(again.data.values, sr.data.values)


def test_a_stopped_job_goes_on(tiny: geomedsr.Model, tmp_path: Path) -> None:
    sr = geomedsr.upscale(geomedsr.Scene.from_array(texture(1, 600, 300)), tiny, tile=256)
    out = tmp_path / "sr.zarr"
    sink = open_sink(sr, out)
    regions = list(boxes_of(sr.source, sink.block))
    assert len(regions) == 6
    for region in regions[:4]:
        values = sr.source.read(region)
        sink.put(region, values, sr.source.valid(region))
    sink.release()
    assert not out.exists()
    assert geomedsr.write(sr, out).resumed == 4
    np.testing.assert_array_equal(geomedsr.open(out).data.values, sr.data.values)


def test_destinations(source: Path, tiny_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, words = tmp_path / "sr.zarr", ["--model", str(tiny_path), "--quiet"]
    assert main(["upscale", str(source), str(out), *words]) == 0
    assert main(["upscale", str(source), str(out), *words]) == 2
    assert "which exists" in capsys.readouterr().err
    assert main(["upscale", str(source), str(out), *words, "--overwrite"]) == 0
    (tmp_path / "precious.zarr").mkdir()
    assert main(["upscale", str(source), str(tmp_path / "precious.zarr"), *words, "--overwrite"]) == 2
    assert "which is no Zarr store" in capsys.readouterr().err
    assert main(["upscale", str(out), str(out), *words, "--overwrite"]) == 2
    assert "the input itself" in capsys.readouterr().err
    with pytest.raises(OutputError, match="a folder that exists"):
        open_sink(geomedsr.open(source), tmp_path / "nowhere" / "a.zarr")


@pytest.mark.filterwarnings("ignore:Failed to open Zarr store with consolidated metadata")
def test_other_stores(tmp_path: Path) -> None:
    """As rioxarray or another program leaves them: coordinates, no affine, two dimensions."""
    values = texture(1, 30, 40)[0]
    data = xr.DataArray(values, dims=("y", "x"), coords={"y": 100 - np.arange(30) * 2.0, "x": np.arange(40) * 2.0})
    data.to_dataset(name="ndvi").to_zarr(tmp_path / "other.zarr", zarr_format=3, consolidated=False)
    scene = geomedsr.open(tmp_path / "other.zarr")
    np.testing.assert_array_equal(scene.data.values[0, 0], values)
    assert scene.grid.affine == Affine(2, 0, -1, 0, -2, 101)


def test_without_zarr_it_says_what_to_install(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("geomedsr_zarr.adapter._installed", lambda: False)
    assert main(["upscale", str(source), str(tmp_path / "sr.zarr")]) == 2
    assert "pip install 'geomedsr[zarr]'" in capsys.readouterr().err


def test_stopped_after_the_store_got_its_name_it_is_made_again(
    source: Path, tiny: geomedsr.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geomedsr_zarr.sink import ZarrSink

    sr, out = geomedsr.upscale(geomedsr.open(source), tiny), tmp_path / "sr.zarr"
    with monkeypatch.context() as patch:
        patch.setattr(ZarrSink, "discard", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            geomedsr.write(sr, out)
    assert any(tmp_path.glob(".*.part/*/*.done"))  # marks of regions that are elsewhere now
    geomedsr.write(sr, out, overwrite=True)
    np.testing.assert_array_equal(geomedsr.open(out).data.values, sr.data.values)
    assert not any(tmp_path.glob(".*"))


def test_one_process_writes_different_stores_to_one_name(tiny: geomedsr.Model, tmp_path: Path) -> None:
    out = tmp_path / "sr.zarr"
    for array in (texture(1, 80, 80), texture(3, 100, 90).astype(np.float32) + 0.25):
        sr = geomedsr.upscale(geomedsr.Scene.from_array(array), tiny)
        geomedsr.write(sr, out, overwrite=True)
        again = geomedsr.open(out)
        assert again.dtype == array.dtype
        np.testing.assert_array_equal(again.data.values, sr.data.values)


def test_a_store_that_is_lost_while_it_is_read_is_no_zeros(source: Path, tiny: geomedsr.Model, tmp_path: Path) -> None:
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), tiny), tmp_path / "sr.zarr")
    scene = geomedsr.open(tmp_path / "sr.zarr")
    assert scene.source.read(Box.of(0, geomedsr.Window(300, 800, 8, 8))).any()
    (tmp_path / "sr.zarr").rename(tmp_path / "away")
    with pytest.raises(InputError, match="which fails at columns 300–308"):
        scene.source.read(Box.of(0, geomedsr.Window(300, 800, 8, 8)))


#: What xarray says where a store is written without the metadata that version 3 does not specify.
UNCONSOLIDATED = "ignore:Failed to open Zarr store with consolidated metadata"


def named(count: int = 4) -> geomedsr.Scene:
    """Bands that differ in all that is told of them."""
    names = ("red", "green", "blue", "nir")[:count]
    bands = [
        Band(
            name,
            "nearest" if name == "nir" else "continuous",
            units=f"u{i}",
            palette={i: (i, 2, 3, 255)} if i % 2 else None,
            tags={"": {"WAVELENGTH": str(i)}, "LENS": {"NOTE": "<é>"}} if i != 1 else {},
            role=name,
        )
        for i, name in enumerate(names)
    ]
    return geomedsr.Scene.from_array(texture(count, 24, 20), bands=bands)


@pytest.mark.filterwarnings(UNCONSOLIDATED)
@pytest.mark.parametrize("picks", [[3, 0], [1, 0, 3, 2], [2], [1, 1], 3])
def test_bands_that_xarray_moved_are_called_what_they_are(tmp_path: Path, picks: list[int] | int) -> None:
    scene = named()
    geomedsr.write(scene, tmp_path / "a.zarr")
    with xr.open_zarr(tmp_path / "a.zarr") as store:
        store.isel(band=picks).to_zarr(tmp_path / "b.zarr", zarr_format=3, consolidated=False)
    moved = geomedsr.open(tmp_path / "b.zarr")
    wanted = [picks] if isinstance(picks, int) else picks
    assert moved.bands == tuple(scene.bands[i] for i in wanted)
    np.testing.assert_array_equal(moved.data.values[0], scene.data.values[0, wanted])


@pytest.mark.filterwarnings(UNCONSOLIDATED)
@pytest.mark.parametrize("picks", [[3, 0], [1, 0, 3, 2], [2], [1, 1], 3])
def test_scales_of_bands_in_one_array_as_they_were_written_move_with_them(
    tmp_path: Path, picks: list[int] | int
) -> None:
    scene = named()
    geomedsr.write(scene, tmp_path / "a.zarr")
    with xr.open_zarr(tmp_path / "a.zarr", mask_and_scale=False) as store:
        image = store.image.assign_attrs(band_scale=[0.5, 1.5, 2.5, 3.5], band_offset=[0.0, 1.0, 2.0, 3.0])
        store.assign(image=image).isel(band=picks).to_zarr(tmp_path / "b.zarr", zarr_format=3, consolidated=False)
    wanted = [picks] if isinstance(picks, int) else picks
    moved = geomedsr.open(tmp_path / "b.zarr")
    assert moved.bands == tuple(replace(scene.bands[i], scale=0.5 + i, offset=float(i)) for i in wanted)


@pytest.mark.filterwarnings(UNCONSOLIDATED)
def test_a_result_whose_bands_xarray_moved_is_still_one_of_its_source(
    source: Path, tiny: geomedsr.Model, tmp_path: Path
) -> None:
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), tiny), tmp_path / "a.zarr")
    with xr.open_zarr(tmp_path / "a.zarr") as store:
        store.isel(band=[2, 1]).to_zarr(tmp_path / "b.zarr", zarr_format=3, consolidated=False)
    whole, part = (geomedsr.open(tmp_path / name).tags[""] for name in ("a.zarr", "b.zarr"))
    assert json.loads(part["GEOMEDSR_BANDS"]) == ["3", "green"]
    ranges = json.loads(whole["GEOMEDSR_VALUE_RANGE"])
    assert json.loads(part["GEOMEDSR_VALUE_RANGE"]) == [ranges[2], ranges[1]]
    assert [check for check in geomedsr.verify(source, tmp_path / "b.zarr") if check.kept is False] == []


@pytest.mark.filterwarnings(UNCONSOLIDATED)
@pytest.mark.parametrize(
    ("numbers", "names", "found"),
    [
        (None, ["a", "b"], ["a", "b"]),
        (None, ["a", "b", "c"], ["1", "2"]),  # of other bands
        ([0, 1], ["a", "b"], ["a", "b"]),
        ([490.0, 560.0], ["a", "b"], ["a", "b"]),
        ([490.0, 560.0], ["a", "b", "c"], ["1", "2"]),
        ([2.0, 3.0], ["a", "b", "c"], ["b", "c"]),
        ([4, 1], ["a", "b"], ["a", "b"]),  # by one who changed the list
    ],
)
def test_lists_of_others_count_where_they_are_of_these_bands(
    tmp_path: Path, numbers: list[float] | None, names: list[str], found: list[str]
) -> None:
    coords = {} if numbers is None else {"band": numbers}
    data = xr.DataArray(texture(2, 9, 8), dims=("band", "y", "x"), coords=coords, attrs={"long_name": names})
    data.to_dataset(name="image").to_zarr(tmp_path / "other.zarr", zarr_format=3, consolidated=False)
    assert [band.name for band in geomedsr.open(tmp_path / "other.zarr").bands] == found


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_tags_and_colours_of_bands_are_kept(raster: Raster, tiny: geomedsr.Model, tmp_path: Path) -> None:
    colours = {0: (0, 0, 0, 255), 1: (255, 0, 0, 255), 2: (0, 90, 200, 255)}
    path = raster(np.random.default_rng(0).integers(0, 3, (1, 20, 24), dtype=np.uint8), photometric="palette")
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, colours)
        dataset.update_tags(1, LEGEND="sea, land")
        dataset.update_tags(1, ns="MAKER", LEVEL="<3> é")
    scene = geomedsr.open(path).with_nearest([1])
    geomedsr.write(geomedsr.upscale(scene, tiny), tmp_path / "sr.zarr")
    again = geomedsr.open(tmp_path / "sr.zarr")
    assert again.bands == scene.bands
    assert {value: again.bands[0].palette[value] for value in colours} == colours  # type: ignore[index]
    assert again.bands[0].tags == {"": {"LEGEND": "sea, land"}, "MAKER": {"LEVEL": "<3> é"}}
    assert {check.promise: check.kept for check in geomedsr.verify(path, tmp_path / "sr.zarr")}["tags kept"]
    geomedsr.write(again, tmp_path / "back.tif")
    with rasterio.open(tmp_path / "back.tif") as result:
        assert {value: result.colormap(1)[value] for value in colours} == colours
        assert result.tags(1, ns="MAKER") == {"LEVEL": "<3> é"}


@pytest.mark.filterwarnings(UNCONSOLIDATED)
@pytest.mark.parametrize("text", ["red", "[1]", '{"0": 3}', '{"a": {}}', "[" * 100_000])
def test_what_others_mean_by_these_names_is_left_alone(tmp_path: Path, text: str) -> None:
    attrs = {"band_tags": [text], "band_palette": [text]}
    data = xr.DataArray(texture(1, 9, 8), dims=("band", "y", "x"), attrs=attrs)
    store = data.to_dataset(name="image").assign_attrs(tags=text)
    store.to_zarr(tmp_path / "other.zarr", zarr_format=3, consolidated=False)
    scene = geomedsr.open(tmp_path / "other.zarr")
    assert scene.bands[0].palette is None
    assert not any(scene.bands[0].tags.values())
    assert not any(scene.tags.values())


def checked(source: Path | geomedsr.Scene, model: geomedsr.Model, out: Path, **options: object) -> geomedsr.Scene:
    """A result as a store, of which ``verify`` has nothing to say where there are two files."""
    scene = source if isinstance(source, geomedsr.Scene) else geomedsr.open(source)
    geomedsr.write(geomedsr.upscale(scene, model), out, **options)
    if isinstance(source, Path):
        assert [check for check in geomedsr.verify(source, out) if check.kept is False] == []
    return geomedsr.open(out)


@pytest.mark.parametrize("apart", [False, True])
def test_bands_under_alpha_are_masked_and_alpha_is_not(
    apart: bool, tiny: geomedsr.Model, raster: Raster, tmp_path: Path
) -> None:
    array = texture(4, 40, 44, "uint8", low=20, high=220)
    array[3] = 255
    array[:, 5:12] = 0

    def edit(dataset: object) -> None:
        if apart:
            dataset.scales = (1, 1, 2, 1)  # type: ignore[attr-defined]

    path = raster(array, edit=edit, photometric="RGB", alpha="yes")
    result = checked(path, tiny, tmp_path / "out.zarr")
    data = (array[3] != 0).repeat(4, 0).repeat(4, 1)
    assert np.array_equal(result.valid.values[0], np.stack([data, data, data, np.ones_like(data)]))
    assert np.array_equal(result.data.values[0, 3], array[3].repeat(4, 0).repeat(4, 1))
    assert np.array_equal(result.select([4, 2]).valid.values[0], np.stack([np.ones_like(data), data]))
    blocks = result.data.values[0, :3].reshape(3, 40, 4, 44, 4).astype(int).sum((2, 4))
    assert np.array_equal(blocks[:, array[3] != 0], array[:3, array[3] != 0].astype(int) * 16)
    again = checked(tmp_path / "out.zarr", tiny, tmp_path / "again.zarr")
    assert np.array_equal(again.valid.values[0, :, ::4, ::4], result.valid.values[0])


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("version", ["zarr", "zarr2"])
def test_a_mask_for_each_band_stays_one_for_each(
    frames: int, version: str, tiny: geomedsr.Model, tmp_path: Path
) -> None:
    array = np.stack([texture(2, 20, 24, seed=i) for i in range(frames)])
    valid = np.ones(array.shape, bool)
    valid[:, 0, :5] = valid[:, 1, :, 7:9] = False
    valid[-1, 1, 15:] = False
    scene = geomedsr.Scene.from_array(array, valid=valid).with_range(0, 5000)
    result = checked(scene, tiny, tmp_path / "out.zarr", format=version)
    assert np.array_equal(result.valid.values, valid.repeat(4, 2).repeat(4, 3))
    one = geomedsr.Scene.from_array(array, valid=valid[0, 0]).with_range(0, 5000)
    result = checked(one, tiny, tmp_path / "one.zarr")
    with xr.open_zarr(tmp_path / "one.zarr") as store:
        assert "band" not in store["mask"].dims
    fine = valid[0, 0].repeat(4, 0).repeat(4, 1)
    assert np.array_equal(result.valid.values, np.broadcast_to(fine, result.shape))


def test_a_nodata_value_of_nan_is_told_from_none(tiny: geomedsr.Model, raster: Raster, tmp_path: Path) -> None:
    array = texture(2, 20, 24, "float32")
    array[0, :5] = np.nan
    for name, nodata in (("said", np.nan), ("none", None)):
        path = raster(array, name=f"{name}.tif", nodata=nodata)
        result = checked(path, tiny, tmp_path / f"{name}.zarr")
        assert repr([band.nodata for band in result.bands]) == repr([nodata] * 2)
        assert np.array_equal(result.valid.values[0], np.isfinite(array).repeat(4, 1).repeat(4, 2))
        again = checked(tmp_path / f"{name}.zarr", tiny, tmp_path / f"{name}_again.zarr")
        assert repr([band.nodata for band in again.bands]) == repr([nodata] * 2)
