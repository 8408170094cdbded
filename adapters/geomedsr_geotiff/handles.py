"""Open GDAL data sets: one handle per thread, a limited block cache, and errors in one line."""

from __future__ import annotations

import os
import re
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.enums import Interleaving
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from geomedsr.addresses import conceal, file_name, is_public
from geomedsr.errors import InputError
from geomedsr.scene.sources import Cache
from geomedsr_geotiff.complaints import discreet

#: The size of GDAL's block cache in bytes. The default is 5 % of the machine's memory; regions are read only once, so
#: less is enough.
CACHE_BYTES = 64 << 20

#: Settings under which readers report damaged data in the reading thread, and not as a warning. Without the second, the
#: PNG driver's shortcut for whole images does not report truncated files.
_STRICT = {"GDAL_NUM_THREADS": 1, "GDAL_PNG_WHOLE_IMAGE_OPTIM": False, "GDAL_ERROR_ON_LIBJPEG_WARNING": True}

#: Suffixes of self-contained files; an address may have no suffix.
_TIFFS = {"", ".tif", ".tiff", ".gtiff", ".cog"}

#: rasterio handles nodata values of 64-bit integers as floats, which are exact below this.
EXACT = 2**53

#: Handles kept open per thread.
_MOST = 8

#: Blocks of this size in bytes or more are too large for GDAL.
TOO_LARGE = 2**31

#: The most by which the cache is enlarged for large blocks, in bytes.
_LARGEST = 512 << 20

#: What of it is beyond ``CACHE_BYTES``.
BLOCKS = Cache("blocks of GDAL", _LARGEST - CACHE_BYTES)

_local = threading.local()

#: For each thread, the bytes of the largest block with all bands that its sources are read in.
_blocks: dict[int, int] = {}


@contextmanager
def gdal(**options: Any) -> Iterator[None]:
    """A GDAL environment with geomedsr's settings; a cache size set by the user is respected."""
    if "GDAL_CACHEMAX" not in os.environ:
        options.setdefault("GDAL_CACHEMAX", _cache())
    with rasterio.Env(**(_STRICT | options)), discreet():
        yield


def _cache() -> int:
    """The cache size: blocks of pixel-interleaved files must fit, or they are decoded again for each band."""
    return _cache_for(list(_blocks.values()))


def _cache_for(sizes: Sequence[int]) -> int:
    return max(CACHE_BYTES, min(sum(sizes) + max(sizes, default=0), _LARGEST))


def cache_beyond(dataset: Any, workers: int) -> int:
    """Bytes by which the cache is enlarged while ``workers`` threads, and this one, read a data set."""
    if "GDAL_CACHEMAX" in os.environ:
        return 0
    return _cache_for([block_bytes(dataset)] * (workers + 1)) - CACHE_BYTES


def connect(path: str) -> Any:
    """A new handle for reading. A path that exists is taken literally; else GDAL and rasterio parse it."""
    conceal(path)
    if os.path.exists(path):
        with unplaced():
            return rasterio.open(Path(path))
    with unplaced(), rasterio.Env(**alone(path)):
        return rasterio.open(path)


def alone(path: str) -> dict[str, Any]:
    """Options for a remote TIFF: do not look for sidecar files, since GDAL would send dozens of requests."""
    far = re.search(r"(?<!file)://|^/vsi(?:curl|s3|gs|az|adls|oss|swift|webhdfs|hdfs)\b", path)
    suffix = os.path.splitext(file_name(path))[1].lower()
    chosen = "GDAL_DISABLE_READDIR_ON_OPEN" in os.environ
    return {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"} if far and suffix in _TIFFS and not chosen else {}


@contextmanager
def unplaced() -> Iterator[None]:
    """Suppress warnings about missing georeferencing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def stamp(path: str) -> tuple[int, int]:
    """The modification time and size of a local file, so that no handle of a replaced file is used again."""
    try:
        stat = os.stat(path)
    except (OSError, ValueError):
        return 0, 0
    return stat.st_mtime_ns, stat.st_size


def handle(path: str, version: tuple[int, int]) -> Any:
    """This thread's handle for a path."""
    pool: OrderedDict[Any, Any] = _local.__dict__.setdefault("pool", OrderedDict())
    key = (os.getpid(), path, version)
    if key not in pool:
        pool[key] = connect(path)
        _note_block(pool[key])
        if pool[key].driver == "JPEG":  # else tags are read, and errors reported, with the pixels
            with suppress(RasterioError, CPLE_BaseError):
                pool[key].overviews(1)
                pool[key].tags()
        while len(pool) > _MOST:
            pool.popitem(last=False)[1].close()
    pool.move_to_end(key)
    return pool[key]


def _note_block(dataset: Any) -> None:
    """Record the size of a data set's blocks, so that the cache can hold them."""
    if size := block_bytes(dataset):
        _blocks[threading.get_ident()] = max(_blocks.get(threading.get_ident(), 0), size)


def block_bytes(dataset: Any) -> int:
    """Bytes of a block with all bands if the file is pixel-interleaved; else 0."""
    if dataset.count < 2 or dataset.interleaving != Interleaving.pixel:
        return 0
    height, width = dataset.block_shapes[0]
    return int(height * width * dataset.count * np.dtype(dataset.dtypes[0]).itemsize)


def can_open(path: str) -> bool:
    """Whether GDAL opens a path."""
    return gdal_error(path) is None


def gdal_error(path: str) -> str | None:
    """GDAL's message if it cannot open a path; None if it can."""
    try:
        with gdal(), connect(path):
            return None
    except (RasterioError, OSError, ValueError, TypeError) as error:
        return one_line(error)


def one_line(error: BaseException) -> str:
    """The messages of an error and its cause, on one line."""
    text = str(error.__cause__ or error) or type(error).__name__
    return " ".join(text.split())


def cause(error: BaseException) -> BaseException | None:
    """An error as the cause of another; None if its text contains secrets, which tracebacks would show."""
    chain = [error, *filter(None, (error.__cause__, error.__context__))]
    return error if all(is_public(str(link)) for link in chain) else None


def read_error(path: str, where: str, why: str) -> InputError:
    """The error for a window that cannot be read."""
    return InputError(f"{path}, which fails at {where} ({why})", "a whole file", "copy or download it again")
