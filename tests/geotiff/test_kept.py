"""What a raster carries besides pixels comes out at the other end, scaled where it counts in pixels."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from conftest import SAMPLE, UTM, block_sums, texture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rio_cogeo.cogeo import cog_validate

import geomedsr
from geomedsr import Model
from geomedsr.errors import InputError, OutputError

Raster = Callable[..., Path]
DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]
UNPLACED = "ignore::rasterio.errors.NotGeoreferencedWarning"  # of the tests' own rasterio.open
ALPHA = "ignore:.*marked as alpha:geomedsr.errors.SceneWarning"  # over pixels that hold data, as here
NORTH_UP = Affine(10, 0, 435730, 0, -10, 4179460)
AFFINES = {
    "north-up": NORTH_UP,
    "south-up": Affine(10, 0, 435730, 0, 10, 4100000),
    "rotated": NORTH_UP @ Affine.rotation(25),
    "sheared": NORTH_UP @ Affine.shear(10, 3),
    "oblong": Affine(7.5, 0, 1, 0, -12.5, 2),
}


def through(path: Path, model: Model, **options: Any) -> Path:
    out = path.with_name("out.tif")
    geomedsr.write(geomedsr.upscale(geomedsr.open(path), model, **options), out)
    valid, errors, warnings = cog_validate(out, strict=True)
    assert (valid, errors, warnings) == (True, [], [])
    return out


# GDAL marks the fourth band of a picture as alpha, and what is drawn may look like data.
@pytest.mark.filterwarnings("ignore:.*marked as alpha")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.data())
def test_everything_listed_is_kept(tiny_x2: Model, raster: Raster, tmp_path: Path, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(DTYPES))
    count = data.draw(st.integers(1, 5))
    affine = data.draw(st.sampled_from(sorted(AFFINES)))
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    nodata = data.draw(st.sampled_from([None, 0, 100]))
    tags = data.draw(
        st.dictionaries(st.from_regex(r"[A-Z]{3,8}", fullmatch=True), st.text("abc é=/", min_size=1), max_size=3)
    )
    tags = {k: v.strip() or "x" for k, v in tags.items()}
    names = [f"band {i}é" for i in range(count)]
    scales, offsets = [0.5 + i for i in range(count)], [float(-i) for i in range(count)]

    def edit(dataset: Any) -> None:
        dataset.update_tags(**tags, AREA_OR_POINT=data.draw(st.sampled_from(["Area", "Point"])))
        dataset.update_tags(ns="PRODUCER", LEVEL="2A")
        dataset.update_tags(1, WAVELENGTH="490", STATISTICS_MEAN="3")
        dataset.update_tags(count, ns="LENS", NOTE="<5 & é>")
        for i, name in enumerate(names, 1):
            dataset.set_band_description(i, name)
            dataset.set_band_unit(i, "W/m2")
        dataset.scales, dataset.offsets = scales, offsets

    array = texture(count, height, width, dtype, low=1, high=120)
    path = raster(array, edit=edit, nodata=nodata, transform=AFFINES[affine])
    out = tmp_path / "out.tif"
    geomedsr.write(geomedsr.upscale(geomedsr.open(path), tiny_x2), out, overwrite=True)
    assert cog_validate(out, strict=True)[0]
    with rasterio.open(path) as source, rasterio.open(out) as result:
        assert result.dtypes == source.dtypes
        assert result.crs == source.crs
        for col, row in [(0, 0), (width, 0), (0, height), (width, height)]:
            assert result.transform @ (2 * col, 2 * row) == pytest.approx(source.transform @ (col, row), rel=1e-12)
        assert result.shape == (2 * height, 2 * width)
        assert result.nodatavals == source.nodatavals
        assert result.descriptions == source.descriptions
        assert result.scales == source.scales
        assert result.offsets == source.offsets
        assert result.units == source.units
        assert result.colorinterp == source.colorinterp
        assert {k: v for k, v in result.tags().items() if not k.startswith("GEOMEDSR")} == source.tags()
        assert result.tags(ns="PRODUCER") == {"LEVEL": "2A"}
        assert result.tags(count, ns="LENS") == {"NOTE": "<5 & é>"}
        assert result.tags(1) == {"WAVELENGTH": "490"}  # statistics of other pixels are not passed on
        values = result.read()
        if np.dtype(dtype).kind in "iu":
            data_pixels = array != nodata if nodata is not None else np.ones_like(array, bool)
            assert (block_sums(values, 2) == array.astype(object) * 4)[data_pixels].all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.tif", "out.tif"]


def test_provenance_says_what_made_it(tiny: Model, raster: Raster) -> None:
    with rasterio.open(through(raster(texture(2, 20, 20)), tiny)) as result:
        tags = result.tags()
    assert tags["GEOMEDSR_MODEL"] == "tiny"
    assert tags["GEOMEDSR_MODEL_VERSION"] == "0.0.1"
    assert tags["GEOMEDSR_MODEL_SHA256"] == tiny.sha256
    assert tags["GEOMEDSR_FACTOR"] == "4"
    assert tags["GEOMEDSR_VERSION"] == geomedsr.__version__
    assert tags["GEOMEDSR_SOURCE"] == "in.tif"
    assert "guess" in tags["GEOMEDSR_NOTE"]


@pytest.mark.filterwarnings(UNPLACED)
def test_gcps_and_rpcs_are_scaled(tiny: Model, raster: Raster) -> None:
    points = [GroundControlPoint(row=r, col=c, x=-75 + c / 100, y=38 - r / 100, z=4) for r in (0, 20) for c in (0, 30)]
    rpc = {
        "LINE_OFF": "10", "SAMP_OFF": "15", "LAT_OFF": "38", "LONG_OFF": "-75", "HEIGHT_OFF": "30",
        "LINE_SCALE": "10", "SAMP_SCALE": "15", "LAT_SCALE": "0.1", "LONG_SCALE": "0.1", "HEIGHT_SCALE": "100",
        **{f"{part}_COEFF": " ".join(["1"] + ["0"] * 19) for part in ("LINE_NUM", "LINE_DEN", "SAMP_NUM", "SAMP_DEN")},
    }  # fmt: skip

    def edit(dataset: Any) -> None:
        dataset.gcps = points, CRS.from_epsg(4326)
        dataset.update_tags(ns="RPC", **rpc)

    path = raster(texture(1, 20, 30), edit=edit, crs=None, transform=None)
    with rasterio.open(through(path, tiny)) as result:
        scaled, crs = result.gcps
        assert crs == CRS.from_epsg(4326)
        assert [(p.row, p.col, p.x, p.y, p.z) for p in scaled] == [
            (p.row * 4, p.col * 4, p.x, p.y, p.z) for p in points
        ]
        assert result.rpcs.line_off == 10.5 * 4 - 0.5
        assert result.rpcs.samp_off == 15.5 * 4 - 0.5
        assert result.rpcs.line_scale == 40
        assert result.rpcs.lat_off == 38


def test_nodata_comes_out_as_nodata(tiny: Model, raster: Raster) -> None:
    array = texture(2, 30, 30, "float32")
    array[0, 3:7, 5] = -9999
    array[1, 10, 10] = np.nan
    with rasterio.open(through(raster(array, nodata=-9999), tiny)) as result:
        values = result.read()
        assert (values[0, 12:28, 20:24] == -9999).all()
        assert (values[1, 40:44, 40:44] == -9999).all()
        assert (values == -9999).sum() == 5 * 16


def test_a_data_set_mask_is_carried_over(tiny: Model, raster: Raster) -> None:
    array = texture(3, 30, 30)
    mask = np.ones((30, 30), bool)
    mask[5:9, 20:] = False

    path = raster(array)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)
    with rasterio.open(through(path, tiny)) as result:
        assert (result.dataset_mask() == 255 * mask.repeat(4, 0).repeat(4, 1)).all()
        assert result.nodata is None
        values = result.read()
    with pytest.raises(OutputError, match="masked scene for PNG"):
        geomedsr.write(geomedsr.upscale(geomedsr.open(path), tiny), path.with_name("x.png"))
    assert (block_sums(values, 4)[:, mask] == array.astype(object)[:, mask] * 16).all()


def test_nan_in_one_band_beside_a_data_set_mask(tiny: Model, raster: Raster) -> None:
    array = texture(2, 20, 20, "float32")
    array[1, 3, 3] = np.nan
    mask = np.ones((20, 20), bool)
    mask[10:, 10:] = False
    path = raster(array)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)
    with rasterio.open(through(path, tiny)) as result:
        assert (result.dataset_mask() == 255 * mask.repeat(4, 0).repeat(4, 1)).all()
        assert np.isnan(result.read(2)).sum() == 16


@pytest.mark.filterwarnings(UNPLACED)
def test_masks_that_differ_by_band_become_nan_or_are_refused(tiny: Model, raster: Raster) -> None:
    for dtype in ("float32", "uint16"):
        array = np.floor(texture(2, 20, 20)).astype(dtype)
        path = raster(array, name=f"{dtype}.tif")
        masked = path.with_suffix(".vrt")
        bands = "".join(
            f"""<VRTRasterBand dataType="{"Float32" if dtype == "float32" else "UInt16"}" band="{i}">
            <SimpleSource><SourceFilename>{path}</SourceFilename><SourceBand>{i}</SourceBand></SimpleSource>
            <MaskBand><VRTRasterBand dataType="Byte"><ComplexSource><SourceFilename>{path}</SourceFilename>
            <SourceBand>{i}</SourceBand><LUT>0:0,1999:0,2000:255,70000:255</LUT></ComplexSource></VRTRasterBand></MaskBand>
            </VRTRasterBand>"""
            for i in (1, 2)
        )
        masked.write_text(f'<VRTDataset rasterXSize="20" rasterYSize="20">{bands}</VRTDataset>')
        scene = geomedsr.open(masked)
        expected = array >= 2000
        assert (scene.valid.values[0] == expected).all()
        if dtype == "float32":
            out = through(masked, tiny)
            with rasterio.open(out) as result:
                assert (np.isnan(result.read()) == ~expected.repeat(4, 1).repeat(4, 2)).all()
        else:
            with pytest.raises(InputError, match="masks differ"):
                geomedsr.write(geomedsr.upscale(scene, tiny), path.with_name("x.tif"))
            assert not path.with_name("x.tif").exists()


@pytest.mark.filterwarnings(ALPHA)
def test_nodata_and_alpha_both_count(tiny: Model, raster: Raster) -> None:
    array = texture(4, 20, 20, "uint8", low=1, high=250)
    array[3] = 255
    array[3, 0] = 0
    array[0, 5, 5] = 9

    def edit(dataset: Any) -> None:
        dataset.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]

    sr = geomedsr.upscale(geomedsr.open(raster(array, edit=edit, nodata=9)), tiny)
    assert not sr.valid.values[0, :3, :4].any()
    assert sr.valid.values[0, 3].all()
    assert (sr.data.values[0, :3, :4] == 9).all()
    assert (sr.data.values[0, 0, 20:24, 20:24] == 9).all()
    assert (sr.data.values[0, :3] == 9).sum() == 3 * 4 * 80 + 16


@pytest.mark.filterwarnings(ALPHA)
def test_alpha_is_carried_over_and_masks(tiny: Model, raster: Raster) -> None:
    array = texture(4, 30, 30, "uint8", low=1, high=250)
    array[3] = 255
    array[3, :10] = 0
    array[3, 10:12] = 128

    def edit(dataset: Any) -> None:
        dataset.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]

    path = raster(array, edit=edit)
    with rasterio.open(through(path, tiny)) as result:
        assert result.colorinterp[3] == ColorInterp.alpha
        assert (result.read(4) == array[3].repeat(4, 0).repeat(4, 1)).all()
        first = result.read([1, 2, 3])
    array[:3, :10] = 7  # under the mask
    path.unlink()
    path.with_name("out.tif").unlink()
    with rasterio.open(through(raster(array, edit=edit), tiny)) as result:
        assert (result.read([1, 2, 3])[:, 40:] == first[:, 40:]).all()
    picked = geomedsr.upscale(geomedsr.open(path).select([1, 2]), tiny)
    geomedsr.write(picked, path.with_name("rg.tif"))
    with rasterio.open(path.with_name("rg.tif")) as result:  # without the alpha band its mask is still known
        assert not result.dataset_mask()[:40].any()
        assert result.dataset_mask()[40:].all()


@pytest.mark.parametrize(
    ("description", "tags"),
    [
        ("SCL", {}),
        ("QA_PIXEL", {}),
        ("Fmask", {}),
        ("x", {"flag_meanings": "land sea"}),
        ("y", {"LAYER_TYPE": "thematic"}),
    ],
)
def test_classes_are_recognised_where_the_file_says_so(
    tiny: Model, raster: Raster, description: str, tags: dict[str, str]
) -> None:
    array = texture(2, 20, 20)
    array[1] = np.random.default_rng(0).integers(0, 12, (20, 20))

    def edit(dataset: Any) -> None:
        dataset.set_band_description(2, description)
        dataset.update_tags(2, **tags)

    with rasterio.open(through(raster(array, edit=edit), tiny)) as result:
        assert (result.read(2) == array[1].repeat(4, 0).repeat(4, 1)).all()
        assert (result.read(1) != array[0].repeat(4, 0).repeat(4, 1)).any()


@pytest.mark.parametrize(
    "said",
    [
        "<CategoryNames><Category>sea</Category><Category>land</Category></CategoryNames>",
        '<GDALRasterAttributeTable tableType="thematic"><FieldDefn index="0"><Name>v</Name></FieldDefn>'
        "</GDALRasterAttributeTable>",
    ],
)
def test_category_names_and_thematic_tables_mean_classes(raster: Raster, said: str) -> None:
    path = raster(texture(2, 9, 9, "uint8", low=0, high=5))
    assert [b.kind for b in geomedsr.open(path).bands] == ["continuous", "continuous"]
    path.with_name("in.tif.aux.xml").write_text(
        f'<PAMDataset><PAMRasterBand band="2">{said}</PAMRasterBand></PAMDataset>'
    )
    other = path.rename(path.with_name("again.tif"))
    path.with_name("in.tif.aux.xml").rename(path.with_name("again.tif.aux.xml"))
    assert [b.kind for b in geomedsr.open(other).bands] == ["continuous", "nearest"]


def test_a_class_map_keeps_its_palette(tiny: Model, raster: Raster) -> None:
    array = np.random.default_rng(0).integers(0, 3, (1, 20, 20), dtype=np.uint8)
    path = raster(array, photometric="palette")
    colours = {0: (0, 0, 0, 255), 1: (255, 0, 0, 255), 2: (0, 90, 200, 255)}
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, colours)
    out = path.with_name("out.tif")
    geomedsr.write(geomedsr.upscale(geomedsr.open(path).with_nearest([1]), tiny), out)
    with rasterio.open(out) as result:
        assert (result.read(1) == array[0].repeat(4, 0).repeat(4, 1)).all()
        assert result.colorinterp == (ColorInterp.palette,)
        assert {k: result.colormap(1)[k] for k in colours} == colours


def test_ordinary_names_are_not_taken_for_classes(raster: Raster) -> None:
    names = ["B04", "QUALITY", "NIR", "glass", "swir_16", "class_probability_raw", "coastal", "red edge"]

    def edit(dataset: Any) -> None:
        for i, name in enumerate(names, 1):
            dataset.set_band_description(i, name)

    scene = geomedsr.open(raster(texture(len(names), 5, 5), edit=edit))
    assert [b.kind for b in scene.bands] == ["continuous"] * len(names)


def test_overviews_are_averages_of_the_result(tiny: Model, raster: Raster) -> None:
    path = raster(texture(1, 300, 300, "float32"))
    out = through(path, tiny)
    with rasterio.open(out) as result:
        assert result.overviews(1) == [2, 4] or result.overviews(1) == [2]
        full = result.read(1)
    with rasterio.open(out, overview_level=0) as overview:
        half = overview.read(1)
    np.testing.assert_allclose(half, full.reshape(600, 2, 600, 2).mean((1, 3)), rtol=1e-5, atol=1e-3)


@pytest.mark.skipif(shutil.which("gdal_translate") is None, reason="gdal_translate (gdal-bin) is not installed")
def test_gdals_average_of_the_result_is_the_input(tmp_path: Path) -> None:
    out, back = tmp_path / "sr.tif", tmp_path / "back.tif"
    geomedsr.write(geomedsr.upscale(geomedsr.open(SAMPLE / "input.tif")), out)
    command = ["gdal_translate", "-q", "-ovr", "NONE", "-r", "average", "-outsize", "25%", "25%", out, back]
    subprocess.run(command, check=True)
    with rasterio.open(back) as averaged, rasterio.open(SAMPLE / "input.tif") as source:
        assert (averaged.read() == source.read()).all()
        assert averaged.transform.almost_equals(source.transform)


@pytest.mark.filterwarnings(UNPLACED)
def test_rpcs_of_a_text_file_come_with_units(tiny: Model, raster: Raster) -> None:
    path = raster(texture(1, 8, 8), crs=None, transform=None)
    fields = {"LINE_OFF": "+0010.00 pixels", "SAMP_OFF": "+0015.00 pixels", "LAT_OFF": "+38.0 degrees"}
    fields |= {"LONG_OFF": "-075.0 degrees", "HEIGHT_OFF": "+0030.0 meters", "LINE_SCALE": "+000010.00 pixels"}
    fields |= {"SAMP_SCALE": "+000015.00 pixels", "LAT_SCALE": "+00.1 degrees", "LONG_SCALE": "+000.1 degrees"}
    fields |= {"HEIGHT_SCALE": "+0100.0 meters"}
    for part in ("LINE_NUM", "LINE_DEN", "SAMP_NUM", "SAMP_DEN"):
        fields |= {f"{part}_COEFF_{i}": "1.0" if i == 1 else "0.0" for i in range(1, 21)}
    path.with_name("in_rpc.txt").write_text("".join(f"{k}: {v}\n" for k, v in fields.items()))
    with rasterio.open(through(path, tiny)) as result:
        assert result.rpcs.line_off == 10.5 * 4 - 0.5
        assert result.rpcs.samp_scale == 60
        assert result.rpcs.height_off == 30


def test_tags_may_have_any_name(tiny: Model, raster: Raster) -> None:
    tags = '<Item name="ns">hello</Item><Item name="bidx">3</Item><Item name="OTHER">x</Item>'
    path = raster(texture(1, 8, 8))
    xml = path.with_name("in.tif.aux.xml")
    items = tags.replace("Item name=", "MDI key=").replace("</Item>", "</MDI>")
    xml.write_text(f"<PAMDataset><Metadata>{items}</Metadata></PAMDataset>")
    with rasterio.open(through(path, tiny)) as result:
        found = result.tags()
    assert (found["ns"], found["bidx"], found["OTHER"], found["GEOMEDSR_MODEL"]) == ("hello", "3", "x", "tiny")


@pytest.mark.parametrize(
    ("name", "format"), [("out.tif", "cog"), ("out.tif", "gtiff"), ("out.png", "png"), ("out.jpg", "jpeg")]
)
def test_tags_in_namespaces_come_through_in_every_format(tiny: Model, raster: Raster, name: str, format: str) -> None:
    note = '<5 & é> "quoted"'

    def edit(dataset: Any) -> None:
        dataset.update_tags(PLACE="coast")
        dataset.update_tags(ns="PRODUCER", LEVEL="2A", NOTE=note)
        dataset.update_tags(1, WAVELENGTH="490")
        dataset.update_tags(3, ns="LENS", NOTE=note)

    path = raster(texture(3, 20, 24, "uint8", low=1, high=250), edit=edit)
    path.with_name("in.tif.aux.xml").write_text('<PAMDataset><Metadata><MDI key="ns">hi</MDI></Metadata></PAMDataset>')
    out = path.with_name(name)
    geomedsr.write(geomedsr.upscale(geomedsr.open(path), tiny), out, format=format)
    with rasterio.open(out) as result:
        assert result.tags(ns="PRODUCER") == {"LEVEL": "2A", "NOTE": note}
        assert [result.tags(band, ns="LENS") for band in (1, 2, 3)] == [{}, {}, {"NOTE": note}]
        assert (result.tags()["PLACE"], result.tags()["ns"]) == ("coast", "hi")
        assert result.tags(1)["WAVELENGTH"] == "490"
        assert not any("RESERVED" in key for key in result.tags())
    assert {check.promise: check.kept for check in geomedsr.verify(path, out)}["tags kept"]
    beside = {"out.tif": [], "out.png": ["out.png.aux.xml"], "out.jpg": ["out.jpg.aux.xml"]}[name]
    assert sorted(p.name for p in path.parent.iterdir()) == sorted(["in.tif", "in.tif.aux.xml", name, *beside])


def test_verify_tells_of_a_bands_tag_that_is_not_the_sources(tiny: Model, raster: Raster) -> None:
    path = raster(texture(2, 20, 24), edit=lambda dataset: dataset.update_tags(2, WAVELENGTH="560"))
    out = path.with_name("out.tif")
    geomedsr.write(geomedsr.upscale(geomedsr.open(path), tiny), out, format="gtiff")
    with rasterio.open(out, "r+") as dataset:
        dataset.update_tags(1, GEOMEDSR_ROLE="red")  # ours
        dataset.update_tags(2, WAVELENGTH="665")
    (check,) = [check for check in geomedsr.verify(path, out) if check.promise == "tags kept"]
    assert (check.kept, check.detail) == (False, "band 2 :WAVELENGTH")


@pytest.mark.parametrize("value", ["-9223372036854775808", "9007199254740993", "9223372036854775807"])
def test_64_bit_nodata_that_cannot_be_kept_is_refused(raster: Raster, value: str) -> None:
    path = raster(texture(1, 8, 8, "int64"))
    vrt = path.with_suffix(".vrt")
    rasterio.shutil.copy(path, vrt, driver="VRT")
    vrt.write_text(vrt.read_text().replace("<ColorInterp>", f"<NoDataValue>{value}</NoDataValue><ColorInterp>"))
    with pytest.raises(InputError, match=r"beyond 2\^53"):
        geomedsr.open(vrt)


def test_point_rasters_stay_in_place(tiny: Model, raster: Raster) -> None:
    path = raster(texture(1, 8, 8), edit=lambda d: d.update_tags(AREA_OR_POINT="Point"))
    with rasterio.open(path) as source, rasterio.open(through(path, tiny)) as result:
        assert result.tags()["AREA_OR_POINT"] == "Point"
        assert result.bounds == source.bounds


@pytest.mark.filterwarnings(UNPLACED)
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_images_go_through_the_same_adapter(tiny: Model, tmp_path: Path, suffix: str) -> None:
    array = texture(3, 20, 24, "uint8", low=0, high=255)
    path = tmp_path / f"in{suffix}"
    with rasterio.open(
        path, "w", driver={".png": "PNG", ".jpg": "JPEG"}[suffix], count=3, height=20, width=24, dtype="uint8"
    ) as d:
        d.write(array)
    scene = geomedsr.open(path)
    assert scene.grid.crs is None
    assert scene.grid.affine is None
    out = tmp_path / f"out{suffix}"
    geomedsr.write(geomedsr.upscale(scene, tiny), out)
    stored = scene.data.values[0]
    result = geomedsr.open(out).data.values[0]
    assert result.shape == (3, 80, 96)
    if suffix == ".png":
        assert (block_sums(result, 4) == stored.astype(object) * 16).all()


def test_writing_a_scene_unchanged_is_a_lossless_copy(tmp_path: Path) -> None:
    scene = geomedsr.open(SAMPLE / "input.tif")
    geomedsr.write(scene, tmp_path / "copy.tif")
    copy = geomedsr.open(tmp_path / "copy.tif")
    assert (copy.data.values == scene.data.values).all()
    assert copy.grid == scene.grid
    assert copy.bands == scene.bands


def test_paths_gdal_understands_are_never_called_missing(tiny: Model, raster: Raster, tmp_path: Path) -> None:
    import zipfile

    path = raster(texture(1, 9, 9))
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(path, "inner.tif")
    for text in (f"/vsizip/{tmp_path}/z.zip/inner.tif", f"zip://{tmp_path}/z.zip!inner.tif", f"GTIFF_DIR:1:{path}"):
        assert geomedsr.open(text).shape == (1, 1, 9, 9)
    odd = tmp_path / "a?b#c:d.tif"
    shutil.copy(path, odd)
    assert geomedsr.open(odd).shape == (1, 1, 9, 9)


def test_the_value_scale_comes_from_overviews_of_a_large_file(raster: Raster) -> None:
    array = texture(1, 2200, 2200)
    path = raster(array, tiled=True)
    exact = geomedsr.open(path).values
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4, 8])
    scene = geomedsr.open(path)
    assert scene.source.overview(1 << 20)[0].shape == (1, 1, 550, 550)
    assert scene.values.low[0][0] == pytest.approx(exact.low[0][0], rel=0.05)
    assert scene.values.high[0][0] == pytest.approx(exact.high[0][0], rel=0.05)


def test_gdals_block_cache_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    from geomedsr_geotiff.handles import CACHE_BYTES, gdal

    monkeypatch.setattr("geomedsr_geotiff.handles._blocks", {})  # of tests before
    with gdal():
        assert rasterio.env.getenv()["GDAL_CACHEMAX"] == CACHE_BYTES


def test_utm_is_what_the_fixture_says(raster: Raster) -> None:
    assert geomedsr.open(raster(texture(1, 3, 3))).grid.crs == UTM.to_wkt()


def test_verify_tells_how_much_the_sources_pixels_show(tiny: Model, raster: Raster) -> None:
    path = raster(texture(2, 20, 1100))  # two pieces
    out = path.with_name("out.tif")
    geomedsr.write(geomedsr.upscale(geomedsr.open(path), tiny), out, format="gtiff")
    with rasterio.open(out) as result:
        values = result.read().astype(float)
    found = {}
    for band, plane in zip(("1", "2"), values, strict=True):
        for image in (plane, plane.T):
            step = np.abs(np.diff(image, axis=0)).mean(1)
            border = np.arange(len(step)) % 4 == 3
            found[band] = max(found.get(band, 0), step[border].mean() / step[~border].mean())
    worst = max(found, key=lambda band: found[band])
    (check,) = [c for c in geomedsr.verify(path, out) if c.promise == "the source's pixels do not show"]
    assert check.kept is None
    assert f"are {found[worst]:.3g} times those within (" in check.detail
    assert worst in check.detail.rpartition("(")[2]
