"""The coefficients of a source's streams: kept, decoded once each, and several at once."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from geomedsr.geometry import Window
from geomedsr.jpeg.coded import Coded, Streams


class Tiles(Streams):
    """Two streams of one frame; reading one waits until ``together`` threads read."""

    name, size, tile, luma = "tiles", (16, 32), (16, 16), None

    def __init__(self, together: int) -> None:
        self.waiting, self.read = threading.Barrier(together), 0

    def stream(self, frame: int, row: int, column: int) -> tuple[bytes, bytes]:
        """Another grey for each place."""
        self.read += 1
        self.waiting.wait(timeout=30)
        file = io.BytesIO()
        Image.fromarray(np.full((16, 16), 100 + 50 * column, np.uint8)).save(file, "JPEG")
        return file.getvalue(), b""


def test_threads_decode_different_streams_at_once() -> None:
    tiles = Tiles(2)
    coded = Coded(tiles, Window(0, 0, 32, 16))
    with ThreadPoolExecutor(2) as pool:  # neither would end if one had to wait for the other
        left, right = (future.result(60) for future in [pool.submit(coded.stream, 0, 0, i) for i in (0, 1)])
    assert left.components[0].blocks[0, 0, 0, 0] < right.components[0].blocks[0, 0, 0, 0]
    assert coded.stream(0, 0, 1) is right


def test_a_stream_is_decoded_once_by_threads_that_need_it() -> None:
    tiles = Tiles(1)
    coded = Coded(tiles, Window(0, 0, 32, 16))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: coded.stream(0, 0, 0), range(8)))
    assert tiles.read == 1
    assert all(each is found[0] for each in found)
