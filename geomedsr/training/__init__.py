"""Training: a recipe file, patches drawn from scenes, a degradation, a plain loop, a model file."""

from geomedsr.training.loop import train
from geomedsr.training.recipe import Recipe, load_recipe

__all__ = ["Recipe", "load_recipe", "train"]
