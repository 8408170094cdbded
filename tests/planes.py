"""Planes in space, as a tilted series has them."""

import numpy as np

from geomedsr.geometry.grid import Plane

OBLIQUE = Plane((10.0, -20.0, 5.0), (0.8, 0.6, 0.0), (-0.48, 0.64, 0.6), (0.9, 0.7))


def at_depths(*depths: float, lean: tuple[float, float] = (0.0, 0.0)) -> list[Plane]:
    normal, row = np.array(OBLIQUE.normal), np.array(OBLIQUE.along_row)
    places = [np.array(OBLIQUE.position) + d * normal + d * lean[0] * row for d in depths]
    return [Plane(tuple(map(float, p)), OBLIQUE.along_row, OBLIQUE.along_column, OBLIQUE.spacing) for p in places]
