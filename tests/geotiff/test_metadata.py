"""Whatever stands in a raster's metadata, its pixels can be read, and what can be kept is kept."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import which

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from conftest import block_sums, texture
from rasterio._err import CPLE_AppDefinedError
from rasterio.enums import ColorInterp

import geomedsr
from geomedsr import Model
from geomedsr.errors import SceneWarning
from geomedsr_geotiff import native
from geomedsr_geotiff.metadata import _text
from geomedsr_geotiff.reader import _interpretations

Raster = Callable[..., Path]
UNPLACED = "ignore::rasterio.errors.NotGeoreferencedWarning"  # of the tests' own rasterio.open


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, which may crash."""
    line = [sys.executable, "-m", "geomedsr.cli", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True)


def through(path: Path, model: Model, name: str = "out.tif") -> Path:
    out = path.with_name(name)
    geomedsr.write(geomedsr.upscale(geomedsr.open(path), model), out)
    return out


def test_latin_1_in_tags_and_names_becomes_utf_8(tiny: Model, raster: Raster) -> None:
    def edit(dataset: rasterio.io.DatasetWriter) -> None:
        dataset.update_tags(TIFFTAG_ARTIST="M_ller")
        dataset.update_tags(ns="PRODUCER", PLACE="K_ste")
        dataset.set_band_description(1, "Gr_n")
        dataset.set_band_unit(1, "_m")

    path = raster(texture(1, 9, 9), edit=edit)
    data = path.read_bytes()
    for text, latin in [("M_ller", "Müller"), ("K_ste", "Küste"), ("Gr_n", "Grün"), ("_m<", "µm<")]:
        assert data.count(text.encode()) == 1
        data = data.replace(text.encode(), latin.encode("latin-1"))
    path.write_bytes(data)
    scene = geomedsr.open(path)
    assert (scene.bands[0].name, scene.bands[0].units) == ("Grün", "µm")
    with rasterio.open(through(path, tiny)) as result:
        assert result.tags()["TIFFTAG_ARTIST"] == "Müller"
        assert result.tags(ns="PRODUCER") == {"PLACE": "Küste"}
        assert (result.descriptions, result.units) == (("Grün",), ("µm",))
    assert all(check.kept is not False for check in geomedsr.verify(path, path.with_name("out.tif")))


def test_a_document_in_a_domain_does_not_stop_a_read(tiny: Model, raster: Raster) -> None:
    path = raster(texture(1, 9, 9), name="a.tif")
    vrt = path.with_name("in.vrt")
    rasterio.shutil.copy(path, vrt, driver="VRT")
    document = '<Metadata domain="xml:X" format="xml"><?xml version="1.0"?><a/></Metadata>'
    vrt.write_text(vrt.read_text().replace("<VRTRasterBand", document + "<VRTRasterBand", 1))
    scene = geomedsr.open(vrt)
    assert [band.kind for band in scene.bands] == ["continuous"]
    assert geomedsr.open(through(vrt, tiny)).shape == (1, 1, 36, 36)


def test_sources_relative_to_a_processed_vrt_do_not_stop_a_read(tiny: Model, raster: Raster) -> None:
    array = texture(1, 9, 9)
    path = raster(array, name="a.tif")
    vrt = path.with_name("in.vrt")
    vrt.write_text(
        '<VRTDataset subclass="VRTProcessedDataset"><Input><SourceFilename relativeToVRT="1">a.tif</SourceFilename>'
        '</Input><ProcessingSteps><Step name="s"><Algorithm>BandAffineCombination</Algorithm>'
        '<Argument name="coefficients_1">5,1</Argument></Step></ProcessingSteps></VRTDataset>'
    )
    scene = geomedsr.open(vrt)
    assert [band.kind for band in scene.bands] == ["continuous"]
    assert (scene.data.values[0] == array + 5).all()
    result = geomedsr.open(through(vrt, tiny)).data.values[0]
    assert (block_sums(result, 4) == scene.data.values[0].astype(object) * 16).all()


def test_a_text_beside_a_raster_does_not_end_the_process(tiny_path: Path, raster: Raster) -> None:
    path = raster(texture(1, 12, 12), edit=lambda dataset: dataset.update_tags(ns="PRODUCER", LEVEL="2A"))
    path.with_name("summary.txt").write_text('hello\nPds_ProductID="X1"\n')
    told = command("info", path)
    assert (told.returncode, told.stderr) == (0, "")
    assert "IMD:" in told.stdout
    out = path.with_name("out.tif")
    told = command("upscale", path, out, "--model", tiny_path)
    assert told.returncode == 0, told.stderr
    with rasterio.open(out) as result:
        assert result.tags(ns="PRODUCER") == {"LEVEL": "2A"}
    path.with_name("summary.txt").unlink()  # beside the result it is read as the result's, too
    with rasterio.open(out) as result:
        assert "X1" in str(result.tags(ns="IMD"))
    assert command("verify", path, out).returncode == 0


@pytest.mark.filterwarnings(UNPLACED)
@pytest.mark.parametrize(("field", "text"), [("LINE_OFF", "none"), ("SAMP_SCALE", "nan"), ("LINE_NUM_COEFF", "1 2 x")])
def test_rpcs_that_are_no_numbers_are_told_and_left_out(tiny: Model, raster: Raster, field: str, text: str) -> None:
    fields = {f"{part}_{end}": "10" for part in ("LINE", "SAMP", "LAT", "LONG", "HEIGHT") for end in ("OFF", "SCALE")}
    parts = ("LINE_NUM", "LINE_DEN", "SAMP_NUM", "SAMP_DEN")
    fields |= {f"{part}_COEFF": " ".join(["1"] + ["0"] * 19) for part in parts}
    path = raster(texture(1, 9, 9), crs=None, transform=None)
    items = "".join(f'<MDI key="{key}">{value}</MDI>' for key, value in (fields | {field: text}).items())
    path.with_name("in.tif.aux.xml").write_text(f'<PAMDataset><Metadata domain="RPC">{items}</Metadata></PAMDataset>')
    with pytest.warns(SceneWarning, match=f"RPCs are left out, since {field} is '{text}'"):
        scene = geomedsr.open(path)
    assert scene.grid.rpcs is None
    geomedsr.write(geomedsr.upscale(scene, tiny), path.with_name("out.tif"))
    with rasterio.open(path.with_name("out.tif")) as result:
        assert result.rpcs is None


def test_a_palette_without_colours_is_read(tiny: Model, raster: Raster) -> None:
    array = texture(2, 9, 9, "uint8", low=0, high=200)
    path = raster(array)
    vrt = path.with_suffix(".vrt")
    rasterio.shutil.copy(path, vrt, driver="VRT")
    vrt.write_text(vrt.read_text().replace("<ColorInterp>Undefined", "<ColorInterp>Palette"))
    vrt.write_text(vrt.read_text().replace("<ColorInterp>Gray", "<ColorInterp>Palette"))
    scene = geomedsr.open(vrt)
    assert [band.palette for band in scene.bands] == [None, None]
    out = vrt.with_name("out.tif")
    geomedsr.write(geomedsr.upscale(scene.with_nearest([1, 2]), tiny), out)
    assert (geomedsr.open(out).data.values[0] == array.repeat(4, 1).repeat(4, 2)).all()


def test_tags_with_a_colon_in_their_names_stay_apart(tiny: Model, raster: Raster) -> None:
    path = raster(texture(1, 9, 9))
    path.with_name("in.tif.aux.xml").write_text(
        '<PAMDataset><Metadata><MDI key="xmp:A">1</MDI><MDI key="xmp:B">x=2</MDI></Metadata></PAMDataset>'
    )
    tags = {"xmp:A": "1", "xmp:B": "x=2"}
    assert tags.items() <= geomedsr.open(path).tags[""].items()
    assert tags.items() <= geomedsr.open(through(path, tiny)).tags[""].items()


def test_without_gdals_own_functions_rasters_are_read_as_rasterio_does(
    raster: Raster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def edit(dataset: rasterio.io.DatasetWriter) -> None:
        dataset.colorinterp = [ColorInterp.gray, ColorInterp.alpha]
        dataset.update_tags(PLACE="coast")
        dataset.update_tags(2, ns="LENS", NOTE="x")
        dataset.set_band_description(1, "B04")
        dataset.set_band_unit(1, "m")

    path = raster(texture(2, 9, 9, "uint8", low=0, high=200), edit=edit)
    path.with_name("summary.txt").write_text("hello\n")
    full = geomedsr.open(path)
    monkeypatch.setattr(native, "library", lambda: None)
    scene = geomedsr.open(path)
    assert scene.bands == full.bands
    assert scene.grid == full.grid
    assert scene.tags[""] == full.tags[""]
    assert np.array_equal(scene.data.values, full.data.values)


def test_what_gdal_complains_of_on_the_way_does_not_stop_a_look(raster: Raster, tmp_path: Path) -> None:
    path = tmp_path / "in.jpg"
    rasterio.shutil.copy(raster(texture(3, 40, 48, "uint8", low=0, high=255)), path, driver="JPEG")
    path.write_bytes(path.read_bytes().replace(b"\xff\xdb", b"\0" * 5 + b"\xff\xdb", 1))
    scene = geomedsr.open(path)
    assert scene.shape == (1, 3, 40, 48)
    assert [band.interpretation for band in scene.bands] == ["red", "green", "blue"]


def test_a_complaint_of_before_is_not_taken_for_one_about_colours() -> None:
    class Complaining:
        told = False

        @property
        def colorinterp(self) -> tuple[ColorInterp, ...]:
            if not self.told:
                self.told = True
                raise CPLE_AppDefinedError(2, 1, "libjpeg: Corrupt JPEG data: 5 extraneous bytes before marker 0xdb")
            return (ColorInterp.gray,)

    assert _interpretations(Complaining()) == (ColorInterp.gray,)


def test_a_colour_that_all_bands_together_say_is_no_data(tiny: Model, raster: Raster) -> None:
    """As PNG has it (tRNS): a pixel that has the value in one band alone is data."""
    array = texture(3, 20, 24, "uint8", low=20, high=220)
    array[:, 2:6, 3:9] = np.array([0, 255, 52], np.uint8)[:, None, None]
    array[1, 10:14] = 255
    array[0, 11:15] = 0
    path = raster(array, edit=lambda dataset: dataset.update_tags(NODATA_VALUES="0 255 52"))
    scene = geomedsr.open(path)
    wanted = np.ones((20, 24), bool)
    wanted[2:6, 3:9] = False
    assert np.array_equal(scene.valid.values[0], np.broadcast_to(wanted, (3, 20, 24)))
    assert [band.nodata for band in scene.bands] == [None] * 3
    out = through(path, tiny)
    with rasterio.open(out) as result:
        assert "NODATA_VALUES" not in result.tags()
        assert np.array_equal(result.dataset_mask() != 0, wanted.repeat(4, 0).repeat(4, 1))
        sums = block_sums(result.read(), 4)
    assert (sums[:, wanted] == array[:, wanted].astype(object) * 16).all()
    assert [check for check in geomedsr.verify(path, out) if check.kept is False] == []


@pytest.mark.parametrize(("told", "kept"), [("28.3478", "28.3478"), ("300", "300"), ("inf", None), ("none", None)])
def test_a_resolution_as_far_as_tiff_holds_it(told: str, kept: str | None, tiny: Model, raster: Raster) -> None:
    """TIFF has a ratio of its own for it, and none that is infinite, as some JPEG 2000 files have it."""
    path = raster(texture(1, 9, 9), name="plain.tif").with_name("in.vrt")
    rasterio.shutil.copy(path.with_name("plain.tif"), path, driver="VRT")
    both = {"TIFFTAG_XRESOLUTION": told, "TIFFTAG_YRESOLUTION": told, "TIFFTAG_RESOLUTIONUNIT": "3 (pixels/cm)"}
    items = "<Metadata>" + "".join(f'<MDI key="{key}">{text}</MDI>' for key, text in both.items())
    path.write_text(path.read_text().replace("<Metadata>", items, 1))
    assert geomedsr.open(path).tags[""].get("TIFFTAG_XRESOLUTION") == kept
    out = through(path, tiny)
    assert [check for check in geomedsr.verify(path, out) if check.kept is False] == []
    with rasterio.open(out, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as result:
        result.update_tags(TIFFTAG_XRESOLUTION="28.4")
    assert [c.promise for c in geomedsr.verify(path, out) if c.kept is False] == ["tags kept"] * (kept is not None)


def test_texts_lose_what_no_xml_holds() -> None:
    assert _text("300300\x02 é\n\tx\x7f\x00") == "300300 é\n\tx\x7f"


def test_a_jpeg_whose_description_is_damaged_is_read(raster: Raster, tiny: Model) -> None:
    path = raster(texture(3, 32, 32, "uint8"), name="plain.jpg", driver="JPEG", crs=None, transform=None)
    whole = path.read_bytes()
    segment = b"Exif\0\0" + b"\xff" * 40
    damaged = path.with_name("in.jpg")
    damaged.write_bytes(whole[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + whole[2:])
    with rasterio.open(path) as plain:
        wanted = plain.read()
    assert np.array_equal(geomedsr.open(damaged).data.values[0], wanted)
    out = through(damaged, tiny)
    assert [check for check in geomedsr.verify(damaged, out) if check.kept is False] == []


DOCUMENTS = {
    "xml:XMP": '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n  <a b="1 = one">hé &amp; &lt;</a>\n</x:xmpmeta>',
    "xml:FOO": "<Foo>\n  <b>1</b>\n</Foo>",
}


@pytest.mark.parametrize("name", ["out.tif", "plain.tif", "out.png", "out.zarr", "out.npz"])
def test_documents_among_metadata_are_kept(name: str, tiny: Model, raster: Raster) -> None:
    """GDAL has XMP, products' own XML and JSON in domains that hold one text each; JSON is told."""
    path = raster(texture(1, 9, 9, "uint8"), name="first.tif").with_name("in.vrt")
    rasterio.shutil.copy(path.with_name("first.tif"), path, driver="VRT")
    texts = ""
    for domain, text in DOCUMENTS.items():
        texts += f'<Metadata domain="{domain}" format="xml">{text}</Metadata>'
    path.write_text(path.read_text().replace("<Metadata>", f"{texts}<Metadata>", 1))
    source = geomedsr.open(path)
    assert {domain: source.tags[domain]["doc"] for domain in DOCUMENTS} == DOCUMENTS
    assert "xml:VRT" not in source.tags
    out = path.with_name(name)
    more = {"format": "gtiff"} if name == "plain.tif" else {}
    geomedsr.write(geomedsr.upscale(source, tiny), out, **more)
    found = geomedsr.open(out, force=True).tags
    assert {domain: found[domain]["doc"] for domain in DOCUMENTS} == DOCUMENTS
    assert [check for check in geomedsr.verify(path, out) if check.kept is False] == []
    if name == "out.tif":
        if which("gdalinfo"):
            line = subprocess.run(["gdalinfo", "-mdd", "all", out], capture_output=True, text=True).stdout
            assert DOCUMENTS["xml:XMP"] in line
        texts = '<Metadata domain="json:BAR" format="json">{"a": 1}</Metadata>'
        path.write_text(path.read_text().replace("<Metadata>", f"{texts}<Metadata>", 1))
        with pytest.warns(SceneWarning, match=r"^in\.vrt: json:BAR will not be in results$"):
            geomedsr.open(path)
        assert geomedsr.open(through(out, tiny, "again.tif")).tags["xml:XMP"] == {"doc": DOCUMENTS["xml:XMP"]}
