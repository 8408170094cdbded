"""Where another program, SimpleITK, sees volumes."""

import numpy as np
import SimpleITK as sitk  # noqa: N813


def check_halved(before: sitk.Image, after: sitk.Image) -> None:
    """Each voxel of one is 2 × 2 × 2 of the other, in its place: the first and the last are looked at."""
    assert after.GetSize() == tuple(2 * n for n in before.GetSize())
    np.testing.assert_allclose(after.GetSpacing(), np.array(before.GetSpacing()) / 2, rtol=4e-7)
    for index in ((0, 0, 0), tuple(n - 1 for n in before.GetSize())):
        middle = tuple(2 * n + 0.5 for n in index)
        expected = before.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose(after.TransformContinuousIndexToPhysicalPoint(middle), expected, atol=1e-4)
