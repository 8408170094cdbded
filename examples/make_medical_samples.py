"""Take the shipped CT and MR samples out of whole series: a few slices, run-length coded, otherwise as published.

    python examples/make_medical_samples.py FOLDER    # with ct/crlm_1006 and mr/sts_001_t2

No shipped model was trained on these slices.
"""

import sys
from pathlib import Path

import pydicom
from pydicom.uid import RLELossless

import geomedsr

SAMPLES = {"ct_abdomen": ("ct/crlm_1006", 4), "mr_thigh": ("mr/sts_001_t2", 2)}


def main(root: Path, examples: Path) -> None:
    """Write ``ct_abdomen`` and ``mr_thigh``: slices from the middle of each series."""
    for name, (path, count) in SAMPLES.items():
        frames = geomedsr.open(root / path).headers
        (examples / name).mkdir(exist_ok=True)
        middle = len(frames) // 2
        for number, frame in enumerate(frames[middle : middle + count], 1):
            ds = pydicom.dcmread(frame.path)
            ds.compress(RLELossless, generate_instance_uid=False)
            ds.save_as(examples / name / f"{number}.dcm")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent)
