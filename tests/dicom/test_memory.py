"""Peak memory does not grow with the number of slices."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


def peak(source: Path, out: Path, model: Path) -> float:
    """MiB that a process takes at most for a whole series."""
    code = f"""
import resource, geomedsr
geomedsr.write(geomedsr.upscale(geomedsr.open({str(source)!r}), {str(model)!r}), {str(out)!r})
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    found = re.search(r"peak ([\d.]+)", done.stdout)
    assert found
    return float(found[1])


@pytest.mark.slow
def test_many_slices_take_what_few_take(series: Callable[..., Path], tmp_path: Path, ct_path: Path) -> None:
    few, many = series(4, "few", size=(512, 512)), series(100, "many", size=(512, 512))
    # All slices of the long series at their new size: 200 MiB.
    assert peak(many, tmp_path / "b", ct_path) < peak(few, tmp_path / "a", ct_path) + 60
