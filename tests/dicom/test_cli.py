"""The command line on series: info, upscale, --series, --all, --force, --uid-seed."""

import json
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from dicom.conftest import SECRETS, files, pixels, save, slice_of
from geomedsr.cli import main

Series = Callable[..., Path]


@pytest.fixture
def patients(series: Series, tmp_path: Path) -> Path:
    """A folder of patients: two with a series, one with two in one folder, one with a localizer; and strangers."""
    series(2, "root/one/ct")
    series(3, "root/two", SeriesInstanceUID="2.25.50", SeriesNumber=5)
    for index in range(2):
        ds = slice_of(pixels(seed=9), index, SeriesInstanceUID="2.25.51", SeriesNumber=6)
        save(ds, tmp_path / "root" / "two" / f"other{index}.dcm")
    series(1, "root/three", SeriesInstanceUID="2.25.52", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    (tmp_path / "root" / "notes.txt").write_text("hello")
    return tmp_path / "root"


def test_info_lists_every_series_and_why_one_cannot_be_processed(
    patients: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", str(patients)]) == 0
    out, err = capsys.readouterr()
    assert "4 series" in out
    assert "slices  2 slices, 4 mm apart; pixels 0.8 × 0.7 mm" in out
    assert "values  int16, 16 bits stored; 1–99 %: " in out
    assert " HU" in out
    assert "syntax  Explicit VR Little Endian" in out
    assert "cannot be processed: a localizer (scout); take another series" in out
    assert "1 file of another kind, skipped" in out
    assert not any(secret in out + err for secret in SECRETS)
    assert main(["info", str(patients), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [s["usable"] for s in facts["series"]] == [True, False, True, True]
    first = facts["series"][0]
    assert (first["modality"], first["columns"], first["rows"], first["slices"]) == ("CT", 24, 20, 2)
    assert first["spacing_mm"] == [0.8, 0.7]


def test_info_tells_of_gaps_and_times(series: Series, capsys: pytest.CaptureFixture[str]) -> None:
    def gap(ds: pydicom.Dataset, i: int) -> None:
        ds.ImagePositionPatient = [0, 0, [0, 4, 12][i]]

    main(["info", str(series(3, "gap", edit=gap))])
    assert "3 slices, 6 mm apart" in (out := capsys.readouterr().out) or "1 missing" in out

    def times(ds: pydicom.Dataset, i: int) -> None:
        ds.TriggerTime, ds.ImagePositionPatient = 10 * (i % 2), [0, 0, 4 * (i // 2)]

    main(["info", str(series(6, "times", edit=times, modality="MR"))])
    assert "3 slices × 2 phases (4-D, by TriggerTime), 4 mm apart" in capsys.readouterr().out


def test_a_series_is_chosen(patients: Path, tmp_path: Path, ct_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ["upscale", str(patients), str(out), "--model", str(ct_path)]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "3 series" in error
    assert "--series" in error
    assert main([*words, "--series", "5", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["frames"], facts["width"], facts["height"]) == (3, 48, 40)
    assert len(files(out)) == 3
    assert main(["upscale", str(out), str(tmp_path / "again"), "--model", str(ct_path)]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["upscale", str(out), str(tmp_path / "again"), "--model", str(ct_path), "--force", "--quiet"]) == 0


def test_all_goes_into_a_matching_tree(
    patients: Path, tmp_path: Path, ct_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    bad = files(patients / "two")[0]
    words = ["upscale", str(patients), str(out), "--all", "--model", str(ct_path)]
    assert main(words) == 0
    text, err = capsys.readouterr()
    assert sorted(str(f.relative_to(out)) for f in files(out)) == [
        "one/ct/0001.dcm",
        "one/ct/0002.dcm",
        *(f"two/series-5/000{i}.dcm" for i in (1, 2, 3)),
        *(f"two/series-6/000{i}.dcm" for i in (1, 2)),
    ]
    assert "skipped CT series 3: a localizer" in text
    assert "3 series done, 1 skipped" in text
    assert not any(secret in text + err for secret in SECRETS)
    # Again, with a file that is cut short: that series is skipped with the reason, the others are done.
    bad.write_bytes(bad.read_bytes()[:-100])
    assert main([*words, "--overwrite", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [d["key"] for d in facts["done"]] == ["2.25.2", "2.25.51"]
    assert any("truncated pixel data" in s["why"] for s in facts["skipped"])


def test_all_of_nothing_is_an_error(series: Series, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = series(1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    assert main(["upscale", str(folder), str(tmp_path / "out"), "--all"]) == 2
    assert "none of whose 1 series was upscaled: a localizer" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["upscale", str(tmp_path / "empty"), str(tmp_path / "out")]) == 2
    assert "without a DICOM file" in capsys.readouterr().err


def test_a_seed_and_its_misuse(
    series: Series, tmp_path: Path, ct_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(series(1))
    for name in ("a", "b"):
        words = ["upscale", source, str(tmp_path / name), "--model", str(ct_path), "--uid-seed", "s", "--quiet"]
        assert main(words) == 0
    assert (tmp_path / "a" / "0001.dcm").read_bytes() == (tmp_path / "b" / "0001.dcm").read_bytes()
    words = ["upscale", source, str(tmp_path / "c.nii.gz"), "--model", str(ct_path), "--uid-seed", "s"]
    assert main(words) == 2
    assert "the option uid_seed for a volume" in capsys.readouterr().err


def test_a_warning_is_one_line(
    series: Series, tmp_path: Path, ct_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def gap(ds: pydicom.Dataset, i: int) -> None:
        ds.ImagePositionPatient = [0, 0, [0, 4, 12, 16][i]]

    assert main(["upscale", str(series(4, edit=gap)), str(tmp_path / "out"), "--model", str(ct_path)]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "gaps" in line]
    assert told == ["warning: CT series 3 has gaps where 1 slice would fit; each slice is upscaled by itself"]


def test_no_line_holds_anything_of_the_patient(
    patients: Path, tmp_path: Path, ct_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for words in (
        ["upscale", str(patients), str(tmp_path / "o1"), "--model", str(ct_path)],
        ["upscale", str(patients), str(tmp_path / "o2"), "--model", str(ct_path), "--all"],
        ["verify", str(patients), str(tmp_path / "o2" / "one" / "ct"), "--series", "2.25.2"],
        ["info", str(tmp_path / "o2")],
    ):
        main(words)
    text = "".join(capfd.readouterr())
    names = " ".join(str(f) for f in files(tmp_path / "o2"))
    assert not any(secret in text + names for secret in SECRETS)
