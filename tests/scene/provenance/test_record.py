"""The record of how a result was made: what it says is read back from every form, and nothing in a file breaks it."""

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom.conftest import pixels, save, save_medical, slice_of
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import geomedsr
from geomedsr import Scene
from geomedsr.geometry import Factors
from geomedsr.geometry.grid import Grid, Plane
from geomedsr.scene.provenance import (
    NONE,
    OF_FRAMES,
    Agreement,
    Chosen,
    ModelFacts,
    Provenance,
    RunFacts,
    Step,
    foreign,
    provenance_of,
)

words = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=20)
names = st.text(st.characters(categories=("L", "N"), codec="ascii"), min_size=1, max_size=12)
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
factors = st.integers(1, 9999)
parts = st.builds(Fraction, st.integers(0, 10**6), st.integers(1, 999))
ends = st.floats(-1e6, 1e6, allow_subnormal=False)
pairs = st.tuples(ends, ends)


def known(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


passes = st.builds(
    Step,
    words,
    known(words),
    known(hashes),
    known(factors),
    bands=known(st.lists(words, min_size=1, max_size=3).map(tuple)),
    guide=known(words),
)

records = st.builds(
    Provenance,
    chosen=st.builds(
        Chosen,
        bands=known(st.lists(words | st.integers(1, 99), min_size=1, max_size=4).map(tuple)),
        nodata=known(st.just(NONE) | st.integers(-(2**31), 2**31) | st.floats(allow_nan=False)),
        slice_axis=known(st.integers(1, 3)),
        aoi=known(st.just("[[[0,0,3,0,3,2.5,0,0]]]")),
        window=known(st.tuples(parts, parts, parts, parts)),
    ),
    before=st.lists(passes, max_size=3).map(tuple),
    software=known(words),
    source=known(words),
    model=st.builds(
        ModelFacts,
        name=words,
        version=known(words),
        sha256=known(hashes),
        realism=known(st.integers(0, 1000).map(lambda n: n / 1000)),
        factor=known(factors),
        bands=known(st.dictionaries(words, words, max_size=3)),
        neighbours=known(st.integers(0, 99)),
        frame_factor=known(factors),
        inputs=known(st.dictionaries(words, words, max_size=2)),
        output=known(words),
    ),
    agreement=st.builds(Agreement, known(words), known(st.sampled_from(["yes", "no", OF_FRAMES]))),
    run=st.builds(RunFacts, known(words), known(words), known(st.integers(1, 10**9)), known(words)),
    ranges=known(
        st.lists(st.none() | pairs | st.lists(pairs, min_size=2, max_size=3).map(tuple), max_size=3).map(tuple)
    ),
    note=known(words),
    others=st.dictionaries(names.map(lambda name: f"GEOMEDSR_X{name}"), words, max_size=2).map(
        lambda found: tuple(found.items())
    ),
)


def facts(told: Provenance) -> tuple[Any, ...]:
    """All that a record tells, as it is typed."""
    return (
        told.chosen,
        told.before,
        told.software,
        told.source,
        told.model,
        told.agreement,
        told.run,
        told.ranges,
        told.note,
    )


@given(records)
def test_a_record_is_read_back_from_its_tags(told: Provenance) -> None:
    again = Provenance.of(json.loads(json.dumps(dict(told))))
    assert facts(again) == facts(told)
    assert dict(again.others) == dict(told.others)
    assert (again, hash(again)) == (told, hash(told))
    assert pickle.loads(pickle.dumps(told)) == told
    assert all(key.startswith("GEOMEDSR_") for key in told)
    assert foreign({**told, "TITLE": "t"}) == {"TITLE": "t"}


def flat(told: Provenance) -> Scene:
    return Scene.from_array(np.arange(12, dtype=np.uint16).reshape(1, 3, 4), provenance=told)


def volume(told: Provenance) -> Scene:
    plane = Plane((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 1.0))
    grid = Grid((3, 4), planes=tuple(replace(plane, position=(0.0, 0.0, 2.0 * i)) for i in range(2)))
    return Scene.from_array(np.arange(24, dtype=np.int16).reshape(2, 1, 3, 4), grid=grid, domain="MR", provenance=told)


@pytest.fixture(scope="module")
def ct_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_medical(tmp_path_factory.mktemp("medical") / "ct.safetensors")


FORMATS: dict[str, Callable[[Provenance], Scene]] = {
    ".tif": flat,
    ".png": flat,
    ".zarr": flat,
    ".npz": flat,
    ".nii": volume,
    ".nii.gz": volume,
    ".nrrd": volume,
    ".mha": volume,
}


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=records)
@example(told=Provenance(software="= a", source=":= b"))  # which MetaImage would cut
def test_a_record_is_read_back_from_every_format(suffix: str, told: Provenance, tmp_path: Path) -> None:
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    path, scene = tmp_path / f"a{suffix}", FORMATS[suffix](told)
    geomedsr.write(scene, path, overwrite=True, progress=False)
    again = provenance_of(geomedsr.open(path, force=True))
    if FORMATS[suffix] is volume:  # a name of a file may be a patient's, and slices lie as the file has them
        told = told.without_names.choosing(slice_axis=again.chosen.slice_axis)
    assert facts(again) == facts(told)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=records)
def test_a_record_is_read_back_from_dicom(told: Provenance, ct_path: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in" / "0.dcm", tmp_path / "out"
    save(slice_of(pixels(8, 8), SpecificCharacterSet="ISO_IR 192"), source)
    told = replace(told, model=replace(told.model, output=None))  # what is no image is refused
    made = replace(geomedsr.upscale(geomedsr.open(source), ct_path), provenance=told)
    geomedsr.write(made, out, overwrite=True, progress=False)
    again = provenance_of(geomedsr.open(out, force=True))
    assert facts(again) == facts(told.without_names)
    assert again.others == ()  # what is not known may be a patient's


hostile = st.one_of(
    st.sampled_from(
        [
            *(
                "",
                "[",
                "{",
                '{"a"',
                "[[[",
                "[" * 100_000,
                "null",
                "true",
                "[null]",
                "[[]]",
                "[[1]]",
                "[[1,2,3]]",
                "[[[1]]]",
            ),
            *(
                "NaN",
                "[[NaN, 1]]",
                "[[1e999, 0]]",
                "1e999",
                "-0",
                "007",
                "1_0",
                "٣",
                "1" * 5000,
                "[" + "9" * 5000 + "]",
            ),
            *(
                "3,5,12",
                "1/0,0,1,1",
                "9" * 12 + ",0,1,1",
                "\ud800",
                "a\0b",
                "\x1b[2J",
                "\u202e",
                "[true]",
                '[{"model": 1}]',
            ),
            *(
                '[{"model": "m", "factor": 1e9}]',
                '[{"model": "m", "more": 1}]',
                '[{"factor": 2}]',
                '[{"model": "\\ud800"}]',
            ),
            *(
                "m v (0123) x2, and more",
                "m v (0123) x99999",
                "(",
                "x4" * 10_000,
                '{"a": 1}',
                '{"a": "\\ud800"}',
                "0.5.5",
            ),
        ]
    ),
    st.text(max_size=20),
    st.integers() | st.none() | st.binary(max_size=4) | st.lists(st.integers(), max_size=2),
)
TAGS = """BANDS NODATA SLICE_AXIS AOI WINDOW BEFORE STEPS VERSION SOURCE MODEL MODEL_VERSION MODEL_SHA256 REALISM FACTOR
MODEL_BANDS NEIGHBOURS FRAME_FACTOR INPUTS OUTPUT OPERATOR CONSERVED RUNTIME PRECISION TILE TILING VALUE_RANGE NOTE X"""
tags = st.sampled_from([f"GEOMEDSR_{name}" for name in TAGS.split()])


@given(st.dictionaries(tags | st.text(max_size=5) | st.integers(), hostile))
def test_whatever_stands_in_tags_is_a_record(found: dict[Any, Any]) -> None:
    told = Provenance.of(found)
    assert Provenance.of(told) == told
    json.dumps(dict(told)).encode()
    "".join(told.values()).encode()
    scene = flat(told)
    made = [scene.select([1]), scene.crop(geomedsr.Window(1, 1, 2, 2)), scene.with_nodata(0)]
    assert all(provenance_of(part) is not None for part in made)
    replace(told, before=told.steps)


@pytest.mark.parametrize("text", ["[", "[{}]", '[{"model": "m", "factor": "2"}]'])
def test_steps_that_cannot_be_read_are_not_made_up_from_words(text: str) -> None:
    words = {"GEOMEDSR_MODEL": "m", "GEOMEDSR_BEFORE": "a 1 (0123456789ab) x4, b c 2 (?) x2"}
    told = Provenance.of(words)
    assert told.before == (Step("a", "1", "0123456789ab", 4), Step("b c", "2", None, 2))
    assert told.earlier == Factors(1, 8, 8)
    damaged = Provenance.of(words | {"GEOMEDSR_STEPS": text})
    assert (damaged.before, damaged.earlier) == ((), Factors())
    assert damaged == words | {"GEOMEDSR_STEPS": text}


def test_words_of_earlier_versions_that_tell_no_steps_are_kept_as_they_are() -> None:
    for text in (
        "m",
        "m 1 (0123) x0",
        "m 1 (0123) x2,",
        ", ".join(["m 1 (01) x2"] * 101),
    ):
        assert Provenance.of({"GEOMEDSR_BEFORE": text}) == {"GEOMEDSR_BEFORE": text}
        assert Provenance.of({"GEOMEDSR_BEFORE": text}).before == ()


def test_what_files_say_of_others_is_not_ours() -> None:
    told = Provenance.of(
        {"GEOMEDSR_NEW": "1", "TITLE": "t", "GEOMEDSR_": "x", "GEOMEDSR_Ä": "x", "GEOMEDSR_A B": "x", 3: "x"}
    )
    assert told == {"GEOMEDSR_NEW": "1"}
    assert told.without_names == told
    assert not told.made
