"""Is a scene like those that a model was made for? Figures of noise, spectrum, traces and values, and usual ranges."""

from geomedsr.fitness.figures import ABOUT, Range
from geomedsr.fitness.judging import Fitness, fitness, ranges_of

__all__ = ["ABOUT", "Fitness", "Range", "fitness", "ranges_of"]
