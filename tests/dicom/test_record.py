"""The record of how a series was made is read back from its headers, also after others rewrote them."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

import geomedsr
from dicom.conftest import SECRETS, enhanced, files, pixels, save
from geomedsr.errors import InputError
from geomedsr.inference.passes import boxes_of
from geomedsr.io import open_sink
from geomedsr.models import Model
from geomedsr.scene.provenance import Provenance, Step, provenance_of
from geomedsr.verification.verify import verify
from geomedsr_dicom import record
from geomedsr_dicom.prose import stated
from geomedsr_dicom.validators import complaints

Series = Callable[..., Path]


def broken(source: Path, result: Path) -> list[str]:
    return [f"{check.promise}: {check.detail}" for check in verify(source, result) if check.kept is False]


def told_by(path: Path) -> Provenance:
    return provenance_of(geomedsr.open(path, force=True))


def edited(folder: Path, edit: Callable[[Dataset], None]) -> Path:
    """A folder whose files are changed."""
    for path in files(folder):
        ds = pydicom.dcmread(path)
        edit(ds)
        ds.save_as(path)
    return folder


def bare(ds: Dataset) -> None:
    """As results were before there were records."""
    for tag in [tag for tag in ds.keys() if tag.group == record.GROUP]:  # noqa: SIM118
        del ds[tag]
    del ds.PrivateDataElementCharacteristicsSequence


@pytest.fixture
def source(series: Series) -> Path:
    return series(2, size=(24, 32))


def test_all_of_it_is_read_back(source: Path, tmp_path: Path, ct_model: Model) -> None:
    scene = geomedsr.open(source).crop(geomedsr.Window(4, 4, 16, 12))
    sr = geomedsr.upscale(scene, ct_model, tile=8, precision="float32")
    geomedsr.write(sr, tmp_path / "out")
    assert broken(source, tmp_path / "out") == []
    told, whole = told_by(tmp_path / "out"), sr.provenance.without_names
    assert dict(told) == dict(whole)
    assert (told.run, told.ranges, told.chosen, told.note) == (whole.run, whole.ranges, whole.chosen, whole.note)
    assert (told.run.tile, told.run.precision, told.source) == (8, "float32", None)
    for path in files(tmp_path / "out"):
        ds = pydicom.dcmread(path)
        text = record.text_of(ds)
        assert text.isascii()
        assert not any(secret in text for secret in SECRETS)
        block = ds.private_block(record.GROUP, "GEOMEDSR PROVENANCE")
        assert block[1].VR == "UT"
        (item,) = ds.PrivateDataElementCharacteristicsSequence
        assert (item.PrivateGroupReference, item.PrivateCreatorReference) == (record.GROUP, "GEOMEDSR PROVENANCE")
        assert item.BlockIdentifyingInformationStatus == "SAFE"


def test_names_of_inputs_and_tags_of_others_stay_out() -> None:
    told = Provenance.of({"GEOMEDSR_MODEL": "m", "GEOMEDSR_SOURCE": "Hopper.dcm", "GEOMEDSR_OTHER": "Hopper"})
    named = replace(told, model=replace(told.model, inputs={"prior": "Hopper"}))
    assert record.read_record(record.recorded(named)) == {"GEOMEDSR_MODEL": "m"}


def listed(ds: Dataset, index: int) -> None:
    """A block of another's that is kept, and told of."""
    ds.private_block(0x13, "CTP", create=True).add_new(0x10, "LO", "Collection")
    item = Dataset()
    item.PrivateGroupReference, item.PrivateCreatorReference = 0x13, "CTP"
    item.BlockIdentifyingInformationStatus = "SAFE"
    ds.PrivateDataElementCharacteristicsSequence = Sequence([item])


def test_a_series_made_finer_twice_tells_of_both_models(
    series: Series, tmp_path: Path, ct_model: Model, mr_model: Model
) -> None:
    source, one, two = series(2, modality="MR", edit=listed, size=(32, 32)), tmp_path / "one", tmp_path / "two"
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), mr_model), one)
    geomedsr.write(geomedsr.upscale(geomedsr.open(one, force=True), ct_model, conserve=False), two)
    assert broken(source, one) == broken(one, two) == []
    told, card = told_by(two), mr_model.descriptor
    assert told.before == (Step(card.name, card.version, mr_model.sha256, card.scale),)
    assert (told.model.sha256, told.earlier.y, told.agreement.conserved) == (ct_model.sha256, 2, "no")
    for path in files(two):
        ds = pydicom.dcmread(path)
        assert len([tag for tag in ds.keys() if tag.group == record.GROUP]) == 2  # noqa: SIM118
        creators = [item.PrivateCreatorReference for item in ds.PrivateDataElementCharacteristicsSequence]
        assert creators == ["CTP", "GEOMEDSR PROVENANCE"]


def test_multi_frame_images(tmp_path: Path, ct_model: Model) -> None:
    source, one, two = save(enhanced([pixels(seed=i) for i in range(3)]), tmp_path / "in.dcm"), *"ab"
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), ct_model), tmp_path / f"{one}.dcm")
    once = geomedsr.open(tmp_path / f"{one}.dcm", force=True)
    geomedsr.write(geomedsr.upscale(once, ct_model), tmp_path / f"{two}.dcm")
    assert broken(source, tmp_path / "a.dcm") == broken(tmp_path / "a.dcm", tmp_path / "b.dcm") == []
    assert [step.sha256 for step in told_by(tmp_path / "b.dcm").before] == [ct_model.sha256]
    assert told_by(tmp_path / "b.dcm").run.words == told_by(tmp_path / "a.dcm").run.words


def in_syntax(uid: str) -> Callable[[Dataset], None]:
    def edit(ds: Dataset) -> None:
        ds.file_meta.TransferSyntaxUID = uid
        if uid == ExplicitVRBigEndian:
            ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
        ds._read_implicit = ds._is_implicit_VR = uid == ImplicitVRLittleEndian
        ds._read_little = ds._is_little_endian = uid != ExplicitVRBigEndian

    return edit


def with_representation(vr: str) -> Callable[[Dataset], None]:
    def edit(ds: Dataset) -> None:
        block = ds.private_block(record.GROUP, record.CREATOR)
        text = block[1].value
        del block[1]
        block.add_new(1, vr, text.encode() + b" " * (len(text) % 2) if vr in ("UN", "OB") else text)

    return edit


def moved(ds: Dataset) -> None:
    """Into another block of the group, as software does where it finds the first ones taken."""
    text = record.text_of(ds)
    bare(ds)
    ds.private_block(record.GROUP, "SOMEBODY", create=True).add_new(1, "LO", "x")
    ds.private_block(record.GROUP, "SOMEBODY ELSE", create=True).add_new(1, "LO", "y")
    ds.private_block(record.GROUP, f"{record.CREATOR} ", create=True).add_new(1, "UT", text)


REWRITTEN = {
    "implicit VR": in_syntax(ImplicitVRLittleEndian),
    "UN": with_representation("UN"),
    "OB": with_representation("OB"),
    "LT": with_representation("LT"),
    "another block": moved,
}


@pytest.mark.parametrize("how", REWRITTEN)
def test_it_is_read_however_others_rewrote_the_file(how: str, source: Path, tmp_path: Path, ct_model: Model) -> None:
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), ct_model), tmp_path / "out")
    told = told_by(tmp_path / "out")
    edited(tmp_path / "out", REWRITTEN[how])
    assert dict(told_by(tmp_path / "out")) == dict(told)
    assert "GEOMEDSR_TILE" in told


COMMANDS = {
    "implicit VR": ("dcmconv", "+ti"),
    "big-endian": ("dcmconv", "+tb"),
    "another patient": ("dcmodify", "-nb", "-i", "(0010,0010)=Nobody", "-ea", "(0010,0030)"),
}


@pytest.mark.parametrize("how", COMMANDS)
@pytest.mark.skipif(shutil.which("dcmodify") is None, reason="dcmtk is not installed")
def test_dcmtk_keeps_it(how: str, source: Path, tmp_path: Path, ct_model: Model) -> None:
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), ct_model), tmp_path / "out")
    told = told_by(tmp_path / "out")
    program, *options = COMMANDS[how]
    for path in files(tmp_path / "out"):
        names = [path] if program == "dcmodify" else [path, path]
        subprocess.run([program, *options, *map(str, names)], check=True, env=os.environ | {"DCMDICTPATH": ""})
    assert dict(told_by(tmp_path / "out")) == dict(told)


def deidentified(ds: Dataset) -> None:
    """What software does that keeps listed private blocks (PS3.15 E.3.10) and drops words, equipment and identity."""
    listed = {
        (item.PrivateGroupReference, item.PrivateCreatorReference)
        for item in ds.PrivateDataElementCharacteristicsSequence
        if item.BlockIdentifyingInformationStatus == "SAFE"
    }
    for tag in list(ds.keys()):
        creator = ds.get((tag.group, tag.element >> 8 if tag.element > 0xFF else tag.element))
        if tag.is_private and (tag.group, creator.value) not in listed:
            del ds[tag]
    for keyword in ("DerivationDescription", "ContributingEquipmentSequence", "ImageComments", "SourceImageSequence"):
        del ds[keyword]
    ds.PatientName = ds.PatientID = ds.SeriesDescription = ""
    ds.file_meta.ImplementationClassUID, ds.file_meta.ImplementationVersionName = "2.25.1", "OTHER"


def test_a_deidentified_copy_still_tells_that_a_model_made_it(source: Path, tmp_path: Path, ct_model: Model) -> None:
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), ct_model), tmp_path / "out")
    told = told_by(tmp_path / "out")
    edited(tmp_path / "out", deidentified)
    with pytest.raises(InputError, match="which geomedsr made"):
        geomedsr.open(tmp_path / "out")
    assert dict(told_by(tmp_path / "out")) == dict(told)


def test_results_of_before_hold_words_alone(source: Path, tmp_path: Path, ct_model: Model) -> None:
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), ct_model), tmp_path / "out")
    edited(tmp_path / "out", bare)
    assert broken(source, tmp_path / "out") == []
    words = pydicom.dcmread(tmp_path / "out" / "0001.dcm").DerivationDescription
    told = told_by(tmp_path / "out")
    assert told == stated(words)
    assert (told.model.sha256, told.run.tile) == (ct_model.sha256, None)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "{}", '{"GEOMEDSR_MODEL": 3}', "[" * 100_000, "\xff\0"])
def test_a_damaged_record_leaves_the_words(text: str, source: Path, tmp_path: Path, ct_model: Model) -> None:
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), ct_model), tmp_path / "out")
    words = stated(pydicom.dcmread(tmp_path / "out" / "0001.dcm").DerivationDescription)

    def damage(ds: Dataset) -> None:
        block = ds.private_block(record.GROUP, record.CREATOR)
        del block[1]
        block.add_new(1, "UN", text.encode("latin-1"))

    edited(tmp_path / "out", damage)
    assert told_by(tmp_path / "out") == words
    assert all(check.kept is not None or check.detail for check in verify(source, tmp_path / "out"))


def test_a_job_of_before_goes_on_without_one(source: Path, tmp_path: Path, ct_model: Model) -> None:
    """All slices of a series say the same."""
    sr = geomedsr.upscale(geomedsr.open(source), ct_model)
    sink: Any = open_sink(sr, tmp_path / "out")
    before = replace(sink, series=replace(sink.series, record=""))
    (sink.folder / "record.json").unlink()
    box = next(boxes_of(sr.source))
    before.put(box, sr.source.read(box), sr.source.valid(box))
    before.release()
    assert geomedsr.write(sr, tmp_path / "out").resumed == 1
    assert [record.text_of(pydicom.dcmread(path)) for path in files(tmp_path / "out")] == ["", ""]
    assert broken(source, tmp_path / "out") == []


@pytest.mark.parametrize(
    "charset",
    ["ISO_IR 13", ["", "ISO 2022 IR 87"], "GB18030", "ISO_IR 192", ["ISO 2022 IR 6", "ISO 2022 IR 149"], None],
)
def test_any_character_set(charset: Any, series: Series, tmp_path: Path, ct_model: Model) -> None:
    source = series(1, SpecificCharacterSet=charset)
    sr = geomedsr.upscale(geomedsr.open(source), ct_model)
    geomedsr.write(sr, tmp_path / "out")
    assert dict(told_by(tmp_path / "out")) == dict(sr.provenance.without_names)
    assert '\\"' in json.dumps(record.recorded(sr.provenance))


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
@pytest.mark.parametrize("multiframe", [False, True])
def test_validators_find_nothing_new(multiframe: bool, series: Series, tmp_path: Path, ct_model: Model) -> None:
    source = save(enhanced([pixels(seed=i) for i in range(2)]), tmp_path / "in.dcm") if multiframe else series(2)
    result = tmp_path / ("out.dcm" if multiframe else "out")
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), ct_model), result)
    (before, *_), (after, *_) = ([path] if multiframe else files(path) for path in (source, result))
    assert complaints(str(before), str(after)) == []
    with_record = warned(after)
    ds = pydicom.dcmread(after)
    bare(ds)
    ds.save_as(after)
    new = [line for line in with_record if line not in warned(after)]
    assert len(with_record) == len(warned(after)) + len(new)
    (told,) = new  # as of every private element that it does not know
    assert told.startswith('Warning - </(4753,1001,"GEOMEDSR PROVENANCE")> - Unrecognized tag - assuming explicit')


def warned(path: Path) -> list[str]:
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, errors="replace")
    return sorted(line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("Warning", "Error")))
