"""What comes in: values, order, units, padding, codecs; and what is refused, with its reason."""

import logging
import os
import pickle
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.data
import pytest
import torch
from conftest import SAMPLE
from pydicom.dataset import Dataset
from torch.nn.functional import interpolate

import geomedsr
from dicom.conftest import SECRETS, enhanced, pixels, save, slice_of
from geomedsr.errors import InputError, SceneWarning
from geomedsr.geometry import Box
from geomedsr.models import Model
from geomedsr_dicom import headers
from geomedsr_dicom.index import index

Series = Callable[..., Path]


def test_slices_are_sorted_along_their_normal_whatever_their_names_and_numbers(series: Series) -> None:
    def shuffle(ds: Dataset, i: int) -> None:
        ds.ImagePositionPatient = [0, 0, [8, 0, 12, 4][i]]
        ds.InstanceNumber, ds.SliceLocation = [1, 2, 3, 4][i], [0, 1, 2, 3][i]

    scene = geomedsr.open(series(4, edit=shuffle))
    assert [p.depth for p in scene.grid.planes] == [0, 4, 8, 12]
    for frame, file in enumerate([1, 3, 0, 2]):
        np.testing.assert_array_equal(scene.data.values[frame, 0], pixels(seed=file))


def test_a_flipped_orientation_sorts_along_its_own_normal(series: Series) -> None:
    scene = geomedsr.open(series(3, ImageOrientationPatient=[1, 0, 0, 0, -1, 0]))
    assert [p.position[2] for p in scene.grid.planes] == [18, 14, 10]


@pytest.mark.parametrize(
    ("dtype", "bits"), [("int16", 16), ("uint16", 16), ("uint16", 12), ("int16", 12), ("uint8", 8), ("uint16", 10)]
)
def test_stored_values_come_in_their_type(tmp_path: Path, dtype: str, bits: int) -> None:
    signed = np.dtype(dtype).kind == "i"
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    values = np.random.default_rng(0).integers(low, high, (6, 7), endpoint=True).astype(dtype)
    values.flat[:2] = low, high
    scene = geomedsr.open(save(slice_of(values, BitsStored=bits), tmp_path / "a.dcm"))
    assert scene.dtype == dtype
    assert scene.bands[0].limits == (low, high)
    np.testing.assert_array_equal(scene.data.values[0, 0], values)


def test_the_scene_is_lazy_picklable_and_in_millimetres(series: Series) -> None:
    scene = geomedsr.open(series(3))
    assert scene.shape == (3, 1, 20, 24)
    assert scene.data.dims == ("frame", "band", "y", "x")
    assert scene.data.x.attrs["units"] == "mm"
    assert scene.physical().attrs["units"] == "HU"
    np.testing.assert_allclose(scene.data.x, -60.5 + 0.7 * np.arange(24))
    np.testing.assert_allclose(scene.data.y, -50.25 + 0.8 * np.arange(20))
    np.testing.assert_allclose(scene.data.frame, [10, 14, 18])
    source = pickle.loads(pickle.dumps(scene.source))
    window = geomedsr.Window(3, 2, 5, 4)
    np.testing.assert_array_equal(source.read(Box.of(slice(1, 3), window))[1, 0], pixels(seed=2)[2:6, 3:8])


def test_one_file_and_a_nested_folder(series: Series, tmp_path: Path) -> None:
    folder = series(2, name="root/patient/study/in")
    (tmp_path / "root" / "notes.txt").write_text("not DICOM")
    assert geomedsr.open(tmp_path / "root").shape[0] == 2
    assert geomedsr.open(folder / "001.dcm").shape == (1, 1, 20, 24)


def test_rescale_per_slice_once_and_absent(series: Series) -> None:
    def lines(ds: Dataset, i: int) -> None:
        ds.RescaleSlope, ds.RescaleIntercept = [1, 0.5, 2][i], [-1024, 3, 0][i]

    scene = geomedsr.open(series(3, edit=lines))
    expected = [pixels(seed=i) * s + o for i, (s, o) in enumerate([(1, -1024), (0.5, 3), (2, 0)])]
    np.testing.assert_allclose(scene.physical().values[:, 0], expected)
    assert scene.bands[0].units == "HU"
    plain = geomedsr.open(series(1, "plain", modality="MR"))
    np.testing.assert_array_equal(plain.physical().values[0, 0], pixels(seed=0))
    assert plain.bands[0].units is None


def test_ct_is_seen_on_a_fixed_scale_and_mr_on_its_percentiles(series: Series) -> None:
    def lines(ds: Dataset, i: int) -> None:
        ds.RescaleSlope, ds.RescaleIntercept = [1, 2][i], [-1024, 0][i]

    scene = geomedsr.open(series(2, edit=lines)).with_physical_range(-1000, 400)
    np.testing.assert_allclose(scene.tensor()[0, 0], (pixels(seed=0) - 24.0) / 1400, rtol=1e-6)
    np.testing.assert_allclose(scene.tensor()[1, 0], (2.0 * pixels(seed=1) + 1000) / 1400, rtol=1e-6)
    restored = scene.values.invert(scene.tensor())
    np.testing.assert_allclose(restored[1, 0], pixels(seed=1), atol=1e-3)
    given = geomedsr.open(series(1, "g")).with_range(0, 10).with_physical_range(-1000, 400)
    assert given.values.low == ((0.0,),)  # the user's word comes first
    mr = geomedsr.open(series(2, "mr", modality="MR"))
    both = np.stack([pixels(seed=0), pixels(seed=1)])
    assert (mr.values.low[0][0], mr.values.high[0][0]) == tuple(np.percentile(both, (1, 99)))


def test_padding_is_no_data(series: Series) -> None:
    def pad(ds: Dataset, i: int) -> None:
        values = pixels(seed=i)
        values[:, :3] = -2000
        ds.PixelData = values.tobytes()
        ds.add_new("PixelPaddingValue", "SS", -2000)

    scene = geomedsr.open(series(2, edit=pad))
    assert scene.bands[0].nodata == -2000
    assert not scene.valid.values[..., :3].any()
    assert scene.valid.values[..., 3:].all()

    def span(ds: Dataset, i: int) -> None:
        pad(ds, i)
        ds.add_new("PixelPaddingRangeLimit", "SS", -1500)

    assert geomedsr.open(series(1, "range", edit=span)).valid.values[..., :3].sum() == 0


def test_padding_that_no_header_tells_is_the_least_of_a_result(series: Series) -> None:
    def corners(value: int, count: int = 4) -> Callable[[Dataset, int], None]:
        def pad(ds: Dataset, i: int) -> None:
            values = pixels(seed=i)
            for row, col in [(0, 0), (0, -1), (-1, 0), (-1, -1)][:count]:
                values[row, col] = value
            ds.PixelData = values.tobytes()

        return pad

    def least(name: str, **changes: Any) -> tuple[int, int] | None:
        return geomedsr.open(series(1, name, **changes)).bands[0].limits

    assert least("padded", edit=corners(-2000)) == (-2000, 32767)
    assert geomedsr.open(series(1, "seen", edit=corners(-2000))).valid.values.all()  # its value is what the file says
    assert least("three", edit=corners(-2000, 3)) == (-32768, 32767)
    assert least("air", edit=corners(0)) == (-32768, 32767)  # -1024 HU
    assert least("mr", modality="MR", edit=corners(-2000)) == (-32768, 32767)


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE.dcm",
        "MR_small_implicit.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_expb.dcm",
        "MR_small_padded.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
    ],
)
def test_every_lossless_encoding_gives_the_same_values(name: str) -> None:
    plain = geomedsr.open(pydicom.data.get_testdata_file("MR_small.dcm"))
    coded = geomedsr.open(pydicom.data.get_testdata_file(name))
    assert coded.dtype == plain.dtype == "int16"
    np.testing.assert_array_equal(coded.data.values, plain.data.values)


@pytest.mark.parametrize(("command", "options"), [("dcmcjpeg", ["+e1"]), ("dcmcjpeg", ["+el"]), ("dcmcjpls", [])])
def test_what_dcmtk_compressed_is_read(tmp_path: Path, command: str, options: list[str]) -> None:
    if shutil.which(command) is None:
        pytest.skip(f"{command} (Debian's dcmtk) is not installed")
    values = pixels(dtype="uint16")
    plain = save(slice_of(values, RescaleIntercept=0), tmp_path / "a.dcm")
    coded = tmp_path / "b.dcm"
    subprocess.run([command, *options, plain, coded], check=True)
    assert pydicom.dcmread(coded).file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(geomedsr.open(coded).data.values[0, 0], values)


def test_deflated_and_without_a_preamble(tmp_path: Path) -> None:
    deflated = save(slice_of(pixels()), tmp_path / "a.dcm", "1.2.840.10008.1.2.1.99")
    np.testing.assert_array_equal(geomedsr.open(deflated).data.values[0, 0], pixels())
    plain = save(slice_of(pixels()), tmp_path / "b.dcm")
    plain.write_bytes(plain.read_bytes()[132:])
    np.testing.assert_array_equal(geomedsr.open(plain).data.values[0, 0], pixels())


def test_a_missing_decoder_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        is_available = False

    monkeypatch.setattr(headers, "get_decoder", lambda uid: Missing())
    with pytest.raises(InputError, match=r"JPEG-LS.*no decoder is installed.*geomedsr\[dicom-codecs\]"):
        geomedsr.open(pydicom.data.get_testdata_file("MR_small_jpeg_ls_lossless.dcm"))


def test_enhanced_frames_have_their_own_planes(tmp_path: Path) -> None:
    frames = [pixels(seed=i) for i in range(3)]
    path = save(enhanced(frames), tmp_path / "e.dcm")
    scene = geomedsr.open(path)
    assert scene.shape == (3, 1, 20, 24)
    np.testing.assert_array_equal(scene.data.values[:, 0], frames)
    assert scene.bands[0].offset == -1024
    depths = [p.depth for p in scene.grid.planes]
    np.testing.assert_allclose(np.diff(depths), 4, atol=1e-6)


@pytest.mark.parametrize(
    ("keyword", "values"),
    [("TemporalPositionIdentifier", [1, 2, 3]), ("TriggerTime", [0, 20, 40]), ("EchoTime", [5, 9, 13])],
)
def test_a_4d_series_keeps_its_times_together(series: Series, keyword: str, values: list[int]) -> None:
    def phase(ds: Dataset, i: int) -> None:  # written position by position
        setattr(ds, keyword, values[i % 3])
        ds.ImagePositionPatient = [0, 0, 4 * (i // 3)]

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is wrong with it
        folder = series(6, edit=phase, modality="MR")
        scene = geomedsr.open(folder)
    got = [int(f.path[-7:-4]) for f in scene.headers]
    assert got == [0, 3, 1, 4, 2, 5]
    (found,) = index(str(folder)).series
    assert (found.phases, found.phase) == (3, keyword)


def test_a_cine_keeps_its_instance_order(series: Series) -> None:
    folder = series(5, edit=lambda ds, i: setattr(ds, "ImagePositionPatient", [0, 0, 0]), modality="MR")
    scene = geomedsr.open(folder)
    assert [int(f.path[-7:-4]) for f in scene.headers] == [0, 1, 2, 3, 4]
    assert index(str(folder)).series[0].phases == 5


@pytest.mark.parametrize(
    ("depths", "said"),
    [
        ([0, 4, 12, 16], "gaps where 1 slice"),
        ([0, 4, 8.5, 12], "differs by up to 12%"),
        ([0, 4, 4, 8], "position of another"),
    ],
)
def test_uneven_stacks_are_warned_of_and_opened(series: Series, depths: list[float], said: str) -> None:
    folder = series(4, edit=lambda ds, i: setattr(ds, "ImagePositionPatient", [0, 0, depths[i]]))
    with pytest.warns(SceneWarning, match=said):
        scene = geomedsr.open(folder)
    assert scene.shape[0] == 4


def test_a_copy_of_a_slice_is_left_out_and_told(series: Series) -> None:
    folder = series(3)
    shutil.copy(folder / "001.dcm", folder / "copy.dcm")
    with pytest.warns(SceneWarning, match="1 slice with the UID of another, left out"):
        scene = geomedsr.open(folder)
    assert [Path(f).name for f in scene.files] == ["000.dcm", "001.dcm", "002.dcm"]


def colour(ds: Dataset, i: int) -> None:
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = bytes(20 * 24 * 3)


def change(**values: Any) -> Callable[[Dataset, int], None]:
    def edit(ds: Dataset, i: int) -> None:
        for keyword, value in values.items():
            if value is None:
                del ds[keyword]
            else:
                setattr(ds, keyword, value)

    return edit


def second(edit: Callable[[Dataset, int], None]) -> Callable[[Dataset, int], None]:
    return lambda ds, i: edit(ds, i) if i == 1 else None


def half(ds: Dataset, i: int) -> None:
    ds.Rows, ds.PixelData = 10, ds.PixelData[: 10 * 24 * 2]


REFUSED = {
    "colour": (colour, "a colour image"),
    "ultrasound": (
        change(SOPClassUID="1.2.840.10008.5.1.4.1.1.6.1", Modality="US"),
        r"Ultrasound Image Storage \(US\)",
    ),
    "PET": (change(SOPClassUID="1.2.840.10008.5.1.4.1.1.128", Modality="PT"), "Positron Emission"),
    "localizer": (change(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "a localizer"),
    "mixed modalities": (second(change(SOPClassUID=headers.CLASSIC[1], Modality="MR")), "mixed modalities"),
    "mixed classes": (second(change(SOPClassUID="1.2.840.10008.5.1.4.1.1.128")), "mixed with others"),
    "mixed sizes": (second(half), "mixed sizes in one series .*24 × 10; 24 × 20"),
    "mixed types": (second(change(PixelRepresentation=0)), "mixed pixel types"),
    "truncated": (lambda ds, i: setattr(ds, "PixelData", bytes(60)), "truncated pixel data"),
    "no spacing": (change(PixelSpacing=None), "no spacing of its pixels"),
    "zero spacing": (change(PixelSpacing=[0, 1]), "not positive"),
    "no orientation": (change(ImageOrientationPatient=None), "no orientation"),
    "crooked orientation": (change(ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), "right angles"),
    "no position": (change(ImagePositionPatient=None), "no position"),
    "zero slope": (change(RescaleSlope=0), "a rescale slope of 0"),
    "negative slope": (change(RescaleSlope=-1), "a rescale slope of -1"),
    "lookup table": (change(ModalityLUTSequence=[Dataset()]), "lookup table"),
    "too many bits": (change(BitsStored=20), "20 stored"),
    "no series": (change(SeriesInstanceUID=""), "without a SeriesInstanceUID"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_a_reason(series: Series, case: str) -> None:
    edit, said = REFUSED[case]
    with pytest.raises(InputError, match=said) as caught:
        geomedsr.open(series(2, edit=edit)).data.compute()
    assert not any(secret in str(caught.value) for secret in SECRETS)


def test_a_file_cut_short_is_refused_when_it_is_read(tmp_path: Path) -> None:
    path = save(slice_of(pixels()), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[:-300])
    scene = geomedsr.open(path)
    with pytest.raises(InputError, match=r"slice 1 of the series \(truncated pixel data\)"):
        scene.data.compute()


def test_an_undecodable_syntax_is_refused(tmp_path: Path) -> None:
    ds = slice_of(pixels())
    ds.PixelData = pydicom.encaps.encapsulate([b"\0\0\0\1video"])
    with pytest.raises(InputError, match=r"MPEG-4.*one that pydicom decodes"):
        geomedsr.open(save(ds, tmp_path / "a.dcm", "1.2.840.10008.1.2.4.102"))


def test_objects_without_an_image_are_skipped_and_counted(series: Series, tmp_path: Path) -> None:
    folder = series(2)
    report = slice_of(pixels(), SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Modality="SR", Rows=None, Columns=None)
    del report.PixelData
    save(report, folder / "report.dcm")
    (folder / "readme.txt").write_text("hello")
    os.mkfifo(folder / "pipe")
    found = index(str(folder))
    assert (len(found.series), found.others, found.foreign) == (1, 1, 2)
    assert geomedsr.open(folder).shape[0] == 2


def test_several_series_are_listed_and_chosen(series: Series, tmp_path: Path) -> None:
    series(2, "root/a")
    series(3, "root/b", SeriesInstanceUID="2.25.99", SeriesNumber=7)
    root = tmp_path / "root"
    with pytest.raises(
        InputError, match=r"2 series in .*CT series 3 \(2 files.*CT series 7 \(3 files.*--series"
    ) as caught:
        geomedsr.open(root)
    assert not any(secret in str(caught.value) for secret in SECRETS)
    assert geomedsr.open(root, series="7").shape[0] == 3
    assert geomedsr.open(root, series="2.25.2").shape[0] == 2
    with pytest.raises(InputError, match="no series '8'"):
        geomedsr.open(root, series="8")


def test_nothing_of_the_patient_reaches_names_reprs_or_logs(
    series: Series, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of what is written here
        folder = series(2, PatientAge="not an age", StudyDate="Grace^Hopper")
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scene = geomedsr.open(folder)
        scene.data.compute()
        texts = [repr(scene), scene.name, scene._repr_html_(), repr(scene.headers), *(str(w.message) for w in caught)]
    texts += [caplog.text, *capfd.readouterr()]
    assert not any(secret in text for text in texts for secret in SECRETS)


@pytest.mark.parametrize(
    ("changes", "unit"),
    [
        ({"RescaleType": "ED", "RescaleSlope": 0.001, "RescaleIntercept": 0}, "ED"),
        ({"RescaleType": "US"}, "unspecified"),
        ({"RescaleSlope": None, "RescaleIntercept": None, "RescaleType": None}, "unspecified"),
        ({"RescaleSlope": None, "RescaleIntercept": None}, "unspecified"),
    ],
)
def test_ct_in_other_units_is_seen_on_its_own_range_and_told(
    series: Series, ct_model: Model, changes: dict[str, Any], unit: str
) -> None:
    scene = geomedsr.open(series(2, **changes))
    assert scene.bands[0].units == unit
    with pytest.warns(SceneWarning, match=rf"no Hounsfield units \({unit}\).*--range LO,HI"):
        sr = geomedsr.upscale(scene, ct_model)
    both = np.stack([pixels(seed=0), pixels(seed=1)])
    assert (sr.values.low[0][0], sr.values.high[0][0]) == tuple(np.percentile(both, (1, 99)))
    given = geomedsr.upscale(scene.with_range(0, 2000), ct_model)  # nothing to tell: the user knows
    assert given.values.high == ((2000.0,),)


@pytest.mark.parametrize("kind", ["HU", "HU_MOD", None])
def test_ct_in_hounsfield_units_is_seen_on_the_models_range(series: Series, ct_model: Model, kind: str | None) -> None:
    sr = geomedsr.upscale(geomedsr.open(series(1, RescaleType=kind)), ct_model)
    assert (sr.values.low, sr.values.high) == (((24.0,),), ((1424.0,),))


def test_electron_densities_fare_as_hounsfield_units_do(tmp_path: Path) -> None:
    """The same picture in another unit: far better than interpolation, and near what Hounsfield units give.

    Within the body: the edge of padding is known to the model at its Hounsfield units alone.
    """
    fine = pydicom.dcmread(SAMPLE.parent / "ct_abdomen" / "2.dcm").pixel_array.astype(float)
    coarse = fine.reshape(fine.shape[0] // 2, 2, -1, 2).mean((1, 3))

    def psnr(values: np.ndarray) -> float:
        error = (np.clip(values, 0, 2000) - np.clip(fine, 0, 2000))[128:384, 96:416]
        return float(10 * np.log10(1400**2 / (error**2).mean()))

    bicubic = interpolate(torch.from_numpy(coarse)[None, None], scale_factor=2, mode="bicubic")[0, 0].numpy()
    found = {"bicubic": psnr(bicubic)}
    for name, changes in {"HU": {}, "ED": {"RescaleType": "ED", "RescaleSlope": 0.001, "RescaleIntercept": 0}}.items():
        ds = slice_of(coarse.round().astype("int16"), **changes)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SceneWarning)
            sr = geomedsr.upscale(geomedsr.open(save(ds, tmp_path / f"{name}.dcm")), "ct-x2")
        found[name] = psnr(sr.data.values[0, 0])
    assert found["ED"] > found["bicubic"] + 2
    assert found["ED"] > found["HU"] - 1.5
