import numpy as np
import pytest

from geomedsr.metrics.sam import spectral_angles


def test_angles_are_those_of_the_unit_circle() -> None:
    reference = np.array([[[1.0, 1.0, 2.0, 1.0]], [[0.0, 1.0, 2.0, 1.0]]])
    result = np.array([[[1.0, 0.0, 7.0, 0.0]], [[1.0, 3.0, 7.0, 0.0]]])
    angles = spectral_angles(result, reference)
    assert angles[0, :3].tolist() == pytest.approx([45, 45, 0], abs=1e-5)  # (1,1)~(1,0), (0,3)~(1,1), brightness alone
    assert np.isnan(angles[0, 3])
