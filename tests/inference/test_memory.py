import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import texture

CODE = """
import sys, geomedsr
scene = geomedsr.open(sys.argv[1])
geomedsr.write(geomedsr.upscale(scene, sys.argv[2], tile=512), sys.argv[3])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_scene(raster: Callable[..., Path], tiny_path: Path, tmp_path: Path) -> None:
    peaks = {}
    for side in (1024, 2560):  # outputs of 128 and 800 MiB, by tiles of one size
        path = raster(texture(4, side, side), f"{side}.tif", tiled=True)
        command = [sys.executable, "-c", CODE, str(path), str(tiny_path), str(tmp_path / "out.tif")]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks[side] = int(done.stdout) / 1024
        (tmp_path / "out.tif").unlink()
    assert peaks[2560] < peaks[1024] + 150, peaks  # MiB
