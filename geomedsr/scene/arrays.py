"""Input arrays of numpy, dask and xarray: their types, byte order and masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from geomedsr.errors import InputError

#: The types of stored values.
NATIVE = [np.dtype(f"{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8)] + [np.dtype("f4"), np.dtype("f8")]


def usable(array: Any) -> Any:
    """A numpy, dask or xarray array in native byte order.

    Raises:
        InputError: another number of axes, an empty array, or values that are not real numbers.
    """
    if not (isinstance(getattr(array, "dtype", None), np.dtype) and hasattr(array, "ndim")):
        raise InputError(
            f"a {type(array).__name__}", "an array", "convert it; of an xarray Dataset, take one of its variables"
        )
    counted = all(count > 0 for count in array.shape)  # sizes of a dask array may be unknown
    if array.ndim not in (2, 3, 4) or not counted or np.dtype(array.dtype).kind not in "iuf":
        raise InputError(
            f"an array of shape {tuple(array.shape)} and type {array.dtype}",
            "2 to 4 axes (frame, band, y, x) of known lengths, none empty, of integers or floats",
            "reshape or convert it",
        )
    array = _native(array)
    if array.dtype not in NATIVE:
        raise InputError(f"an array of type {array.dtype}", f"one of {', '.join(map(str, NATIVE))}", "convert it")
    return array


def _native(array: Any) -> Any:
    """An array in native byte order; files that are memory-mapped or read raw may have the other."""
    dtype = np.dtype(array.dtype)
    if dtype.isnative:
        return array
    swapped = dtype.newbyteorder("=")
    if hasattr(array, "dims"):  # xarray's astype drops the fill values
        return array.copy(data=array.data.astype(swapped))
    return array.astype(swapped)


def unmasked(array: Any) -> tuple[Any, list[Any]]:
    """The values of a numpy or dask array and, if it is a masked array, a list with its mask: True at valid pixels."""
    if isinstance(array, np.ma.MaskedArray):
        return array.data, [] if array.mask is np.ma.nomask else [~np.ma.getmaskarray(array)]
    if isinstance(getattr(array, "_meta", None), np.ma.MaskedArray):
        import dask.array as da

        return da.ma.getdata(array), [~da.ma.getmaskarray(array)]
    return array, []


def spread(valid: Any, array: Any) -> Any:
    """A mask broadcast to the shape of an array; a lazy mask stays lazy.

    Raises:
        InputError: the shapes do not match.
    """
    lazy = hasattr(valid, "dask")
    try:
        if lazy:
            import dask.array as da

            return da.broadcast_to(valid, array.shape).astype(bool)
        return np.broadcast_to(np.asarray(valid, bool), array.shape)
    except ValueError as error:
        raise InputError(
            f"a mask of shape {np.shape(valid)} for an array of shape {tuple(array.shape)}",
            "one of the same shape",
            "give one value for each pixel",
        ) from error
